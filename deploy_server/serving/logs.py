"""How the server's log looks: lines for people, or an object a line for programs.

    2026-11-21T10:15:01Z WARNING text [5f3a9c1e-42]
    {"time": "2026-11-21T10:15:01.123Z", "level": "WARNING", "logger": "...", "message": "text",
     "pid": 4711, "request_id": "5f3a9c1e-42", ...}

The number in brackets is the request's that was being answered; it stands in what was refused, too.
"""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

from deploy_server.web.observing import request_id

#: What a line of the access log knows apart from its text.
_ACCESS = ("client", "method", "path", "status", "seconds")


class TextLines(logging.Formatter):
    """Lines for people; the time is UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without a traceback."""
        number = _number(record)
        return super().formatMessage(record) + (f" [{number}]" if number else "")


class JsonLines(logging.Formatter):
    """One object a line; a traceback is a text in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        line: dict[str, Any] = {
            "time": f"{moment.isoformat(timespec='milliseconds')}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if number := _number(record):
            line["request_id"] = number
        line.update({name: getattr(record, name) for name in _ACCESS if hasattr(record, name)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(form: str) -> None:
    """Write the log to standard error.

    Args:
        form: `text` or `json`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _number(record: logging.LogRecord) -> str:
    # The access log is written by no thread that works on the request.
    return str(getattr(record, "request_id", "") or request_id())
