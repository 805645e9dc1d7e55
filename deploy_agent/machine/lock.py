"""One agent at a time: a lock that ends with its process, however that ends."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy_agent.domain.errors import LockHeld, StoreError
from deploy_agent.machine.disk import writing_state
from deploy_agent.machine.owners import is_root, make_private, weak_spot

_LOCKS = Path("/proc/locks")
# Who only asks whether somebody holds the lock has it for a moment itself.
_MOMENT_S = 0.02
_MOMENTS = 25

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class InstanceLock:
    """The lock of a state folder; `run` and `once` share it.

    The kernel holds it, not the file: a file that a dead agent left means nothing. Children do not
    inherit it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockHeld: another agent has it.
            StoreError: the folder cannot be written, or others can write it too.
        """
        with writing_state(self._path):
            make_private(self._path.parent)
            check_owner(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise LockHeld(
                f"another agent is at work on '{self._path.parent}'",
                "Wait for it, or stop the service; 'deploy-agent status' shows what it does",
            ) from error
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock(descriptor: int) -> None:
    """Take the lock, also where somebody is just asking for it.

    Raises:
        OSError: an agent holds it.
    """
    for _ in range(_MOMENTS):
        with suppress(OSError):
            return _try_lock(descriptor)
        time.sleep(_MOMENT_S)
    return _try_lock(descriptor)


def is_locked(path: Path) -> bool:
    """Whether some agent holds the lock; asks without keeping it."""
    with writing_state(path):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
    try:
        _try_lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(path: Path) -> int | None:
    """Return the number of the process that holds the lock; None where the system does not say."""
    try:
        status = path.stat()
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        # 3: FLOCK  ADVISORY  WRITE 1234 08:01:567 0 EOF
        words = line.split()
        if words[1:2] == ["FLOCK"] and place in words and words[4].isdigit():
            return int(words[4]) or None  # 0: of a container's
    return None


def check_owner(folder: Path) -> None:
    """Refuse to be root in a state folder where others decide what lies in it.

    Whoever may rename what is in the folder, or the folder itself, can put programs into the trees
    that root runs.

    Raises:
        StoreError: others may write it or a folder above it, or own one of them.
    """
    spot = weak_spot(folder.absolute()) if is_root() else None
    if spot is None:
        return
    if spot.path == folder.absolute():
        hint = f"Look at what is in it, then: chown root '{folder}' && chmod 700 '{folder}'"
    else:
        hint = "Name a folder with --state that only root can change, as /var/lib/deploy-agent is"
    raise StoreError(
        f"others than root may change what lies in '{folder}' and would run as root: "
        f"'{spot.path}' {spot.why}",
        hint,
    )
