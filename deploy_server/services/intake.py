"""A file on its way into a package: read once, counted, never more than a piece in memory."""

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from deploy_server.domain.archive import HEAD
from deploy_server.domain.errors import SpecError, TooLarge

PIECE = 1024 * 1024  # bytes read at a time

#: Called with the bytes taken so far and all of them, None where nobody knows.
Progress = Callable[[int, int | None], None]


class Intake:
    """A source with a known beginning.

    Attributes:
        head: its first bytes, for telling what it is.
        length: of all of it, None where nobody knows before it ends.
        max_bytes: the largest that is taken, None for any.
        progress: told how much has come.
    """

    def __init__(
        self,
        source: BinaryIO,
        length: int | None = None,
        max_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Read the head.

        Raises:
            SpecError: the source cannot be read; field `file`.
            TooLarge: it is larger than `max_bytes`.
        """
        self._source = source
        self.length = _length_of(source) if length is None else length
        self.max_bytes = max_bytes
        self.progress = progress
        self._check_size(self.length or 0)
        self._first = b""
        while len(self._first) < HEAD and (more := _read(source)):
            self._first += more
        self.head = self._first[:HEAD]

    def blocks(self) -> Iterator[bytes]:
        """Yield everything, once.

        Raises:
            SpecError: the source cannot be read, or ends too early; field `file`.
            TooLarge: it is larger than `max_bytes`.
        """
        taken = 0
        block, self._first = self._first, b""
        while block:
            taken += len(block)
            self._check_size(taken)
            yield block
            if self.progress is not None:
                self.progress(taken, self.length)
            block = _read(self._source)
        if self.length is not None and taken != self.length:
            raise SpecError(
                "file",
                f"{taken} bytes of the file came, and {self.length} were announced",
                "Send it again",
            )

    def _check_size(self, size: int) -> None:
        if self.max_bytes is not None and size > self.max_bytes:
            raise TooLarge(
                f"the file is larger than the {self.max_bytes} bytes that a package may have",
                "Split it, or raise max_package_bytes in server.toml",
            )


def _length_of(source: BinaryIO) -> int | None:
    """Return how many bytes are left in `source`; None where it cannot say, as a pipe."""
    try:
        if not source.seekable():
            return None
        here = source.tell()
        end = source.seek(0, io.SEEK_END)
        source.seek(here)
    except OSError:
        return None
    return end - here


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(PIECE)
    except OSError as error:
        raise SpecError(
            "file", f"the file cannot be read: {error.strerror or error}", "Choose another one"
        ) from error
