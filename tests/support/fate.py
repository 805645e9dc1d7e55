"""Numbered moments of a story, and a disk on which the agent can die at each of them.

``LosingDisk`` also keeps books about what a power cut would leave: what was written and not synced
is not on it, and neither is a name whose folder was not synced.
"""

import itertools
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from deploy_agent.machine.disk import Disk


class Killed(BaseException):
    """SIGKILL, or no power: nothing catches it."""


class End(Enum):
    """How a life ends."""

    KILL = "kill"  # what was written is in the system's memory, and stays
    CUT = "power cut"  # nothing stays that was not synced
    BAD_CUT = "bad power cut"  # of what was not synced anything stays, in any order


@dataclass
class Fate:
    """Counts the moments and knows which of them are the last.

    Attributes:
        kills: numbers of moments, counted over all lives.
        end: how lives end.
        moments: what happened at each, in order.
        kept: files that were on the disk for good, and are fetched only by mistake again.
        again: those that were.
    """

    kills: frozenset[int] = frozenset()
    end: End = End.KILL
    moments: list[str] = field(default_factory=list)
    dead: bool = False
    kept: set[str] = field(default_factory=set)
    again: list[str] = field(default_factory=list)

    def moment(self, what: str) -> None:
        if self.dead:  # a dead process does nothing more, not even clearing up
            raise Killed(what)
        self.moments.append(what)
        if len(self.moments) in self.kills:
            self.dead = True
            raise Killed(what)

    def fetched(self, name: str) -> None:
        if name in self.kept:
            self.again.append(name)

    @property
    def killed(self) -> list[str]:
        """The moments at which lives ended."""
        return [self.moments[each - 1] for each in sorted(self.kills) if each <= len(self.moments)]


class LosingDisk(Disk):
    """Dies before or after each thing that it does, and forgets what it was not told to keep."""

    def __init__(self, fate: Fate, root: Path) -> None:
        self._fate = fate
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._tokens: dict[int, int] = {}
        self._open: dict[int, Path] = {}
        self._numbers = itertools.count()
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self.settle()

    # What the agent does.

    def create(self, path: Path) -> BinaryIO:
        self._fate.moment(f"before create {path.name}")
        file = super().create(path)
        inode = os.fstat(file.fileno()).st_ino
        self._tokens[inode] = next(self._numbers)
        self._open[inode] = path
        try:
            self._fate.moment(f"after create {path.name}")
        except Killed:
            file.close()  # as the kernel does
            raise
        return file

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        inode = os.fstat(file.fileno()).st_ino
        path = self._open[inode]
        self._fate.moment(f"before sync {path.name}")
        if self._fate.end is not End.KILL:
            self._contents[self._token(inode)] = path.read_bytes()
        self._fate.moment(f"after sync {path.name}")

    def rename(self, source: Path, target: Path) -> None:
        self._fate.moment(f"before rename {target.name}")
        super().rename(source, target)
        self._fate.kept.add(target.name)

    def sync_folder(self, path: Path) -> None:
        self._fate.moment(f"before sync of folder {path.name}")
        self._note_names(path)
        self._fate.moment(f"after sync of folder {path.name}")

    def make_folder(self, path: Path) -> None:
        if not path.is_dir():
            self._fate.moment(f"before mkdir {path.name}")
            super().make_folder(path)

    def put(self, path: Path, data: bytes) -> None:
        super().put(path, data)
        self._fate.moment(f"after put {path.name}")

    def append(self, path: Path, data: bytes) -> None:
        self._fate.moment(f"before append {path.name}")
        self._within(f"append {path.name}", lambda: Disk.append(self, path, data[: len(data) // 2]))
        super().append(path, data)
        self._fate.moment(f"after append {path.name}")

    def remove(self, path: Path) -> None:
        if path.exists():
            self._fate.moment(f"before remove {path.name}")
            super().remove(path)
            self._fate.moment(f"after remove {path.name}")

    def remove_folder(self, path: Path) -> None:
        if not path.exists():
            return
        self._fate.moment(f"before remove {path.name}")
        if path.is_dir() and len(list(path.iterdir())) > 1:
            first = min(path.iterdir())
            self._within(f"remove {path.name}", lambda: Disk.remove_folder(self, first))
        super().remove_folder(path)
        self._fate.moment(f"after remove {path.name}")

    def _within(self, what: str, half: Callable[[], None]) -> None:
        try:
            self._fate.moment(f"within {what}")
        except Killed:
            half()
            raise

    # What the world does.

    def settle(self) -> None:
        """Everything is on the disk, as after `sync` or when others saw to their own files."""
        if self._fate.end is End.KILL:
            return
        for place in (self._root, *self._root.rglob("*")):
            if place.is_dir():
                self._note_names(place)
            else:
                self._contents[self._token(place.lstat().st_ino)] = place.read_bytes()

    def cut_power(self, seed: str) -> None:
        """Leave what a power cut leaves."""
        chance = random.Random(seed)
        bad = self._fate.end is End.BAD_CUT
        left = self._left(self._root, self._token(self._root.stat().st_ino), chance, bad=bad)
        shutil.rmtree(self._root)
        self._root.mkdir()
        for path, content in left.items():
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)
        self.settle()

    def _left(
        self, folder: Path, token: int, chance: random.Random, *, bad: bool
    ) -> dict[Path, bytes | None]:
        """The files and, as None, the folders that stay, each after the one that it is in."""
        synced = self._names.get(token, {})
        now = self._entries(folder) if folder.is_dir() and self._is(folder, token) else synced
        found: dict[Path, bytes | None] = {}
        for name in sorted({*synced, *now}):
            entry = chance.choice((synced.get(name), now.get(name))) if bad else synced.get(name)
            if entry is None:
                continue
            each, is_folder = entry
            path = folder / name
            if is_folder:
                found[path] = None
                found |= self._left(path, each, chance, bad=bad)
            else:
                found[path] = self._content(path, each, chance, bad=bad)
        return found

    def _content(self, path: Path, token: int, chance: random.Random, *, bad: bool) -> bytes:
        synced = self._contents.get(token, b"")
        if not bad or not path.is_file() or not self._is(path, token):
            return synced
        now = path.read_bytes()
        return synced if now == synced else chance.choice((synced, now, now[: len(now) // 2]))

    def _note_names(self, folder: Path) -> None:
        if self._fate.end is not End.KILL:
            self._names[self._token(folder.stat().st_ino)] = self._entries(folder)

    def _entries(self, folder: Path) -> dict[str, tuple[int, bool]]:
        with os.scandir(folder) as entries:
            return {each.name: (self._token(each.inode()), each.is_dir()) for each in entries}

    def _is(self, path: Path, token: int) -> bool:
        return self._tokens.get(path.stat().st_ino) == token

    def _token(self, inode: int) -> int:
        """A number for a file or folder that, unlike its inode's, is never another's."""
        if inode not in self._tokens:
            self._tokens[inode] = next(self._numbers)
        return self._tokens[inode]
