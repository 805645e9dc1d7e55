"""The log as a file of its owner's alone: commands of packages stand in it, and hold secrets."""

import errno
import io
import logging
import os
import stat
import sys
from logging.handlers import RotatingFileHandler

_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe that nobody reads is an error, not a wait for ever
)

log = logging.getLogger(__name__)


class PrivateLogFile(RotatingFileHandler):
    """A log that begins a new file when one is full; each is made with mode 0600.

    It follows no link and writes into nobody else's file: the folder may be another's.
    """

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say once, where the log goes besides, that the file cannot be written."""
        if not self._failed:
            self._failed = True
            log.warning(
                "log_file '%s' cannot be written: %s; the log goes on without it",
                *(self.baseFilename, sys.exc_info()[1]),
            )

    def _open(self) -> io.TextIOWrapper:
        descriptor = os.open(self.baseFilename, _FLAGS, 0o600)
        if not _is_ours(os.fstat(descriptor)):
            os.close(descriptor)
            raise PermissionError(errno.EPERM, "it is not the agent's own file", self.baseFilename)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _is_ours(status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return False
    return sys.platform == "win32" or status.st_uid == os.geteuid()
