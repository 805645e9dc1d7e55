"""Where the log goes: standard error, and a file where the configuration names one."""

import logging
import sys
from typing import TYPE_CHECKING

from deploy_agent.cli.common import printable
from deploy_agent.domain.errors import ConfigError

if TYPE_CHECKING:
    from deploy_agent.config import AgentConfig

LOG_MAX = 4 * 1024 * 1024  # bytes of a log file; then it is put aside, and three are kept


def start_log(config: "AgentConfig") -> None:
    """Write the log to standard error and, where the configuration says so, to a file.

    Raises:
        ConfigError: the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if config.log_file is not None:
        from deploy_agent.machine.logfile import PrivateLogFile

        try:
            handlers.append(PrivateLogFile(config.log_file, maxBytes=LOG_MAX, backupCount=3))
        except OSError as error:
            raise ConfigError(f"log_file cannot be written: {error}") from error
    logger = logging.getLogger("deploy_agent")
    logger.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(PlainLines("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)


class PlainLines(logging.Formatter):
    """One line for each record, whatever a server put into it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback keeps its lines."""
        record.message = printable(record.getMessage())
        record.asctime = self.formatTime(record)
        line = self.formatMessage(record)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
