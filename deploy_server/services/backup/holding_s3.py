"""Packages in a bucket that nobody removes while they are copied.

Their files are never written again, and whoever replaces or deletes a package leaves them where
they are as long as somebody holds the lock of backups (storage/s3/shelf.py). What was left so is
removed when the backup is complete.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from deploy_agent.wire.fragment import INFO_FILE
from deploy_server.domain.errors import Conflict
from deploy_server.services.backup.holding import Member, expected_files
from deploy_server.storage.fragments import order
from deploy_server.storage.s3.files import MORE, open_file
from deploy_server.storage.s3.fragments import S3FragmentStore
from deploy_server.storage.s3.shelf import BACKUP_LOCK, Current, Shelf

#: How often the lock is tried, and after how many seconds: who removes something has it for an
#: instant, to see that nobody else does.
_TRIES = 20
_TRY_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class _Package:
    current: Current
    members: tuple[Member, ...]


class HeldInBucket:
    """Packages that are held; see `holding.Held`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._packages: dict[int, _Package] = {}

    def hold(self, package_id: int, revision: int, fragments: int) -> bool:
        """Hold a package of this revision; false where it is not there like that now."""
        held = self._packages.get(package_id)
        if held is not None and held.current.revision == revision:
            return True
        current = self._shelf.current(package_id)
        if current is None or current.revision != revision:
            return False
        members = self._members(package_id, current)
        if len(members) != expected_files(fragments) or members[0].name != INFO_FILE:
            return False
        self._packages[package_id] = _Package(current, tuple(members))
        return True

    def ids(self) -> list[int]:
        """Return what is held."""
        return sorted(self._packages)

    def members(self, package_id: int) -> list[Member]:
        """Return the files of a package, the info file first, fragments in order."""
        return list(self._packages[package_id].members)

    def size(self) -> int:
        """Return the bytes of everything that is held."""
        return sum(each.size for held in self._packages.values() for each in held.members)

    def drop(self, package_ids: set[int]) -> None:
        """Let go of these."""
        for package_id in package_ids & self._packages.keys():
            del self._packages[package_id]

    def outlived(self) -> list[int]:
        """Return the packages that readers do not see any more as they were held."""
        return [
            package_id
            for package_id, held in self._packages.items()
            if self._shelf.current(package_id) != held.current
        ]

    def _members(self, package_id: int, current: Current) -> list[Member]:
        place = self._shelf.folder(package_id, current.folder)
        found: dict[str, Member] = {}
        files = self._shelf.files(package_id, current.folder)
        for each in sorted(files, key=lambda each: each.name):
            name = each.name.partition(MORE)[0]
            before = found[name].size if name in found else 0
            opened = partial(open_file, self._shelf.bucket, f"{place}/{name}")
            found[name] = Member(name, before + each.size, each.modified.timestamp(), opened)
        return sorted(found.values(), key=lambda member: order(member.name))


@contextmanager
def holding(store: S3FragmentStore) -> Iterator[HeldInBucket]:
    """Hold packages until the block ends.

    Raises:
        Conflict: somebody else is making a backup.
    """
    for tried in range(_TRIES):
        if tried:
            time.sleep(_TRY_AGAIN_S)
        lock = store.shelf.locks.take(BACKUP_LOCK)
        if lock is not None:
            with lock:
                yield HeldInBucket(store.shelf)
                # What was written is worth nothing if somebody could remove things meanwhile.
                lock.confirm()
            return
    raise Conflict("a backup is being made already", "Wait until it is complete")
