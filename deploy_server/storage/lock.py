"""A lock that a process holds while it lives, and not a moment longer."""

import fcntl
import os
from pathlib import Path
from typing import Self


class FileLock:
    """A locked file; made by `take`.

    The kernel lets go of it when the process ends, however it ends. The file goes with `release`;
    one that a dead process left behind is simply taken.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Return the lock on `path`, or None while somebody else holds it."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _is_at(path, descriptor):
                return cls(path, descriptor)
            # Its last holder removed the file between our two calls: we hold nothing.
            os.close(descriptor)

    def release(self) -> None:
        """Remove the file, then let others take a new one."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
