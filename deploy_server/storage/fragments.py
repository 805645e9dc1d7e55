"""The bytes of packages: what a store of them promises, and the one on this machine's disk.

A published package is the folder `<id>/` with `info`, `<id>-1` to `<id>-<n>` and
`fragments.sha256`, and nothing else. It appears whole, changes whole and vanishes whole; what is
on its way stands in a staging folder that no web server reads.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, Self, cast

from deploy_agent.wire.errors import WireError
from deploy_agent.wire.fragment import FRAGMENTS_FILE, INFO_FILE, FragmentPlan
from deploy_agent.wire.info import parse_info
from deploy_server.domain.errors import NotFound
from deploy_server.storage.atomic import sync_folder
from deploy_server.storage.disk import room_in, storage_errors
from deploy_server.storage.joined import open_joined
from deploy_server.storage.lock import FileLock
from deploy_server.storage.staging import (
    FOLDER_MODE,
    PRIVATE_MODE,
    LocalStaging,
    remove_folder,
    take_lock,
    unbuffered,
)

_STAGED = re.compile(r"([0-9]{10})(\.lock|\.aside)?\Z", re.ASCII)


class NewFile(Protocol):
    """A file that is being written; its methods raise StorageError."""

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""

    def close(self) -> None:
        """Say that the file is complete; without it the file is not published."""


class Staging(Protocol):
    """A package folder on its way; a context manager that undoes what is not finished.

    Shape:
        with store.begin(package_id) as staging:
            info = staging.create("info"); info.write(data); info.close()
            staging.publish()   # readers see it
            staging.confirm()   # and nobody else could change it
            session.commit()    # the row is there too
            staging.finish()    # it stays
    """

    def create(self, name: str) -> NewFile:
        """Open a new file of this folder for writing.

        Raises:
            StorageError: the disk is full or refuses.
        """

    def keep(self, name: str) -> None:
        """Take this file over from the published folder.

        Raises:
            StorageError: it is not there, or the disk refuses.
        """

    def reader(self, plan: FragmentPlan) -> BinaryIO:
        """Return the closed fragments of this folder joined, seekable."""

    def publish(self) -> None:
        """Make the folder what readers see, all at once, on the disk for good.

        An older folder of the same package is kept aside until `finish`.

        Raises:
            StorageError: the disk refuses; nothing has changed then.
        """

    def confirm(self) -> None:
        """Return when nobody else could change the package until now.

        Raises:
            StorageError: somebody could.
        """

    def finish(self) -> None:
        """Let go: what was published stays, an older folder goes."""

    def leave(self) -> None:
        """Let go and change nothing more: nobody knows what is right, `recover` will find out."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Undo everything unless `finish` was called: readers see what they saw before."""


class FragmentStore(Protocol):
    """Where the bytes of packages are. Every method may raise StorageError."""

    def begin(self, package_id: int) -> Staging:
        """Begin a new folder for a package, published before or not.

        Raises:
            Conflict: somebody is building or changing this package right now.
        """

    def open(self, package_id: int, name: str) -> BinaryIO:
        """Open a published file.

        Raises:
            NotFound: there is none.
        """

    def path(self, package_id: int, name: str) -> Path | None:
        """Return where a published file lies on this machine, None where bytes lie elsewhere.

        Whether it exists is not looked at.
        """

    def names(self, package_id: int) -> list[str]:
        """Return the files of a published package: info, fragments in order, their list."""

    def reader(self, package_id: int, plan: FragmentPlan) -> BinaryIO:
        """Return the published fragments joined, seekable.

        Reading raises NotFound where one is missing.
        """

    def size(self, package_id: int) -> int:
        """Return the bytes of a published package; 0 where there is none."""

    def exists(self, package_id: int) -> bool:
        """Whether the package is published."""

    def delete(self, package_id: int) -> None:
        """Make the package vanish for readers, then remove its bytes; nothing if it is gone.

        Raises:
            Conflict: somebody is building or changing it right now.
        """

    def ids(self) -> list[int]:
        """Return every package that is published or on its way, smallest id first."""

    def recover(self, package_id: int, revision: Callable[[], int | None]) -> str | None:
        """Leave of a package exactly what its row says, after a crash.

        Args:
            package_id: which.
            revision: asks for the row's revision, None without a row; called when nobody else can
                change the package any more.

        Returns:
            A sentence on what was done; None when there was nothing to do, or when somebody who
            lives is at work on it.
        """

    def free_bytes(self) -> int:
        """Return how many bytes new packages may take."""

    def scratch(self) -> BinaryIO:
        """Return an empty file for reading and writing that is gone when it is closed.

        It lies on this machine, and raises OSError when the disk refuses.
        """

    def scratch_bytes(self) -> int:
        """Return how many bytes such a file may take."""

    def check(self) -> None:
        """Return when packages can be read.

        Raises:
            StorageError: they cannot; the message says why and what to do.
        """


