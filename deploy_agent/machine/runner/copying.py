"""STORE: copies a tree to its place, file by file, so that it can be done again at any point."""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy_agent.domain.errors import ActionFailed, OutOfSpace

PART = ".tranche-store.part"  # one file is copied at a time, so one name is enough
_PIECE = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEW_FILE = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


def store(tree: Path, target: Path, check: Callable[[], None]) -> None:
    """Copy everything in `tree` into `target`, which is made where it is missing.

    Each file appears at once and whole; those that were there are replaced, others stay. Folders
    that are there keep their modes, new ones get those of the archive. Links are copied as links.

    Args:
        tree: the unpacked archive.
        target: an absolute folder.
        check: called often; what it raises ends the copying.

    Raises:
        OutOfSpace: it would not fit, or did not.
        ActionFailed: a file or folder could not be written; the message names it.
    """
    try:
        _check_space(tree, target)
        _make_folder(target, 0o755)
        _copy_folder(tree, target, check)
        if hasattr(os, "sync"):
            os.sync()
    except OSError as error:
        raise _explained(error, target) from error


def _copy_folder(source: Path, target: Path, check: Callable[[], None]) -> None:
    for path in sorted(source.iterdir()):
        check()
        if path.is_dir() and not path.is_symlink():
            _make_folder(target / path.name, stat.S_IMODE(path.stat().st_mode) & 0o777)
            _copy_folder(path, target / path.name, check)
        else:
            _copy(path, target / path.name, check)


def _make_folder(path: Path, mode: int) -> None:
    if path.is_dir():
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.mkdir()
    _set_mode(path, mode)


def _set_mode(path: Path, mode: int) -> None:
    """Set the mode of a folder just made; whoever owns the one above may have put a link there."""
    if sys.platform == "win32":
        path.chmod(mode)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path, check: Callable[[], None]) -> None:
    part = target.with_name(PART)
    part.unlink(missing_ok=True)  # of a run that was killed
    try:
        if source.is_symlink():
            part.symlink_to(os.readlink(source))  # noqa: PTH115 - as it stands
        else:
            _copy_bytes(source, part, check)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _copy_bytes(source: Path, part: Path, check: Callable[[], None]) -> None:
    with source.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o777
        with os.fdopen(os.open(part, _NEW_FILE, 0o600), "wb") as copy:
            while piece := file.read(_PIECE):
                check()
                copy.write(piece)
            if sys.platform != "win32":
                os.fchmod(copy.fileno(), mode)  # by now its name may be somebody else's link
        if sys.platform == "win32":
            part.chmod(mode)


def _check_space(tree: Path, target: Path) -> None:
    """Refuse before the first file what cannot fit: what grows, and one copy beside its old."""
    grows = largest = 0
    for source, _, files in os.walk(tree):
        there = target / Path(source).relative_to(tree)
        for name in files:
            size = (Path(source) / name).lstat().st_size
            largest = max(largest, size)
            with suppress(OSError):
                size -= (there / name).lstat().st_size
            grows += size
    place = next(folder for folder in (target, *target.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    needed = max(grows, largest)
    if free < needed:
        raise OutOfSpace(
            f"{needed} bytes do not fit on the disk of '{place}', which has {free}",
            "Free some space and assign the package again",
        )


def _explained(error: OSError, target: Path) -> OutOfSpace | ActionFailed:
    where = error.filename2 or error.filename or target
    if error.errno in _FULL:
        return OutOfSpace(
            f"the disk of '{target}' is full: '{where}' could not be written",
            "Free some space and assign the package again",
        )
    return ActionFailed(
        f"'{where}' could not be written: {error.strerror}",
        "Look at the folder on the computer, or choose another PATH",
    )
