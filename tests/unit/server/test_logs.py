"""The log: lines for people or for programs, with the number of the request they belong to."""

import json
import logging
import sys
from contextvars import Context

from deploy_server.serving.logs import JsonLines, TextLines


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.WARNING, __file__, 1, message, (), None)
    made.created = 1_795_255_200.5
    made.__dict__.update(extra)
    return made


def test_a_line_for_people() -> None:
    line = Context().run(TextLines().format, record("x"))
    assert line == "2026-11-21T10:00:00Z WARNING x"
    assert TextLines().format(record("x", request_id="7-1")).endswith("WARNING x [7-1]")


def test_a_line_for_programs() -> None:
    line = json.loads(JsonLines().format(record("a\nb", request_id="7-1", status=200, client="c")))
    assert line.pop("pid") > 0
    assert line == {
        "time": "2026-11-21T10:00:00.500Z",
        "level": "WARNING",
        "logger": "a.b",
        "message": "a\nb",
        "request_id": "7-1",
        "status": 200,
        "client": "c",
    }


def test_a_traceback_is_one_line_for_programs() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        text = JsonLines().format(record("x", exc_info=sys.exc_info()))
    assert "\n" not in text
    assert "ValueError: why" in json.loads(text)["exception"]
