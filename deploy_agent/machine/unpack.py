"""Unpacks a package's archive into a fresh tree, and never anywhere else.

The rules, each for what it stops:
  * The tree is emptied first and belongs to us alone (0700), so nobody else can put links there.
  * Links come last, so nothing is ever written through one.
  * A name is never absolute and has no `..`; nothing is written twice.
  * A link stays inside: its `..` stand in front, and are no more than it has folders above it.
    Folders made here are real, so such a link cannot climb out, through other links neither.
  * No devices, pipes or sparse files; setuid, setgid and sticky bits are dropped.
  * Files, bytes and their ratio to the archive are bounded.
"""

import ctypes
import errno
import os
import shutil
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_agent.domain.errors import OutOfSpace, UnpackFailed
from deploy_agent.machine.archives import Entry, Kind, entries, read_piece, shown
from deploy_agent.machine.names import check_link, name_parts
from deploy_agent.machine.trees import empty_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
ASK_FOR_SPACE = MIB  # a file of at least this size must fit before its first byte is written

_NEW_FILE = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become.

    Attributes:
        max_files: entries of any kind.
        max_bytes: of all files together.
        max_ratio: of the files' bytes to the archive's; counts from `ratio_from` bytes on.
        ratio_from: bytes below which no ratio is suspicious.
    """

    max_files: int = 200_000
    max_bytes: int = 64 * 1024 * MIB
    max_ratio: int = 200
    ratio_from: int = 1024 * MIB


DEFAULT_LIMITS = Limits()


def unpack(archive: Path, tree: Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Make `tree` hold what `archive` holds, and nothing else; all of it is on the disk then.

    Files of a tar.gz keep their modes (without setuid and its like), those of a zip made on Unix
    too; other zips give 0644. When it fails, the tree holds some of the files.

    Args:
        archive: a tar.gz or a zip; told by its first bytes, never by its name.
        tree: the folder; emptied first.
        limits: what the archive may become.

    Raises:
        CleanFailed: the old tree cannot be emptied.
        UnpackFailed: the archive is damaged, foreign, too big or wants to write elsewhere.
        OutOfSpace: the disk is full, or would be.
    """
    empty_tree(tree)
    try:
        with archive.open("rb") as file:
            allowed = min(
                limits.max_bytes,
                max(limits.ratio_from, limits.max_ratio * os.fstat(file.fileno()).st_size),
            )
            writer = _Writer(tree, limits.max_files, allowed)
            for entry in entries(file, max_files=limits.max_files):
                writer.add(entry)
            writer.finish()
    except OSError as error:
        raise UnpackFailed(
            f"the archive cannot be read: {error.strerror}", "Look at the disk"
        ) from error


class _Writer:
    """Writes entries into an empty tree."""

    def __init__(self, tree: Path, max_files: int, max_bytes: int) -> None:
        self._tree = tree
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._files = 0
        self._bytes = 0
        self._folders: set[Path] = {tree}
        self._links: list[tuple[Path, str]] = []

    def add(self, entry: Entry) -> None:
        self._files += 1
        if self._files > self._max_files:
            raise UnpackFailed(
                f"the archive has more than {self._max_files} entries", "Split the package"
            )
        parts = name_parts(entry.name)
        if not parts:  # './', the tree itself
            if entry.kind is not Kind.FOLDER:
                raise UnpackFailed(f"'{shown(entry.name)}' in the archive is no name of a file")
            return
        path = self._tree.joinpath(*parts)
        with _writing(entry.name):
            self._place(entry, parts, path)

    def finish(self) -> None:
        """Make the links, now that nothing is written any more."""
        for path, target in self._links:
            with _writing(str(path.relative_to(self._tree))):
                path.symlink_to(target)
        _sync(self._tree)

    def _place(self, entry: Entry, parts: tuple[str, ...], path: Path) -> None:
        if entry.kind is Kind.FOLDER:
            self._make_folder(path)
            path.chmod(entry.mode | stat.S_IRWXU)
            return
        self._make_folder(path.parent)
        if entry.kind is Kind.FILE:
            self._write(entry, path)
        elif entry.kind is Kind.HARDLINK:
            self._link(entry, path)
        else:
            check_link(entry.name, parts, entry.target)
            self._links.append((path, entry.target))

    def _make_folder(self, path: Path) -> None:
        """Make `path` and those above it, each a real folder made by us."""
        missing = []
        while path not in self._folders:
            missing.append(path)
            path = path.parent
        for folder in reversed(missing):
            folder.mkdir()
            folder.chmod(0o755)
            self._folders.add(folder)

    def _write(self, entry: Entry, path: Path) -> None:
        self._check_space(entry.size)
        assert entry.content is not None
        descriptor = os.open(path, _NEW_FILE, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            while piece := read_piece(entry.content):
                self._bytes += len(piece)
                self._check_size()
                file.write(piece)
            if sys.platform != "win32":
                os.fchmod(descriptor, entry.mode | stat.S_IRUSR)

    def _link(self, entry: Entry, path: Path) -> None:
        source = self._tree.joinpath(*name_parts(entry.target))
        if not stat.S_ISREG(source.lstat().st_mode):
            raise UnpackFailed(f"'{shown(entry.name)}' in the archive is a link to no file")
        path.hardlink_to(source)

    def _check_size(self) -> None:
        if self._bytes > self._max_bytes:
            raise UnpackFailed(
                f"the archive becomes more than {self._max_bytes // MIB} MiB",
                "Split the package, or look whether it is what it should be",
            )

    def _check_space(self, size: int) -> None:
        if size < ASK_FOR_SPACE:
            return
        free = shutil.disk_usage(self._tree).free
        if free < size:
            raise OutOfSpace(
                f"a file of {size // MIB} MiB does not fit on the disk of '{self._tree}', "
                f"which has {free // MIB} MiB left",
                "Free some space and assign the package again",
            )


def _sync(tree: Path) -> None:
    """Wait until the disk of `tree` has everything; no other disk is waited for where that works.

    With a file for each fsync this would take minutes, and with sync() as long as a slow stick
    that somebody is copying to.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if hasattr(library, "syncfs") and library.syncfs(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    if hasattr(os, "sync"):
        os.sync()


@contextmanager
def _writing(name: str) -> "Iterator[None]":
    """Give what goes wrong while `name` is written its meaning."""
    try:
        yield
    except FileExistsError as error:
        raise UnpackFailed(f"the archive has '{shown(name)}' twice", "Build it again") from error
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace(
                f"the disk is full: '{shown(name)}' could not be written",
                "Free some space and assign the package again",
            ) from error
        raise UnpackFailed(f"'{shown(name)}' cannot be written: {error.strerror}") from error
    except ValueError as error:  # a name that the file system's encoding does not have
        raise UnpackFailed(f"'{shown(name)}' cannot be a file's name here", "Rename it") from error
