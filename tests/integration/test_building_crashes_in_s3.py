"""Whoever builds, changes or deletes a package in a bucket dies at every step that leaves a trace.

To die is here to do nothing more, neither at the store nor at the database: what a SIGKILL leaves,
without a process for each of its hundred moments. So the store is the library's own in memory,
which answers as S3 does and at once; test_packages_in_s3.py has a real SIGKILL and a real socket.
"""

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import pytest
from obstore.store import MemoryStore, S3Store
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.fragment import FragmentList
from deploy_agent.wire.info import parse_info
from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import StorageError
from deploy_server.services.building import build_package
from deploy_server.services.editing import edit_package, spec_of
from deploy_server.services.packages import delete_packages
from deploy_server.services.sweeping import sweep_orphans
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.locks import FileLocks, Lock
from deploy_server.storage.models import Package
from deploy_server.storage.s3 import Bucket, S3FragmentStore
from deploy_server.storage.s3.bucket import LONG, SHORT
from deploy_server.storage.s3.shelf import Current
from tests.support.archive_bytes import tar_gz
from tests.support.packages import LAUNCH, NOW, build

OLD = tar_gz({"install.sh": bytes(range(200))})
NEW = tar_gz({"install.sh": bytes(range(250)) + b"new"})

Work = Callable[[Session, S3FragmentStore], object]


class Dead(BaseException):
    """There is nobody any more."""


class Fuse:
    """Lets somebody live for so many steps; each counts before it is done, and after."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._lock = threading.Lock()

    @property
    def has_burned(self) -> bool:
        return self._left <= 0

    def burn(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                raise Dead

    def wrap(self, owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def burning(*arguments: Any, **more: Any) -> Any:
            self.burn()
            result = inner(*arguments, **more)
            self.burn()
            return result

        setattr(owner, name, burning)


class Life:
    """A bucket and a database of its own, with one package."""

    def __init__(self, folder: Path, url: str) -> None:
        self.objects = MemoryStore()
        self.folder = folder
        self.engine = make_engine(url)
        self.sessions = session_factory(self.engine)
        self.store = self.new_store("swept")
        with self.sessions() as session:
            self.old = build(session, self.store, LAUNCH, OLD).id

    def new_store(self, name: str) -> S3FragmentStore:
        """A store with locks of its own: those of the dead are nobody's."""
        staging = self.folder / name
        bucket = Bucket(BucketAddress("tests"))
        bucket._opened = dict.fromkeys((LONG, SHORT), cast(S3Store, self.objects))
        return S3FragmentStore(bucket, FileLocks(staging), staging)

    def run(self, work: Work, steps: int) -> bool:
        """Whether somebody came to the end of the work within so many steps."""
        fuse = Fuse(steps)
        store = self.new_store("dead")
        for name in ("put", "copy", "delete"):
            fuse.wrap(store.shelf.bucket, name)
        with self.sessions() as session:
            fuse.wrap(session, "commit")
            try:
                work(session, store)
            except Dead:
                return False
        return not fuse.has_burned

    def rows(self) -> dict[int, int]:
        with self.sessions() as session:
            rows = session.scalars(select(Package).where(Package.deleted_at.is_(None)))
            return {row.id: row.revision for row in rows}

    def seen(self) -> dict[int, int]:
        """The revisions of published packages, every byte of which is right."""
        ids = [each for each in self.store.ids() if self.store.exists(each)]
        return {package_id: self.is_whole(package_id) for package_id in ids}

    def is_whole(self, package_id: int) -> int:
        files = {}
        for name in self.store.names(package_id):
            with self.store.open(package_id, name) as file:
                files[name] = file.read()
        info = parse_info(files["info"])
        names = [f"{package_id}-{n}" for n in range(1, info.fragments + 1)]
        assert set(files) == {"info", "fragments.sha256", *names}
        data = b"".join(files[name] for name in names)
        assert info.sha256 == hashlib.sha256(data).digest()
        listed = FragmentList.parse(files["fragments.sha256"], str(package_id), info.fragments)
        assert list(listed.digests) == [hashlib.sha256(files[name]).digest() for name in names]
        return info.revision or 0


