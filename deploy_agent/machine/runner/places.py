"""Folders that STORE writes into, each held open, so that nobody swaps one for a link meanwhile.

A target may lie in a folder that a user owns, and that user may put a link where root expects a
folder. So every folder is opened without following links, and what is done in it is done through
it. A link is followed where it stands in folders that only root (or the agent's user) can change,
and belongs to one of them: /bin, which leads to /usr/bin, is such a link.

Windows has no such calls, and neither has pathlib; on Windows paths are used as they are.
"""

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy_agent.domain.errors import ActionFailed
from deploy_agent.machine.owners import LINKS_MAX, user_name

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
# Who may pass through a folder may not always read it.
_THROUGH = _FOLDER | getattr(os, "O_PATH", 0)


class Place:
    """An open folder.

    Attributes:
        path: where it really is.
        trusted: only root and the agent's user can change it and the folders above it; a sticky
            one like /tmp counts, since what is theirs stays theirs there.
    """

    def __init__(self, path: Path, descriptor: int | None, *, trusted: bool) -> None:
        self.path = path
        self.trusted = trusted
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def name(self, name: str) -> str:
        """Return what calls with `here` know the entry `name` by."""
        return str(self.path / name) if self._descriptor is None else name

    @property
    def here(self) -> dict[str, Any]:
        """What makes a call of `os` work in this folder."""
        return {} if self._descriptor is None else {"dir_fd": self._descriptor}

    def lstat(self, name: str) -> os.stat_result:
        """Return what the entry `name` is.

        Raises:
            OSError: there is none.
        """
        return os.stat(self.name(name), **self.here, follow_symlinks=False)  # noqa: PTH116

    def remove(self, name: str) -> None:
        """Remove the file or link `name`, if it is there."""
        try:
            os.unlink(self.name(name), **self.here)
        except FileNotFoundError:
            return

    def rename(self, name: str, new_name: str) -> None:
        """Give the entry `name` another name; what had it is gone.

        Raises:
            OSError: it cannot, for instance because a folder has it.
        """
        if self._descriptor is None:
            (self.path / name).replace(self.path / new_name)
        else:
            both = {"src_dir_fd": self._descriptor, "dst_dir_fd": self._descriptor}
            os.replace(name, new_name, **both)  # noqa: PTH105


def open_place(path: Path, mode: int) -> Place:
    """Return the folder `path`, made with those above it where they are missing.

    Args:
        path: absolute.
        mode: of the last one, if it is made; the others get 0755.

    Raises:
        ActionFailed: a link on the way is not to be followed.
        OSError: it cannot be made or opened.
    """
    if sys.platform == "win32":
        path.mkdir(parents=True, exist_ok=True)
        return Place(path, None, trusted=True)
    return _Walk().go(path, mode)


def open_below(place: Place, name: str, mode: int) -> Place:
    """Return the folder `name` in `place`, made with `mode` where it is missing.

    Raises:
        ActionFailed: there is a link, and it is not to be followed.
        OSError: it cannot be made or opened.
    """
    if sys.platform == "win32":
        return open_place(place.path / name, mode)
    target = _link_in(place, name)
    if target is None:
        return _step(place, name, mode)
    return _Walk(links=1).go(place.path / target, mode)


class _Walk:
    """The way from / to a folder, through links that may be followed."""

    def __init__(self, links: int = 0) -> None:
        self._links = links

    def go(self, path: Path, mode: int) -> Place:
        rest = list(reversed(path.parts[1:]))
        place = _root()
        while rest:
            name = rest.pop()
            with place:
                if name == "..":
                    rest = [*rest, *reversed(place.path.parent.parts[1:])]
                    place = _root()
                    continue
                target = _link_in(place, name)
                if target is None:
                    place = _step(place, name, 0o755 if rest else mode)
                    continue
                self._links += 1
                if self._links > LINKS_MAX:
                    raise ActionFailed(f"'{place.path / name}' is one of too many links")
                rest += reversed((place.path / target).parts[1:])
                place = _root()
        return place


def _root() -> Place:
    return Place(Path("/"), os.open("/", _THROUGH), trusted=True)


def _step(place: Place, name: str, mode: int) -> Place:
    """Open, or make, the folder `name`; a link is not followed."""
    path = place.path / name
    try:
        try:
            descriptor = os.open(name, _THROUGH, **place.here)
        except FileNotFoundError:
            descriptor = _make(place, name, mode)
    except OSError as error:  # it knows the end of the path only
        raise OSError(error.errno, error.strerror, str(path)) from error
    return Place(path, descriptor, trusted=place.trusted and _is_safe(os.fstat(descriptor)))


def _make(place: Place, name: str, mode: int) -> int:
    os.mkdir(name, 0o700, **place.here)  # noqa: PTH102
    descriptor = os.open(name, _FOLDER, **place.here)
    try:
        if sys.platform != "win32":
            os.fchmod(descriptor, mode)  # by now its name may be somebody's link
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _link_in(place: Place, name: str) -> str | None:
    """Return where the link `name` leads to; None where there is none.

    Raises:
        ActionFailed: it is not to be followed.
    """
    try:
        status = place.lstat(name)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    if not place.trusted or status.st_uid not in _ours():
        whose = user_name(status.st_uid)
        raise ActionFailed(
            f"'{place.path / name}' is a link that others than root can make or change (it belongs "
            f"to {whose}), so nothing is written where it leads",
            "Remove the link, or choose another PATH",
        )
    return os.readlink(name, **place.here)


def _is_safe(status: os.stat_result) -> bool:
    others = status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX
    return status.st_uid in _ours() and not others


def _ours() -> set[int]:
    return {0, os.geteuid()} if sys.platform != "win32" else set()
