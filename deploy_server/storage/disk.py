"""What a disk refuses, as errors that people can act on; and how much of it is not for packages."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy_server.domain.errors import StorageError

#: A disk of less than so many times the reserve is small.
_SMALL = 20

_SPACE = "Free some space on that disk, or use a larger one"
_RIGHTS = "Give the user that the server runs as the right to it"
_HINTS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "Use a file system that takes larger files",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "Make that file system writable",
    errno.ENAMETOOLONG: "Use a shorter data directory",
}


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn OSError into StorageError.

    Args:
        what: what could not be done; the beginning of the sentence.
    """
    try:
        yield
    except OSError as error:
        why = f"{what}: {error.strerror or error}"
        raise StorageError(why, _HINTS.get(error.errno or 0, "Look at the disk")) from error


def reserve_of(folder: Path, least: int) -> int:
    """Return how many bytes must stay free on the disk of `folder`.

    Args:
        folder: on that disk; it exists.
        least: bytes that are wanted; on a small disk, a twentieth of it has to do.
    """
    return min(least, shutil.disk_usage(folder).total // _SMALL)


def room_in(folder: Path, least: int) -> int:
    """Return how many bytes may be written so that `least` stay free; 0 where they are not."""
    return max(0, shutil.disk_usage(folder).free - reserve_of(folder, least))
