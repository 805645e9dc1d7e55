"""Who else may change a file: its owner, and whoever may write it or a folder on its way.

Root believes what its configuration says, so nobody else may be able to say it. The rule is that of
sshd's StrictModes: everything on the way belongs to root and is written by nobody else. A folder
like /tmp (sticky) is good for what root has in it, because others can neither rename nor remove
that.

Windows has no such owners and modes; there nothing is looked at, and a folder of the agent's is
kept from others when it is made.
"""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from deploy_agent.domain.errors import ConfigError

ROOT = frozenset({0})
LINKS_MAX = 40  # as many as the kernel follows

_SYSTEM, _ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class WeakSpot(NamedTuple):
    """Something on the way to a file that others may change.

    Attributes:
        path: which file, folder or link.
        why: whose it is, or who writes it; follows its name in a sentence.
    """

    path: Path
    why: str


def weak_spot(path: Path, trusted: frozenset[int] = ROOT) -> WeakSpot | None:
    """Return the first thing on the way to `path`, or itself, that others may change.

    Args:
        path: absolute; it need not be there, then nobody else may be able to make it.
        trusted: numbers of the users who may.
    """
    # Whoever owns / owns this program too, so it is not worth a look.
    here = Path(path.anchor)
    rest = list(reversed(path.parts[1:]))
    links = 0
    while rest:
        name = rest.pop()
        if name == "..":
            here = here.parent
            continue
        entry = here / name
        try:
            status = entry.lstat()
        except FileNotFoundError:
            return _if_written(here)
        except OSError:  # then nobody gets there by this path
            return None
        if status.st_uid not in trusted:
            return WeakSpot(entry, f"belongs to {user_name(status.st_uid)}")
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > LINKS_MAX:
                return None
            target = Path(os.readlink(entry))  # noqa: PTH115 - the text as it stands
            here = Path(target.anchor) if target.is_absolute() else here
            rest.extend(reversed(target.parts[1 if target.is_absolute() else 0 :]))
            continue
        if status.st_mode & _OTHERS_WRITE and not (rest and _is_sticky(status.st_mode)):
            return WeakSpot(entry, "may be written by others")
        here = entry
    return None


def check_believable(path: Path, what: str) -> None:
    """Refuse, as root, to believe a file that others may change.

    Args:
        path: absolute.
        what: its name in the message.

    Raises:
        ConfigError: they may.
    """
    spot = weak_spot(path) if is_root() else None
    if spot is None:
        return
    if spot.path == path:
        hint = f"Look at what is in it, then: chown root '{path}' && chmod go-w '{path}'"
    else:
        hint = "Put it where only root can write, for instance into /etc/deploy-agent"
    where = "it" if spot.path == path else f"'{spot.path}'"
    raise ConfigError(f"root does not believe {what} '{path}', because {where} {spot.why}", hint)


def make_private(folder: Path) -> None:
    """Make `folder`, for this user alone, with what is missing above it; one that is there stays.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform == "win32":
        # Below ProgramData everybody may put files, and modes mean nothing there.
        grants = [f"*{sid}:(OI)(CI)F" for sid in (_SYSTEM, _ADMINISTRATORS)]
        command = ["icacls", str(folder), "/inheritance:r", "/grant:r", *grants]
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode:
            folder.rmdir()
            raise PermissionError(errno.EPERM, "icacls cannot keep others out", str(folder))


def is_root() -> bool:
    """Whether this process may do everything, so that others must not decide what it does."""
    return sys.platform != "win32" and os.geteuid() == 0


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one that has none."""
    if sys.platform == "win32":
        return str(uid)
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _is_sticky(mode: int) -> bool:
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)


def _if_written(folder: Path) -> WeakSpot | None:
    if folder.stat().st_mode & _OTHERS_WRITE:
        return WeakSpot(folder, "may be written by others")
    return None
