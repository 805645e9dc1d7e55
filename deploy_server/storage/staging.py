"""A package folder on its way: written beside the published ones, then put in place at once.

Everything is on the disk for good before readers see it. A crash leaves the published folder as
it was, or as it was going to be, and what else lies around is `LocalFragmentStore.recover`'s.
"""

import contextlib
import ctypes
import errno
import os
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Self

from deploy_agent.wire.fragment import FragmentPlan
from deploy_server.domain.errors import Conflict
from deploy_server.storage.atomic import sync_folder
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.joined import OpenFile, open_joined
from deploy_server.storage.lock import FileLock

# Web servers and mirror tools run as other users, and nothing in these folders is private.
FOLDER_MODE = 0o755
PRIVATE_MODE = 0o700
FILE_MODE = 0o644

_SYNCS_MAX = 8  # files that wait for the disk; the writer waits then too
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_PIECE = 1024 * 1024  # bytes copied at a time
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY)


class StagedFile:
    """A file of a staging folder while it is written."""

    def __init__(self, file: BinaryIO, what: str, syncer: "_Syncer") -> None:
        self._file = file
        self._what = what
        self._syncer = syncer

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`.

        Raises:
            StorageError: the disk is full or refuses.
        """
        with storage_errors(self._what):
            _write(self._file, data)

    def close(self) -> None:
        """Say that the file is complete.

        Raises:
            StorageError: the disk is full or refuses.
        """
        with storage_errors(self._what):
            self._file.flush()
            self._syncer.add(self._file)


class _Syncer:
    """Brings files to the disk while the next ones are written."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._waiting: deque[Future[None]] = deque()

    def add(self, file: BinaryIO) -> None:
        self._waiting.append(self._pool.submit(_sync_and_close, file))
        while len(self._waiting) > _SYNCS_MAX:
            self._waiting.popleft().result()

    def wait(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class LocalStaging:
    """A staging folder on this machine; see `fragments.Staging`."""

    def __init__(self, package_id: int, download: Path, staging: Path) -> None:
        self.package_id = package_id
        self._published = download / f"{package_id:010d}"
        self._folder = staging / f"{package_id:010d}"
        self._files: list[BinaryIO] = []
        self._done = self._visible = self._replaced = False
        with storage_errors(f"package {package_id} cannot be prepared in {staging}"):
            download.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._lock = take_lock(package_id, staging)
            try:
                self._folder.mkdir()
                self._folder.chmod(FOLDER_MODE)
            except BaseException:
                self._lock.release()
                raise
        self._syncer = _Syncer()

    def create(self, name: str) -> StagedFile:
        """Open a new file of this folder for writing."""
        what = f"{name} of package {self.package_id} cannot be written"
        with storage_errors(what):
            file = (self._folder / name).open("xb")
            os.fchmod(file.fileno(), FILE_MODE)
        self._files = [each for each in self._files if not each.closed] + [file]
        return StagedFile(file, what, self._syncer)

    def keep(self, name: str) -> None:
        """Take this file over from the published folder; the two share its bytes if they can."""
        with storage_errors(f"{name} of package {self.package_id} cannot be taken over"):
            try:
                (self._folder / name).hardlink_to(self._published / name)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._copy(name)

    def _copy(self, name: str) -> None:
        copy = self.create(name)
        with (self._published / name).open("rb") as file:
            while piece := file.read(_PIECE):
                copy.write(piece)
        copy.close()

    def reader(self, plan: FragmentPlan) -> BinaryIO:
        """Return the fragments of this folder joined, seekable."""
        return open_joined(unbuffered(self._folder), f"{self.package_id:010d}", plan)

    def publish(self) -> None:
        """Make the folder what readers see, all at once, on the disk for good."""
        with storage_errors(f"package {self.package_id} cannot be published"):
            self._syncer.wait()
            sync_folder(self._folder)
            if self._published.exists():
                exchange(self._folder, self._published)
                self._replaced = True
            else:
                self._folder.rename(self._published)
            self._visible = True
            sync_folder(self._published.parent)
            sync_folder(self._folder.parent)

    def confirm(self) -> None:
        """Return: the kernel keeps others away as long as this process lives."""

    def finish(self) -> None:
        """Let go: what was published stays, an older folder goes."""
        self._done = True
        self._let_go()

    def leave(self) -> None:
        """Let go and change nothing more: nobody knows what is right, `recover` will find out."""
        self._done = True
        self._syncer.stop()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._done:
            return
        with storage_errors(f"package {self.package_id} cannot be taken back"):
            if self._replaced:
                exchange(self._folder, self._published)
            elif self._visible:
                self._published.rename(self._folder)
        self._let_go()

    def _let_go(self) -> None:
        self._syncer.stop()
        for file in self._files:
            with contextlib.suppress(OSError):  # what it still holds is not wanted any more
                file.close()
        with storage_errors(f"{self._folder} cannot be removed"):
            remove_folder(self._folder)
            self._lock.release()


def take_lock(package_id: int, staging: Path) -> FileLock:
    """Return the lock of one package.

    Raises:
        Conflict: somebody who lives has it.
    """
    staging.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
    lock = FileLock.take(staging / f"{package_id:010d}.lock")
    if lock is None:
        raise Conflict(
            f"package {package_id} is being built or changed by somebody else",
            "Wait until that has ended, and look at the package again",
        )
    return lock


def unbuffered(folder: Path) -> OpenFile:
    """Return what opens the files of a folder."""
    return lambda name: (folder / name).open("rb", buffering=0)


def remove_folder(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():  # a file vanished from it meanwhile: somebody else removes it too
            raise


def exchange(one: Path, other: Path) -> None:
    """Let two folders of one file system change places.

    Where the file system can do it, in one step that no reader sees half done. Elsewhere `other`
    is missing for a moment, and its old content lies beside `one` with `.aside` at its name's end.

    Raises:
        OSError: they are not there, or the disk refuses.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        names = os.fsencode(one), os.fsencode(other)
        if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NOT_SUPPORTED:
            raise OSError(code, os.strerror(code), str(other))
    aside = one.with_name(f"{one.name}.aside")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _write(file: BinaryIO, data: bytes | memoryview) -> None:
    file.write(data)


def _sync_and_close(file: BinaryIO) -> None:
    os.fsync(file.fileno())
    file.close()
