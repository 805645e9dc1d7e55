"""A package's new folder in a bucket, until readers see it."""

import logging
from contextlib import suppress
from typing import BinaryIO, Self

from deploy_agent.wire.errors import WireError
from deploy_agent.wire.fragment import INFO_FILE, FragmentPlan
from deploy_agent.wire.info import parse_info
from deploy_server.domain.errors import StorageError
from deploy_server.storage.s3.bucket import NoObject
from deploy_server.storage.s3.files import MORE, NewStoredFile, Sender
from deploy_server.storage.s3.shelf import Current, Shelf, new_folder

log = logging.getLogger(__name__)


class S3Staging:
    """A folder that readers do not see; see `fragments.Staging`.

    Args:
        shelf: of all packages.
        package_id: whose.
    """

    def __init__(self, shelf: Shelf, package_id: int) -> None:
        self.package_id = package_id
        self._shelf = shelf
        self._lock = shelf.take_lock(package_id)
        try:
            self._before = shelf.current(package_id)
        except BaseException:
            self._lock.release()
            raise
        self._folder = new_folder()
        self._place = shelf.folder(package_id, self._folder)
        self._sender = Sender(shelf.bucket)
        self._info: _InfoFile | None = None
        self._shown: Current | None = None
        self._done = False

    def create(self, name: str) -> NewStoredFile:
        """Open a new file of this folder for writing."""
        if name != INFO_FILE:
            return NewStoredFile(self._sender, f"{self._place}/{name}")
        self._info = _InfoFile(self._sender, f"{self._place}/{name}")
        return self._info

    def keep(self, name: str) -> None:
        """Take this file over from the published folder; the store copies it by itself."""
        if self._before is None:
            raise StorageError(f"package {self.package_id} has no file {name}", "Build it again")
        before = self._shelf.folder(self.package_id, self._before.folder)

        def copy() -> None:
            bucket = self._shelf.bucket
            try:
                bucket.copy(f"{before}/{name}", f"{self._place}/{name}")
                for each in bucket.listed(f"{before}/{name}{MORE}"):
                    bucket.copy(each.name, self._place + each.name.removeprefix(before))
            except NoObject:
                raise StorageError(
                    f"package {self.package_id} has no file {name}", "Build it again"
                ) from None

        self._sender.run(copy)

    def reader(self, plan: FragmentPlan) -> BinaryIO:
        """Return the fragments of this folder joined, seekable."""
        self._sender.wait()
        return self._shelf.joined(self.package_id, self._folder, plan)

    def publish(self) -> None:
        """Make the folder what readers see, all at once, for good."""
        self._sender.wait()
        self._lock.confirm()
        revision = None if self._info is None else self._info.revision()
        self._shown = Current(self._folder, revision)  # where the answer is lost, nobody knows
        self._shelf.show(self.package_id, self._shown)

    def confirm(self) -> None:
        """Return when nobody else could change the package until now."""
        self._lock.confirm()

    def finish(self) -> None:
        """Let go: what was published stays, an older folder goes."""
        self._done = True
        try:
            if self._before is not None:
                self._shelf.drop(self.package_id, self._before.folder)
        except StorageError as error:
            log.warning("left for the next sweep: %s", error)
        self._let_go()

    def leave(self) -> None:
        """Let go and change nothing more: nobody knows what is right, `recover` will find out."""
        self._done = True
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._done:
            return
        self._sender.stop()
        try:
            if self._shown is not None:
                self._take_back(self._shown)
            self._shelf.remove(self.package_id, self._folder)
        except StorageError as error:
            # The first error is what people need to hear; `recover` does the rest.
            log.warning("left for the next sweep: %s", error)
        finally:
            self._let_go()

    def _take_back(self, shown: Current) -> None:
        # Where the lock broke, somebody else may have changed the package since, or removed it.
        if self._shelf.current(self.package_id) in (shown, self._before):
            self._shelf.show(self.package_id, self._before)

    def _let_go(self) -> None:
        self._sender.stop()
        self._lock.release()


class _InfoFile(NewStoredFile):
    """The info file, which tells the folder's revision."""

    _data = b""

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        self._data += bytes(data)
        super().write(data)

    def revision(self) -> int | None:
        """Return the revision that it tells."""
        with suppress(WireError):
            return parse_info(self._data).revision
        return None
