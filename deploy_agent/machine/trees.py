"""Empties and removes folders that packages have written into."""

import os
import shutil
import stat
from pathlib import Path

from deploy_agent.domain.errors import CleanFailed

_MOUNTS = Path("/proc/self/mountinfo")


def empty_tree(tree: Path) -> None:
    """Make `tree` an empty folder, mode 0700, whatever stood there.

    Raises:
        CleanFailed: something in it cannot be removed; the machine's fault.
    """
    remove_tree(tree)
    try:
        tree.mkdir(parents=True)
        tree.chmod(0o700)
    except OSError as error:
        raise CleanFailed(
            f"the folder '{tree}' cannot be made: {error.strerror}", "Look at its parent folder"
        ) from error


def remove_tree(tree: Path) -> None:
    """Remove `tree` and everything in it; nothing happens where there is none.

    Links are removed, never followed, and nothing is removed through a mount: an action that
    mounted a disk inside its folder would lose that disk.

    Raises:
        CleanFailed: something in it cannot be removed; the machine's fault.
    """
    mounts = _mounts_in(tree)
    if mounts:
        raise CleanFailed(
            f"something is mounted at '{mounts[0]}'", f"Unmount it: umount '{mounts[0]}'"
        )
    try:
        if tree.is_dir() and not tree.is_symlink():
            _remove_folder(tree)
        else:
            tree.unlink(missing_ok=True)
    except (OSError, RecursionError) as error:
        where = getattr(error, "filename", None) or tree
        reason = getattr(error, "strerror", None) or "the folders in it are too deep"
        raise CleanFailed(
            f"'{where}' in '{tree}' cannot be removed: {reason}",
            "Remove it by hand; lsattr shows a file that is protected",
        ) from error


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except PermissionError:  # scripts and archives make folders read-only
        _give_ourselves_the_right(folder)
        shutil.rmtree(folder)


def _give_ourselves_the_right(top: Path) -> None:
    top.chmod(stat.S_IRWXU)
    for folder, folders, files in os.walk(top):
        names = folders + files if os.name == "nt" else folders
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                path.chmod(stat.S_IRWXU)


def _mounts_in(tree: Path) -> list[str]:
    """Return what is mounted at or below `tree`, where the system tells."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    top = os.path.realpath(tree)
    points = [os.fsdecode(_unescape(line.split(b" ")[4])) for line in lines]
    return [point for point in points if point.startswith(top + os.sep) or point == top]


def _unescape(text: bytes) -> bytes:
    r"""Return a path of mountinfo, where a space is \040."""
    for octal in (b"040", b"011", b"012", b"134"):
        text = text.replace(b"\\" + octal, bytes([int(octal, 8)]))
    return text
