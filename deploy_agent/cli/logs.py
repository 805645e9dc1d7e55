"""Where the log goes: standard error, and a file where the configuration names one.

Under systemd standard error is the journal: it knows the time, and takes a line's level from `<3>`
at its beginning (sd-daemon(3)), so that `journalctl -p warning` finds what matters.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

from deploy_agent.cli.common import printable
from deploy_agent.domain.errors import ConfigError

if TYPE_CHECKING:
    from deploy_agent.config import AgentConfig

LOG_MAX = 4 * 1024 * 1024  # bytes of a log file; then it is put aside, and three are kept

# Levels of syslog(3), highest first.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def start_log(config: "AgentConfig") -> None:
    """Write the log to standard error and, where the configuration says so, to a file.

    Raises:
        ConfigError: the file cannot be written.
    """
    stderr = logging.StreamHandler(sys.stderr)
    to_journal = is_journal(sys.stderr, os.environ)
    stderr.setFormatter(JournalLines() if to_journal else PlainLines())
    handlers: list[logging.Handler] = [stderr]
    if config.log_file is not None:
        from deploy_agent.machine.logfile import PrivateLogFile

        try:
            handlers.append(PrivateLogFile(config.log_file, maxBytes=LOG_MAX, backupCount=3))
        except OSError as error:
            raise ConfigError(f"log_file cannot be written: {error}") from error
        handlers[-1].setFormatter(PlainLines())
    logger = logging.getLogger("deploy_agent")
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    # What libraries say to programmers would go to standard error as it is. What matters of it
    # comes back as an error, and that is said in our words.
    logging.getLogger().addHandler(logging.NullHandler())


def is_journal(stream: IO[str], environment: Mapping[str, str]) -> bool:
    """Whether the journal reads `stream`: JOURNAL_STREAM holds its device and inode.

    The variable alone says little: whoever sends the output elsewhere inherits it too.
    """
    named = environment.get("JOURNAL_STREAM")
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # no file of the system's
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


class PlainLines(logging.Formatter):
    """One line for each record, whatever a server put into it; a traceback keeps its lines."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(message)s") -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        record.message = printable(record.getMessage())
        record.asctime = self.formatTime(record)
        line = self.formatMessage(record)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JournalLines(PlainLines):
    """Lines for the journal: without time, each with its level."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines where there is a traceback."""
        found = (number for level, number in _PRIORITIES if record.levelno >= level)
        prefix = f"<{next(found, _DEBUG)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())
