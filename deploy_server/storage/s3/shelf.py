"""Where the objects of packages are, and which of them readers see.

packages/1800000001/current            which folder and revision readers see
packages/1800000001/5b1c.../info       a revision's files, in a folder of their own that is
packages/1800000001/5b1c.../<id>-1     complete before anything names it, and never changed
"""

import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import BinaryIO

from deploy_agent.wire.errors import WireError
from deploy_agent.wire.fragment import INFO_FILE, FragmentPlan
from deploy_agent.wire.info import parse_info
from deploy_server.domain.errors import Conflict, StorageError
from deploy_server.storage.joined import open_joined
from deploy_server.storage.locks import Lock, Locks
from deploy_server.storage.s3.bucket import Bucket, NoObject, ObjectInfo
from deploy_server.storage.s3.files import open_file

_ROOT = "packages"
_CURRENT = "current"
_ID = re.compile(r"[0-9]{10}\Z", re.ASCII)

#: Whoever makes a backup holds this lock; nothing that readers saw is removed meanwhile.
BACKUP_LOCK = "backup"


@dataclass(frozen=True, slots=True)
class Current:
    """What readers see of a package.

    Attributes:
        folder: the name of its files' folder.
        revision: of the package.
    """

    folder: str
    revision: int | None


class Damaged(StorageError):
    """Nobody can tell what readers see."""


class Shelf:
    """The objects of packages.

    Attributes:
        bucket: where.
        locks: shared by everybody who uses it.
    """

    def __init__(self, bucket: Bucket, locks: Locks) -> None:
        self.bucket = bucket
        self.locks = locks

    def take_lock(self, package_id: int) -> Lock:
        """Return the lock of one package.

        Raises:
            Conflict: somebody who lives has it.
        """
        lock = self.locks.take(f"{package_id:010d}")
        if lock is None:
            raise Conflict(
                f"package {package_id} is being built or changed by somebody else",
                "Wait until that has ended, and look at the package again",
            )
        return lock

    def folder(self, package_id: int, folder: str) -> str:
        """Return the name of a folder of a package."""
        return f"{_ROOT}/{package_id:010d}/{folder}"

    def current(self, package_id: int) -> Current | None:
        """Return what readers see, None for nothing.

        Raises:
            Damaged: what says so makes no sense.
        """
        name = self.folder(package_id, _CURRENT)
        try:
            return Current(**json.loads(self.bucket.get(name)))
        except NoObject:
            return None
        except (ValueError, TypeError):
            raise Damaged(
                f"{name} cannot be read: the store answers with something else",
                "Look whether endpoint in packages in server.toml is the store's own; what is"
                " really damaged there, deploy-server db sweep repairs",
            ) from None

    def show(self, package_id: int, current: Current | None) -> None:
        """Let readers see this from now on."""
        name = self.folder(package_id, _CURRENT)
        if current is None:
            self.bucket.delete([name])
        else:
            self.bucket.put(name, json.dumps(asdict(current)).encode())

    def files(self, package_id: int, folder: str) -> list[ObjectInfo]:
        """Return the objects of a folder; their names without it."""
        place = self.folder(package_id, folder)
        return [
            ObjectInfo(each.name.removeprefix(f"{place}/"), each.size, each.modified)
            for each in self.bucket.listed(place)
        ]

    def folders(self, package_id: int) -> list[str]:
        """Return the folders of a package, seen by readers or not."""
        return self.bucket.folders(f"{_ROOT}/{package_id:010d}")

    def ids(self) -> list[int]:
        """Return every package that has objects, smallest id first."""
        return sorted(int(name) for name in self.bucket.folders(_ROOT) if _ID.match(name))

    def revision(self, package_id: int, folder: str) -> int | None:
        """Return the revision that a folder's info file tells, None without one."""
        try:
            data = self.bucket.get(f"{self.folder(package_id, folder)}/{INFO_FILE}")
            return parse_info(data).revision
        except (NoObject, WireError):
            return None

    def joined(self, package_id: int, folder: str, plan: FragmentPlan) -> BinaryIO:
        """Return the fragments of a folder joined, seekable."""
        place = self.folder(package_id, folder)

        def opened(name: str) -> BinaryIO:
            try:
                return open_file(self.bucket, f"{place}/{name}")
            except NoObject:
                raise FileNotFoundError from None

        return open_joined(opened, f"{package_id:010d}", plan)

    def drop(self, package_id: int, folder: str) -> None:
        """Remove a folder that readers saw before; while a backup reads, leave it to `recover`."""
        lock = self.locks.take(BACKUP_LOCK)
        if lock is not None:
            # Whoever begins a backup from here on sees what is true now: without this folder.
            lock.release()
            self.remove(package_id, folder)

    def remove(self, package_id: int, folder: str) -> None:
        """Remove a folder; its info file first, so that what is left of it is nobody's revision."""
        place = self.folder(package_id, folder)
        self.bucket.delete([f"{place}/{INFO_FILE}"])
        self.bucket.delete([each.name for each in self.bucket.listed(place)])


def new_folder() -> str:
    """Return a name that no other folder has."""
    return secrets.token_hex(12)