class LocalFragmentStore:
    """A store in two folders of one file system.

    Attributes:
        download: published packages; web servers and mirror tools may read it.
        staging: what is on its way, with one lock file for each package that is worked on.
        reserve: bytes of the disk that are not for packages.
    """

    def __init__(self, download: Path, staging: Path, reserve: int = 0) -> None:
        self.download = download
        self.staging = staging
        self.reserve = reserve

    def begin(self, package_id: int) -> LocalStaging:
        """Begin a new folder for a package."""
        return LocalStaging(package_id, self.download, self.staging)

    def open(self, package_id: int, name: str) -> BinaryIO:
        """Open a published file."""
        with storage_errors(f"{name} of package {package_id} cannot be read"):
            try:
                return self.path(package_id, name).open("rb")
            except FileNotFoundError:
                raise NotFound(f"package {package_id} has no file {name}") from None

    def path(self, package_id: int, name: str) -> Path:
        """Return where a published file lies, or would lie."""
        return self._folder(package_id) / name

    def names(self, package_id: int) -> list[str]:
        """Return the files of a published package: info, fragments in order, their list."""
        with storage_errors(f"package {package_id} cannot be listed"):
            return sorted(_listed(self._folder(package_id)), key=order)

    def reader(self, package_id: int, plan: FragmentPlan) -> BinaryIO:
        """Return the published fragments joined, seekable."""
        return open_joined(unbuffered(self._folder(package_id)), f"{package_id:010d}", plan)

    def size(self, package_id: int) -> int:
        """Return the bytes of a published package; 0 where there is none."""
        folder = self._folder(package_id)
        with storage_errors(f"package {package_id} cannot be listed"):
            return sum((folder / name).stat().st_size for name in _listed(folder))

    def exists(self, package_id: int) -> bool:
        """Whether the package is published."""
        return self._folder(package_id).is_dir()

    def delete(self, package_id: int) -> None:
        """Make the package vanish for readers, then remove its bytes; nothing if it is gone."""
        if not self.exists(package_id):
            return
        with (
            storage_errors(f"package {package_id} cannot be removed"),
            take_lock(package_id, self.staging),
        ):
            self._remove(package_id)

    def ids(self) -> list[int]:
        """Return every package that is published or on its way, smallest id first."""
        with storage_errors("the packages cannot be listed"):
            names = [*_listed(self.download), *_listed(self.staging)]
        found = (_STAGED.match(name) for name in names)
        return sorted({int(match.group(1)) for match in found if match})

    def recover(self, package_id: int, revision: Callable[[], int | None]) -> str | None:
        """Leave of a package exactly what its row says, after a crash."""
        with storage_errors(f"package {package_id} cannot be put in order"):
            self.staging.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
            lock = FileLock.take(self._staged(package_id, ".lock"))
            if lock is None:
                return None
            with lock:
                return self._recover(package_id, revision())

    def free_bytes(self) -> int:
        """Return how many bytes new packages may take."""
        with storage_errors(f"the free space of {self.download} cannot be told"):
            self.download.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            return room_in(self.download, self.reserve)

    def scratch(self) -> BinaryIO:
        """Return an empty file for reading and writing that is gone when it is closed."""
        with storage_errors(f"nothing can be written to {self.staging}"):
            self.staging.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
            return cast(BinaryIO, tempfile.TemporaryFile(dir=self.staging))

    def scratch_bytes(self) -> int:
        """Return how many bytes such a file may take: it lies where packages do."""
        return self.free_bytes()

    def check(self) -> None:
        """Return when packages can be read."""
        with storage_errors(f"{self.download} cannot be read"):
            os.scandir(self.download).close()

    def _recover(self, package_id: int, revision: int | None) -> str | None:
        published = self._folder(package_id)
        leftovers = [self._staged(package_id, ""), self._staged(package_id, ".aside")]
        if revision is None:
            found = [folder for folder in (published, *leftovers) if folder.exists()]
            self._remove(package_id)
            return f"package {package_id} was never completed: removed" if found else None
        right = next((each for each in leftovers if _revision_of(each) == revision), None)
        if right is not None and _revision_of(published) != revision:
            remove_folder(published)
            right.rename(published)
            sync_folder(self.download)
            done = f"package {package_id} is revision {revision} again: a change was not completed"
        elif any(each.exists() for each in leftovers):
            done = f"package {package_id}: what was left of a change is removed"
        else:
            return None
        for each in leftovers:
            remove_folder(each)
        return done

    def _remove(self, package_id: int) -> None:
        """Remove everything of a package; published files vanish before they are removed."""
        staged = self._staged(package_id, "")
        remove_folder(staged)
        if self.exists(package_id):
            self._folder(package_id).rename(staged)
            sync_folder(self.download)
        remove_folder(staged)
        remove_folder(self._staged(package_id, ".aside"))

    def _folder(self, package_id: int) -> Path:
        return self.download / f"{package_id:010d}"

    def _staged(self, package_id: int, suffix: str) -> Path:
        return self.staging / f"{package_id:010d}{suffix}"


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def order(name: str) -> tuple[int, int, str]:
    """Return a key that sorts the files of a package: info, fragments by number, their list."""
    if name == INFO_FILE:
        return (0, 0, name)
    if name == FRAGMENTS_FILE:
        return (2, 0, name)
    number = name.rpartition("-")[2]
    return (1, int(number) if number.isdigit() else 0, name)


def _revision_of(folder: Path) -> int | None:
    try:
        return parse_info((folder / INFO_FILE).read_bytes()).revision
    except (FileNotFoundError, NotADirectoryError, WireError):
        return None
