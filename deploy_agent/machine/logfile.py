"""The log as a file of its owner's alone: commands of packages stand in it, and hold secrets."""

import io
import os
from logging.handlers import RotatingFileHandler


class PrivateLogFile(RotatingFileHandler):
    """A log that begins a new file when one is full; each is made with mode 0600."""

    def _open(self) -> io.TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.baseFilename, flags, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
