"""Package files that nobody can change or remove while they are copied.

Published files are never written again: a change makes new ones and a deletion removes names. So a
second name for each (a hard link, beside the staging folders) keeps a package as it was, costs no
space, and holds nobody up who builds, edits or deletes meanwhile.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from deploy_agent.wire.errors import WireError
from deploy_agent.wire.fragment import FRAGMENTS_FILE, INFO_FILE
from deploy_agent.wire.info import parse_info
from deploy_server.domain.errors import Conflict
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.lock import FileLock
from deploy_server.storage.staging import PRIVATE_MODE, remove_folder

_FOLDER = "backup"
_FRAGMENT = re.compile(r"[0-9]{10}-([1-9][0-9]{0,6})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a package that is held.

    Attributes:
        name: in its package's folder.
        size: bytes.
        modified: when it was written, in seconds since 1970.
        open: opens it for reading.
    """

    name: str
    size: int
    modified: float
    open: Callable[[], BinaryIO]


class Held(Protocol):
    """Packages that are held."""

    def hold(self, package_id: int, revision: int, fragments: int) -> bool:
        """Hold a package of this revision; false where it is not there like that now."""

    def ids(self) -> list[int]:
        """Return what is held."""

    def members(self, package_id: int) -> list[Member]:
        """Return the files of a package, the info file first."""

    def size(self) -> int:
        """Return the bytes of everything that is held."""

    def drop(self, package_ids: set[int]) -> None:
        """Let go of these."""

    def outlived(self) -> list[int]:
        """Return the packages of which something is left that only the holding kept."""


class HeldOnDisk:
    """Packages that are held; made by `holding`.

    Args:
        download: published packages.
        folder: for the second names.
    """

    def __init__(self, download: Path, folder: Path) -> None:
        self._download = download
        self._folder = folder
        self._revisions: dict[int, int] = {}

    def hold(self, package_id: int, revision: int, fragments: int) -> bool:
        """Hold a package of this revision; false where it is not there like that now."""
        if self._revisions.get(package_id) == revision:
            return True
        mine = self._folder / f"{package_id:010d}"
        remove_folder(mine)
        mine.mkdir()
        try:
            for path in (self._download / mine.name).iterdir():
                if _place(path.name) is not None:
                    _second_name(path, mine / path.name)
        except FileNotFoundError:  # it goes, or changes, right now
            return False
        if _revision_of(mine) != revision or len(self._files(package_id)) != expected_files(
            fragments
        ):
            return False
        self._revisions[package_id] = revision
        return True

    def ids(self) -> list[int]:
        """Return what is held."""
        return sorted(self._revisions)

    def members(self, package_id: int) -> list[Member]:
        """Return the files of a package, the info file first, fragments in order."""
        return [_member(path) for path in self._files(package_id)]

    def size(self) -> int:
        """Return the bytes of everything that is held."""
        return sum(path.stat().st_size for each in self.ids() for path in self._files(each))

    def drop(self, package_ids: set[int]) -> None:
        """Let go of these."""
        for package_id in package_ids & self._revisions.keys():
            del self._revisions[package_id]
            remove_folder(self._folder / f"{package_id:010d}")

    def outlived(self) -> list[int]:
        """Return nothing: second names go with the folder that has them."""
        return []

    def _files(self, package_id: int) -> list[Path]:
        mine = self._folder / f"{package_id:010d}"
        return sorted(mine.iterdir(), key=lambda path: _place(path.name) or 0)


@contextmanager
def holding(download: Path, staging: Path) -> Iterator[HeldOnDisk]:
    """Hold packages until the block ends.

    Raises:
        Conflict: somebody else is making a backup.
    """
    with storage_errors(f"packages cannot be held in {staging}"):
        staging.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
        lock = FileLock.take(staging / f"{_FOLDER}.lock")
    if lock is None:
        raise Conflict("a backup is being made already", "Wait until it is complete")
    with lock:
        folder = staging / _FOLDER
        try:
            with storage_errors(f"packages cannot be held in {staging}"):
                remove_folder(folder)  # of a backup that was killed
                folder.mkdir(mode=PRIVATE_MODE)
            yield HeldOnDisk(download, folder)
        finally:
            remove_folder(folder)


def clear(staging: Path) -> None:
    """Remove what a backup has left that was killed; nothing while one is being made."""
    if not (staging / _FOLDER).exists():
        return
    lock = FileLock.take(staging / f"{_FOLDER}.lock")
    if lock is not None:
        with lock:
            remove_folder(staging / _FOLDER)


def _member(path: Path) -> Member:
    found = path.stat()
    return Member(path.name, found.st_size, found.st_mtime, lambda: path.open("rb"))


def _second_name(path: Path, name: Path) -> None:
    try:
        name.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links, or with too many of them
        shutil.copyfile(path, name)


def _revision_of(folder: Path) -> int | None:
    try:
        return parse_info((folder / INFO_FILE).read_bytes()).revision
    except (FileNotFoundError, WireError):
        return None


def expected_files(fragments: int) -> int:
    """Return how many files a package of so many fragments has."""
    return fragments + 2 if fragments else 1  # info and the list; FRAGS=0 has info alone


def _place(name: str) -> int | None:
    """Return where a file stands among those of a package; None for one that is not ours."""
    if name in (INFO_FILE, FRAGMENTS_FILE):
        return -1 if name == INFO_FILE else 0
    found = _FRAGMENT.match(name)
    return int(found.group(1)) if found else None
