"""Writes that are whole or not there, after a kill and after a power cut.

Everything that the agent saves goes through `Disk`; tests put a disk in its place that dies at a
numbered write, or forgets what was not synced.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from deploy_agent.domain.errors import StoreError
from deploy_agent.machine.trees import remove_tree

_TRIES, _TRY_S = 40, 0.05
PART = ".part"  # files of this name are not finished; whoever finds one may remove it


class Disk:
    """The real disk. Files are 0600 and folders 0700: packages can hold secrets."""

    def replace(self, path: Path, data: bytes) -> None:
        """Make `path` hold `data`, or leave it as it was.

        Raises:
            OSError: it is as it was.
        """
        part = self.part_of(path)
        with self.create(part) as file:
            file.write(data)
            self.sync(file)
        self.rename(part, path)

    def put(self, path: Path, data: bytes) -> None:
        """Make `path` hold `data` or leave it as it was; after a power cut it may be gone.

        Raises:
            OSError: it is as it was.
        """
        self.make_folder(path.parent)
        part = self.part_of(path)
        with self.create(part) as file:
            file.write(data)
        part.replace(path)

    def append(self, path: Path, data: bytes) -> None:
        """Write `data` at the end of `path`; a kill may leave a part of it, a power cut nothing.

        Raises:
            OSError: it is not there, or not all of it.
        """
        self.make_folder(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0) as file:
            written = file.write(data)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def create(self, path: Path) -> BinaryIO:
        """Open `path` as a new, empty file; to be written, synced and renamed.

        Raises:
            OSError: it cannot be written.
        """
        with suppress(FileNotFoundError):
            path.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(path, flags, 0o600), "wb")

    def sync(self, file: BinaryIO) -> None:
        """Wait until what was written to `file` is on the disk."""
        file.flush()
        os.fsync(file.fileno())

    def rename(self, source: Path, target: Path) -> None:
        """Give a synced file its name, for good; what had it is gone."""
        _replace(source, target)
        self.sync_folder(target.parent)

    def make_folder(self, path: Path) -> None:
        """Make `path` with what is missing above it; nothing happens where it is."""
        missing = []
        folder = path
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(each.parent)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder with everything in it, if it is there.

        Raises:
            CleanFailed: something in it cannot be removed.
        """
        remove_tree(path)

    def sync_folder(self, path: Path) -> None:
        """Wait until the names in `path` are on the disk."""
        if os.name == "nt":  # Windows cannot open folders; it writes names through
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @staticmethod
    def part_of(path: Path) -> Path:
        """Return the name under which `path` is written."""
        return path.with_name(path.name + PART)


def _replace(source: Path, target: Path) -> None:
    """Give `source` the name of `target`."""
    if sys.platform == "win32":  # there nobody replaces what somebody, 'status' perhaps, reads
        for _ in range(_TRIES):
            with suppress(PermissionError):
                source.replace(target)
                return
            time.sleep(_TRY_S)
    source.replace(target)


def write_json(disk: Disk, path: Path, value: Mapping[str, Any]) -> None:
    """Make `path` hold `value`, readable for people.

    Raises:
        StoreError: it cannot be written.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    with writing_state(path):
        disk.replace(path, text.encode("utf-8", "replace") + b"\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what `write_json` wrote; None where there is no file.

    Raises:
        ValueError: the file is cut or was changed into something else.
        StoreError: it cannot be read at all.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return value


def names_in(folder: Path) -> list[str]:
    """Return the names of what is in `folder`; none where there is no such folder.

    Raises:
        StoreError: it cannot be read at all.
    """
    try:
        return [each.name for each in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"'{path}' cannot be read: {error.strerror}",
        "Run this as the agent's user, root as a rule, or name another folder with --state",
    )


@contextmanager
def writing_state(path: Path) -> Iterator[None]:
    """Give a failed write of the agent's own state its meaning.

    Raises:
        StoreError: with what to do about it.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the agent's state in '{path.parent}' cannot be written: {error.strerror}",
            "Look at the disk's space and the folder's owner, or name another with --state",
        ) from error
