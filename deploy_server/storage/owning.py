"""Whom files belong to: the user of the data directory, also where root works in it.

A server that `install` made runs as a user of its own. What root's commands put into its directory
would be closed to it, certificates first of all.
"""

import os
from contextlib import suppress
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
    if not data.is_dir() or (owner := owner_for(data)) is None:
        return
    for name in _FOLDERS:
        folder = data / name
        for path in folder.iterdir() if folder.is_dir() else ():
            # Somebody else may remove it right now.
            with suppress(FileNotFoundError):
                if path.lstat().st_uid == 0:
                    give(path, owner)


def give(path: Path, owner: tuple[int, int]) -> None:
    """Give a file, or a folder with everything in it; of links the link itself."""
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, *owner, follow_symlinks=False)
    os.chown(path, *owner, follow_symlinks=False)
