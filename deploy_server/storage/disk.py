"""What a disk refuses, as errors that people can act on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from deploy_server.domain.errors import StorageError

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
