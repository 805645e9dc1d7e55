"""`run.lock`: held from before the runner starts until its result is on the disk."""

import os
import sys
import time
from pathlib import Path

LOCK = "run.lock"

if sys.platform == "win32":
    import msvcrt

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try(descriptor: int, mode: int = fcntl.LOCK_EX) -> bool:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def take(folder: Path, *, patience_s: float = 0.5) -> int | None:
    """Return a descriptor that holds the lock of `folder`, None when another process does.

    It is not inherited by other programs unless it is passed to them.

    Args:
        folder: the package's.
        patience_s: how long to try, in seconds: whoever only looks holds it for an instant.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_s
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            os.close(descriptor)
            return None
        time.sleep(0.005)
    return descriptor


def is_held(folder: Path) -> bool:
    """Return whether a process holds the lock of `folder`; may be asked at any time by anybody."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        if sys.platform == "win32":
            return not _try(descriptor)
        return not _try(descriptor, fcntl.LOCK_SH)  # two that look do not see each other
    finally:
        os.close(descriptor)
