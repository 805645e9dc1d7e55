"""STORE: copies a tree to its place, file by file, so that it can be done again at any point."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy_agent.domain.errors import ActionFailed, OutOfSpace
from deploy_agent.machine.runner.places import Place, open_below, open_place
from deploy_agent.machine.runner.space import free_bytes

PART = ".tranche-store.part"  # one file is copied at a time, so one name is enough
_PIECE = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEW_FILE = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


def store(tree: Path, target: Path, check: Callable[[], None]) -> None:
    """Copy everything in `tree` into `target`, which is made where it is missing.

    Each file appears at once and whole; those that were there are replaced, others stay. Folders
    that are there keep their modes, new ones get those of the archive. Links are copied as links. A
    link in the place of a folder is followed only where nobody else can have put it.

    Args:
        tree: the unpacked archive.
        target: an absolute folder.
        check: called often; what it raises ends the copying.

    Raises:
        OutOfSpace: it would not fit, or did not.
        ActionFailed: a file or folder could not be written, or lies behind somebody's link; the
            message names it.
    """
    try:
        _check_space(tree, target)
        with open_place(target, 0o755) as place:
            _copy_folder(tree, place, check)
        if hasattr(os, "sync"):
            os.sync()
    except OSError as error:
        raise _explained(error, target) from error


def _copy_folder(source: Path, place: Place, check: Callable[[], None]) -> None:
    for path in sorted(source.iterdir()):
        check()
        if path.is_dir() and not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode) & 0o777
            with open_below(place, path.name, mode) as below:
                _copy_folder(path, below, check)
        else:
            with _naming(place.path / path.name):
                _copy(path, place, check)


def _copy(source: Path, place: Place, check: Callable[[], None]) -> None:
    place.remove(PART)  # of a run that was killed
    try:
        if source.is_symlink():
            text = os.readlink(source)  # noqa: PTH115 - as it stands
            os.symlink(text, place.name(PART), **place.here)  # noqa: PTH211 - in that folder
        else:
            _copy_bytes(source, place, check)
        place.rename(PART, source.name)
    except BaseException:  # whatever stopped it, half a file must not stay
        place.remove(PART)
        raise


def _copy_bytes(source: Path, place: Place, check: Callable[[], None]) -> None:
    with source.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o777
        part = os.open(place.name(PART), _NEW_FILE, 0o600, **place.here)
        with os.fdopen(part, "wb") as copy:
            while piece := file.read(_PIECE):
                check()
                copy.write(piece)
            if sys.platform != "win32":
                os.fchmod(copy.fileno(), mode)  # by now its name may be somebody else's link
        if sys.platform == "win32":
            (place.path / PART).chmod(mode)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors name the whole path: calls inside an open folder know its end only."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


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
    free = free_bytes(place)
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
