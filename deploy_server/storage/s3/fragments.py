"""The bytes of packages in a bucket; see `storage.fragments` for what a store promises.

To publish is to write one object that names the right folder (shelf.py), so readers see all of a
revision or nothing of it. Whoever dies on the way leaves folders that nobody names; `recover`
removes them.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from deploy_agent.wire.fragment import FragmentPlan
from deploy_server.domain.errors import NotFound
from deploy_server.storage.disk import room_in, storage_errors
from deploy_server.storage.fragments import order
from deploy_server.storage.locks import Locks
from deploy_server.storage.s3.bucket import Bucket, NoObject, ObjectInfo
from deploy_server.storage.s3.files import MORE, PART, open_file
from deploy_server.storage.s3.shelf import Current, Damaged, Shelf
from deploy_server.storage.s3.staging import S3Staging
from deploy_server.storage.staging import PRIVATE_MODE


class S3FragmentStore:
    """A store in a bucket.

    Attributes:
        shelf: the objects.
        staging: a folder of this machine for what is read twice.
        reserve: bytes of its disk that are not for packages.
    """

    def __init__(self, bucket: Bucket, locks: Locks, staging: Path, reserve: int = 0) -> None:
        self.shelf = Shelf(bucket, locks)
        self.staging = staging
        self.reserve = reserve

    def begin(self, package_id: int) -> S3Staging:
        """Begin a new folder for a package."""
        return S3Staging(self.shelf, package_id)

    def open(self, package_id: int, name: str) -> BinaryIO:
        """Open a published file."""
        current = self.shelf.current(package_id)
        while current is not None:
            file, size = None, 0
            with contextlib.suppress(NoObject):
                place = self.shelf.folder(package_id, current.folder)
                file = open_file(self.shelf.bucket, f"{place}/{name}")
                size = file.seek(0, io.SEEK_END)
                file.seek(0)
            if file is not None and size < PART:
                return file
            # It may have been replaced since we asked which it is; and a long file that goes away
            # while its parts are listed looks like a whole one.
            now = self.shelf.current(package_id)
            if file is not None and now == current:
                return file
            current = None if now == current else now
        raise NotFound(f"package {package_id} has no file {name}")

    def path(self, package_id: int, name: str) -> None:
        """Return None: nothing lies on this machine."""

    def names(self, package_id: int) -> list[str]:
        """Return the files of a published package: info, fragments in order, their list."""
        found = self._published(package_id)
        return sorted((each.name for each in found if MORE not in each.name), key=order)

    def reader(self, package_id: int, plan: FragmentPlan) -> BinaryIO:
        """Return the published fragments joined, seekable."""
        current = self.shelf.current(package_id)
        if current is None:
            raise NotFound(f"package {package_id} has no files")
        return self.shelf.joined(package_id, current.folder, plan)

    def size(self, package_id: int) -> int:
        """Return the bytes of a published package; 0 where there is none."""
        return sum(each.size for each in self._published(package_id))

    def exists(self, package_id: int) -> bool:
        """Whether the package is published."""
        return self.shelf.current(package_id) is not None

    def delete(self, package_id: int) -> None:
        """Make the package vanish for readers, then remove its bytes; nothing if it is gone."""
        if not self.shelf.folders(package_id) and not self.exists(package_id):
            return
        with self.shelf.take_lock(package_id):
            self._remove(package_id)

    def ids(self) -> list[int]:
        """Return every package that is published or on its way, smallest id first."""
        return self.shelf.ids()

    def recover(self, package_id: int, revision: Callable[[], int | None]) -> str | None:
        """Leave of a package exactly what its row says, after a crash."""
        # Most packages are as they should be, and a lock costs more than to see that.
        current, folders = self._seen(package_id), self.shelf.folders(package_id)
        if current and folders == [current.folder] and revision() == current.revision:
            return None
        lock = self.shelf.locks.take(f"{package_id:010d}")
        if lock is None:
            return None
        with lock:
            return self._recover(package_id, revision())

    def free_bytes(self) -> int:
        """Return how many bytes new packages may take: a bucket has no end."""
        return sys.maxsize

    def scratch(self) -> BinaryIO:
        """Return an empty file for reading and writing that is gone when it is closed."""
        with storage_errors(f"nothing can be written to {self.staging}"):
            self.staging.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
            return cast(BinaryIO, tempfile.TemporaryFile(dir=self.staging))

    def scratch_bytes(self) -> int:
        """Return how many bytes such a file may take."""
        with storage_errors(f"the free space of {self.staging} cannot be told"):
            self.staging.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
            return room_in(self.staging, self.reserve)

    def check(self) -> None:
        """Return when packages can be read."""
        self.shelf.bucket.check()

    def _published(self, package_id: int) -> list[ObjectInfo]:
        current = self.shelf.current(package_id)
        return self.shelf.files(package_id, current.folder) if current else []

    def _seen(self, package_id: int) -> Current | None:
        """Return what readers see; None for nothing, and where that can only be repaired."""
        with contextlib.suppress(Damaged):
            return self.shelf.current(package_id)
        return None

    def _recover(self, package_id: int, revision: int | None) -> str | None:
        current, folders = self._seen(package_id), self.shelf.folders(package_id)
        name = f"package {package_id}"
        if revision is None:
            self._remove(package_id)
            found = current is not None or folders
            return f"{name} was never completed: removed" if found else None
        said = None
        if current is None or current.revision != revision:
            right = (each for each in folders if self.shelf.revision(package_id, each) == revision)
            if (folder := next(right, None)) is not None:
                current = Current(folder, revision)
                self.shelf.show(package_id, current)
                said = (
                    f"package {package_id} is revision {revision} again: a change was not completed"
                )
        if current is None:
            return None  # its files are gone, and what is left may be all that there is
        for folder in folders:
            if folder != current.folder:
                self.shelf.drop(package_id, folder)
                said = said or f"{name}: what was left of a change is removed"
        return said

    def _remove(self, package_id: int) -> None:
        self.shelf.show(package_id, None)
        for folder in self.shelf.folders(package_id):
            self.shelf.drop(package_id, folder)
