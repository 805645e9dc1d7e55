"""What an archive holds, whatever its format, and the one way to read damaged bytes."""

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from deploy_agent.domain.errors import UnpackFailed

PIECE = 256 * 1024  # bytes read at a time
DAMAGED = "Build the package again from a good archive"

# Everything that tarfile, gzip and zipfile were seen to raise on damaged bytes. OSError covers
# BadGzipFile, ValueError wrong numbers and encodings, RecursionError chained pax headers.
_PARSER_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    LookupError,
    RecursionError,
    NotImplementedError,
)


class Readable(Protocol):
    """What content is read from."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes, b'' at the end."""


class Kind(Enum):
    """What an entry is."""

    FILE = auto()
    FOLDER = auto()
    SYMLINK = auto()
    HARDLINK = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of an archive.

    Attributes:
        name: with `/` between folders, otherwise as the archive has it: not yet safe.
        kind: what it is.
        mode: permission bits, without setuid, setgid and sticky.
        size: of a file, in bytes, as the archive claims.
        target: where a link points to.
        content: of a file; to be read, through `read_piece`, before the next entry.
    """

    name: str
    kind: Kind
    mode: int
    size: int = 0
    target: str = ""
    content: Readable | None = None


def shown(name: str) -> str:
    """Return a name from an archive as people may see it: printable, at most 200 characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:200])


def read_piece(content: Readable) -> bytes:
    """Return up to `PIECE` bytes of an entry's content, b'' at its end.

    Raises:
        UnpackFailed: the archive is damaged or cut.
    """
    with reading():
        return content.read(PIECE)


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever damaged bytes make the standard library raise into `UnpackFailed`."""
    try:
        yield
    except _PARSER_ERRORS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise UnpackFailed(f"the archive is damaged: {text}", DAMAGED) from error
