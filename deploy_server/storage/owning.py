"""Whom files belong to: the user of the data directory, also where root works in it.

A server that `install` made runs as a user of its own. What root's commands put into its directory
would be closed to it, certificates first of all.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Where commands put things; what lies in another folder of the directory is nobody's of ours.
_FOLDERS = ("", "certs", "download", "staging", "uploads", "run", "log")


def owner_for(folder: Path) -> tuple[int, int] | None:
    """Return user and group that new files in `folder` get; None where they have them anyway."""
    if os.geteuid() != 0:
        return None
    found = folder.stat()
    return (found.st_uid, found.st_gid) if found.st_uid else None


def hand_over(data: Path) -> None:
    """Give what is root's in a data directory to whom the directory belongs."""
    if not (data / "server.toml").is_file() or (owner := owner_for(data)) is None:
        return
    for name in _FOLDERS:
        with suppress(FileNotFoundError, NotADirectoryError), _opened(data / name) as folder:
            # Their user may have put a link there that leads into a folder of root's.
            if _look(".", folder).st_uid == owner[0]:
                _hand_over_in(folder, owner)


def give(path: Path, owner: tuple[int, int]) -> None:
    """Give a file, or a folder with everything in it; of links the link itself."""
    with _opened(path.parent) as folder:
        _give(path.name, folder, owner)


def _hand_over_in(folder: int, owner: tuple[int, int]) -> None:
    for name in os.listdir(folder):
        # Somebody else may remove it right now.
        with suppress(FileNotFoundError):
            if _look(name, folder).st_uid == 0:
                _give(name, folder, owner)


def _give(name: str, folder: int, owner: tuple[int, int]) -> None:
    """Everything is named from an open folder: no path can be led elsewhere meanwhile."""
    if stat.S_ISDIR(_look(name, folder).st_mode):
        for _, folders, files, inner in os.fwalk(name, dir_fd=folder, onerror=_refuse):
            for each in (*folders, *files):
                os.chown(each, *owner, dir_fd=inner, follow_symlinks=False)
    os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)


def _refuse(error: OSError) -> None:
    raise error


def _look(name: str, folder: int) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