def build_new(session: Session, store: S3FragmentStore) -> object:
    spec = replace(LAUNCH, name="New", fragment_size=200)
    return build_package(session, store, spec, io.BytesIO(NEW), now=NOW, actor="tests")


def change_old(session: Session, store: S3FragmentStore) -> object:
    (package,) = session.scalars(select(Package)).all()
    spec = replace(spec_of(package), priority=1)
    return edit_package(session, store, package.id, spec, io.BytesIO(NEW), now=NOW, actor="tests")


def describe_old(session: Session, store: S3FragmentStore) -> object:
    (package,) = session.scalars(select(Package)).all()
    spec = replace(spec_of(package), priority=1)
    return edit_package(session, store, package.id, spec, now=NOW, actor="tests")


def delete_old(session: Session, store: S3FragmentStore) -> object:
    (package,) = session.scalars(select(Package)).all()
    return delete_packages(session, store, [package.id], now=NOW, actor="tests")


@pytest.mark.parametrize("work", [build_new, change_old, describe_old, delete_old])
def test_killed_at_every_step(sqlite_databases: Any, tmp_path: Path, work: Work) -> None:
    for steps in range(1, 100):
        folder = tmp_path / str(steps)
        folder.mkdir()
        with sqlite_databases.fresh(folder) as url:
            life = Life(folder, url)
            ended = life.run(work, steps)

            # Before anybody swept: whatever readers see is whole, whatever has a row is there.
            assert set(life.rows()) <= set(life.seen())

            with life.sessions() as session:
                sweep_orphans(session, life.store, NOW)
                assert sweep_orphans(session, life.store, NOW) == []
            assert life.seen() == life.rows()
            folders = [f for each in life.store.ids() for f in life.store.shelf.folders(each)]
            assert len(folders) == len(life.rows()), "nothing is left over"
            life.engine.dispose()
            if ended:
                break
    else:
        pytest.fail("the work never came to its end")
    assert steps > 6, "the fuse was never lit"
    if work is build_new:
        assert len(life.rows()) == 2
    else:
        assert life.rows() == ({} if work is delete_old else {life.old: 2})


class BrokenLock:
    """One whose keeper goes away when `locks` says so; the next one may take it then."""

    def __init__(self, locks: "BreakingLocks", lock: Lock) -> None:
        self._locks = locks
        self._lock = lock

    def confirm(self) -> None:
        if self._locks.broken:
            raise StorageError("the connection broke")

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class BreakingLocks(FileLocks):
    """Locks like those of a database, which keep nobody away when the connection broke."""

    broken = False

    def take(self, name: str) -> Lock | None:
        lock = super().take(name)
        return None if lock is None else BrokenLock(self, lock)


def nobody(_session: Session, _store: S3FragmentStore) -> None:
    """Do nothing."""


def sweep(session: Session, store: S3FragmentStore) -> None:
    sweep_orphans(session, store, NOW)


@pytest.mark.parametrize("work", [build_new, change_old])
@pytest.mark.parametrize("other", [nobody, sweep, describe_old])
def test_a_lock_that_breaks_before_the_commit(
    sqlite_databases: Any, tmp_path: Path, work: Work, other: Work
) -> None:
    with sqlite_databases.fresh(tmp_path) as url:
        life = Life(tmp_path, url)
        store = life.new_store("broken")
        locks = store.shelf.locks = BreakingLocks(tmp_path / "broken")
        show = store.shelf.show

        def show_and_break(package_id: int, current: Current | None) -> None:
            show(package_id, current)
            if not locks.broken:
                locks.broken = True
                with life.sessions() as session:
                    other(session, life.store)

        store.shelf.show = show_and_break  # type: ignore[method-assign]
        with life.sessions() as session, pytest.raises(StorageError, match="broke"):
            work(session, store)
        # Whoever had it meanwhile is right, and nobody else changes anything.
        assert life.seen() == life.rows() == {life.old: 2 if other is describe_old else 1}
        life.engine.dispose()
