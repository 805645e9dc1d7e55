"""The packages' folders: record, info file, fragments, list of digests, joined package, tree, runs.

Shape: packages/1800000001/{record.json, info, fragments.sha256, 1800000001-1 ..., package, tree/,
run-1/}. A file that has its name is whole; what is not yet whole ends in `.part`. The record is
written first and removed last, so a folder without one is rubbish.
"""

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from deploy_agent.domain.errors import CleanFailed, OutOfSpace, StoreError
from deploy_agent.domain.record import (
    PackageRecord,
    Result,
    UnreadableRecord,
    from_json,
    to_json,
)
from deploy_agent.domain.state import State
from deploy_agent.machine.disk import PART, Disk, names_in, read_json, write_json, writing_state
from deploy_agent.wire import result
from deploy_agent.wire.fragment import FRAGMENTS_FILE, fragment_name
from deploy_agent.wire.replies import PackageOffer

RECORD_FILE = "record.json"
PACKAGE_FILE = "package"
TREE = "tree"

_ID = re.compile(r"[0-9]{1,20}\Z", re.ASCII)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOOK = "Look at the disk, and at who owns what is in the state folder"

log = logging.getLogger(__name__)


class PackageStore:
    """What is saved of every package."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self.disk = disk or Disk()

    def folder(self, package_id: str) -> Path:
        """Return the package's folder."""
        return self._folder / package_id

    def path(self, package_id: str, name: str) -> Path:
        """Return the path of a file or folder of the package."""
        return self._folder / package_id / name

    def ids(self) -> list[str]:
        """Return the ids of all packages that have a folder, in order."""
        return sorted(filter(_ID.match, names_in(self._folder)))

    def read(self, package_id: str) -> PackageRecord | None:
        """Return a package's record; None where it has none. Changes nothing.

        Raises:
            UnreadableRecord: the file is cut, or of another schema.
        """
        try:
            data = read_json(self.path(package_id, RECORD_FILE))
        except ValueError as error:
            raise UnreadableRecord(f"it is cut or damaged: {error}") from error
        if data is None:
            return None
        record = from_json(data)
        if record.package_id != package_id:
            raise UnreadableRecord(f"it is of package {record.package_id}")
        return record

    def load(self, now: datetime) -> list[PackageRecord]:
        """Return every package, after clearing away what a dead agent left unfinished.

        A record that cannot be read becomes one that ended with ERR_DONE_FAILED: nobody can say
        how far the package got, and running it once more could do it twice.
        """
        records = []
        for package_id in self.ids():
            try:
                record = self.read(package_id)
            except UnreadableRecord as error:
                record = self._replace_unreadable(package_id, error, now)
            if record is None:
                self._remove_unfinished(package_id)
                continue
            self._remove_parts(package_id)
            records.append(record)
        return records

    def save(self, record: PackageRecord) -> None:
        """Make `record` what is known of its package.

        Raises:
            StoreError: it is not saved.
        """
        path = self.path(record.package_id, RECORD_FILE)
        with writing_state(path):
            self.disk.make_folder(path.parent)
        write_json(self.disk, path, to_json(record))

    def read_file(self, package_id: str, name: str) -> bytes | None:
        """Return the content of the info file or the list of digests; None where it is missing."""
        try:
            return self.path(package_id, name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                f"package {package_id}: {name} cannot be read: {error.strerror}", _LOOK
            ) from error

    def save_file(self, package_id: str, name: str, data: bytes) -> None:
        """Keep the info file or the list of digests, exactly as it was served.

        Raises:
            OutOfSpace: the disk is full.
            StoreError: it cannot be written.
        """
        with self._writing(package_id, name):
            self.disk.replace(self.path(package_id, name), data)

    def fragments(self, package_id: str, count: int) -> set[int]:
        """Return the numbers, from 1 to `count`, of the fragments that are on the disk.

        Whoever looks on while an agent works may come when the folder has gone.
        """
        prefix = fragment_name(package_id, 0)[:-1]
        found = set()
        for name in names_in(self.folder(package_id)):
            number = name.removeprefix(prefix)
            if number != name and number.isascii() and number.isdigit():
                found.add(int(number))
        return {each for each in found if 1 <= each <= count}

    @contextmanager
    def writing(self, package_id: str, name: str) -> Iterator[BinaryIO]:
        """Write a file of the package; it gets its name when the block ends well.

        Raises:
            OutOfSpace: the disk is full.
            StoreError: it cannot be written.
        """
        path = self.path(package_id, name)
        part = self.disk.part_of(path)
        try:
            with self._writing(package_id, name):
                with self.disk.create(part) as file:
                    yield file
                    self.disk.sync(file)
                self.disk.rename(part, path)
        except Exception:
            # What cannot be finished only takes up space. A kill leaves it to `load`.
            with suppress(OSError):
                self.disk.remove(part)
            raise

    def remove_file(self, package_id: str, name: str) -> None:
        """Remove a file of the package, if it is there."""
        with writing_state(self.folder(package_id)):
            self.disk.remove(self.path(package_id, name))

    def remove_content(self, package_id: str) -> None:
        """Remove what was fetched and what was made of it; record, info and runs stay.

        Raises:
            CleanFailed: the tree, or what is not ours, cannot be removed.
        """
        self.remove_fragments(package_id)
        self.remove_file(package_id, PACKAGE_FILE)
        self.disk.remove_folder(self.path(package_id, TREE))

    def remove_fragments(self, package_id: str) -> None:
        """Remove every fragment and their list.

        Raises:
            CleanFailed: a folder stands in the place of one and cannot be removed.
        """
        prefix = fragment_name(package_id, 0)[:-1]
        for each in list(self.folder(package_id).iterdir()):
            if not each.name.startswith((prefix, FRAGMENTS_FILE)):
                continue
            if each.is_dir():  # a damaged disk, or somebody, has put it there
                self.disk.remove_folder(each)
            else:
                self.remove_file(package_id, each.name)

    def remove(self, package_id: str) -> None:
        """Remove the package's folder, the record last.

        Raises:
            CleanFailed: something in it cannot be removed.
            StoreError: the record cannot.
        """
        folder = self.folder(package_id)
        for each in list(folder.iterdir()):
            if each.name != RECORD_FILE:
                self.disk.remove_folder(each)
        self.disk.remove_folder(folder)

    def _remove_unfinished(self, package_id: str) -> None:
        log.info("package %s: an unfinished folder is removed", package_id)
        try:
            self.disk.remove_folder(self.folder(package_id))
        except CleanFailed as error:  # it is in nobody's way
            log.warning("package %s: %s", package_id, error)

    def _replace_unreadable(
        self, package_id: str, error: UnreadableRecord, now: datetime
    ) -> PackageRecord:
        path = self.path(package_id, RECORD_FILE)
        detail = f"the agent's record of this package cannot be read: {error}"
        log.error("package %s: %s; it ends as %s", package_id, detail, result.ERR_DONE_FAILED)
        record = PackageRecord(
            offer=PackageOffer(package_id, "", ""),
            since=now,
            state=State.DONE,
            runs=self._last_run(package_id),
            result=Result(result.ERR_DONE_FAILED, now, detail=detail),
        )
        with writing_state(path):  # a copy stays for whoever wants to know
            self.disk.replace(path.with_name("unreadable.json"), path.read_bytes())
        self.save(record)
        return record

    def _last_run(self, package_id: str) -> int:
        numbers = [
            int(each.name[4:])
            for each in self.folder(package_id).glob("run-*")
            if each.name[4:].isdigit()
        ]
        return max(numbers, default=0)

    def _remove_parts(self, package_id: str) -> None:
        for each in self.folder(package_id).glob(f"*{PART}"):
            self.remove_file(package_id, each.name)

    @contextmanager
    def _writing(self, package_id: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise OutOfSpace(
                    f"package {package_id}: the disk is full, {name} does not fit",
                    "Free some space and assign the package again",
                ) from error
            raise StoreError(
                f"package {package_id}: {name} cannot be written: {error.strerror}", _LOOK
            ) from error


def run_folder(number: int) -> str:
    """Return the name of the folder of the package's run `number`, counted from 1."""
    return f"run-{number}"
