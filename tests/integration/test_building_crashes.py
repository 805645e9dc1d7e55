"""A process that builds or changes a package is killed at every step that leaves a trace.

Readers never see half a package; after the sweep, files and rows say the same, and what was there
before is still there. The processes are real and die by SIGKILL.
"""

import hashlib
import io
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.fragment import FragmentList
from deploy_agent.wire.info import parse_info
from deploy_server.services.building import build_package
from deploy_server.services.editing import edit_package, spec_of
from deploy_server.services.packages import delete_packages
from deploy_server.services.sweeping import sweep_orphans
from deploy_server.storage import staging
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.lock import FileLock
from deploy_server.storage.models import Package
from tests.support.archive_bytes import tar_gz
from tests.support.cli import Cli
from tests.support.packages import LAUNCH, NOW, build, content, joined, local_store
from tests.support.processes import BIN
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

OLD = tar_gz({"install.sh": random.Random(1).randbytes(250)})
NEW = tar_gz({"install.sh": random.Random(2).randbytes(450)})
SPEC = replace(LAUNCH, name="New", fragment_size=200)

Work = Callable[[Session, LocalFragmentStore], object]


@contextmanager
def session_on(url: str) -> Iterator[Session]:
    engine = make_engine(url)
    with session_factory(engine)() as session:
        yield session
    engine.dispose()


def build_new(session: Session, store: LocalFragmentStore) -> object:
    return build_package(session, store, SPEC, io.BytesIO(NEW), now=NOW, actor="tests")


def change_old(session: Session, store: LocalFragmentStore) -> object:
    (package,) = session.scalars(select(Package)).all()
    spec = replace(spec_of(package), priority=1)
    return edit_package(session, store, package.id, spec, io.BytesIO(NEW), now=NOW, actor="tests")


def delete_old(session: Session, store: LocalFragmentStore) -> object:
    (package,) = session.scalars(select(Package)).all()
    return delete_packages(session, store, [package.id], now=NOW, actor="tests")


class Fuse:
    """Kills this process at the nth step, before it or after it."""

    def __init__(self, after: int) -> None:
        self.left = after

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def burning(*arguments: Any, **more: Any) -> Any:
            self.burn()
            result = inner(*arguments, **more)
            self.burn()
            return result

        setattr(owner, name, burning)


def run_until(url: str, store: LocalFragmentStore, work: Work, after: int) -> bool:
    """Whether a process of its own came to its end; killed at step `after` otherwise."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            fuse = Fuse(after)
            for owner, name in [
                (staging.LocalStaging, "create"),
                (staging, "_write"),
                (staging, "sync_folder"),
                (staging, "exchange"),
                (staging, "remove_folder"),
                (FileLock, "release"),
                (Path, "rename"),
                (Path, "mkdir"),
                (Session, "commit"),
            ]:
                fuse.wrap(owner, name)
            with session_on(url) as session:
                work(session, store)
            status = 0
        finally:
            os._exit(status)
    _, how = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(how) or os.WEXITSTATUS(how) == 0, "the process failed by itself"
    return not os.WIFSIGNALED(how)


def is_whole(store: LocalFragmentStore, package_id: int) -> int:
    """The revision of a published package, every byte of which is right."""
    files = content(store, package_id)
    info = parse_info(files["info"])
    names = [f"{package_id}-{n}" for n in range(1, info.fragments + 1)]
    assert set(files) == {"info", "fragments.sha256", *names}
    data = b"".join(files[name] for name in names)
    assert info.sha256 == hashlib.sha256(data).digest()
    listed = FragmentList.parse(files["fragments.sha256"], str(package_id), info.fragments)
    assert list(listed.digests) == [hashlib.sha256(files[name]).digest() for name in names]
    return info.revision or 0


def published(store: LocalFragmentStore) -> list[int]:
    return [int(path.name) for path in store.download.iterdir()]


@pytest.mark.parametrize("work", [build_new, change_old, delete_old])
def test_killed_at_every_step(sqlite_databases: Any, tmp_path: Path, work: Work) -> None:
    lives = 0
    for after in range(1, 400):
        folder = tmp_path / str(after)
        folder.mkdir()
        store = local_store(folder)
        with sqlite_databases.fresh(folder) as url:
            with session_on(url) as session:
                old = build(session, store, LAUNCH, OLD).id
            ended = run_until(url, store, work, after)
            lives += 1

            # Before anybody swept: whatever readers see is whole, whatever has a row is there.
            seen = {package_id: is_whole(store, package_id) for package_id in published(store)}
            with session_on(url) as session:
                rows = {
                    row.id: row.revision
                    for row in session.scalars(select(Package).where(Package.deleted_at.is_(None)))
                }
                session.rollback()
                assert set(rows) <= set(seen)

                sweep_orphans(session, store, NOW)
                assert {each: is_whole(store, each) for each in published(store)} == rows
                assert list(store.staging.iterdir()) == []
                assert not ended or work is not build_new or set(rows) > {old}
                # And life goes on.
                again = build(session, store, LAUNCH, NEW, name=f"again {after}")
                assert joined(store, again) == NEW
            if ended:
                break
    else:
        pytest.fail("the work never came to its end")
    assert lives > 8, "the fuse was never lit"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_ended_leaves_nothing(tmp_path: Path, signal_number: int) -> None:
    """Ctrl-C, systemd and kill -9, while the file still comes; the last one leaves it to sweep."""
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--host", "localhost", "--password-file", "-", stdin="correct horse")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [str(BIN / "deploy-server"), "package", "build", "x", "--os", "linux"]
    command += ["--action", "store", "--path", "/opt", "--file", str(pipe)]
    command += ["--fragment-size", "100"]
    environ = {**os.environ, **cli.environ}
    staging = cli.data / "staging"
    with (
        subprocess.Popen(command, env=environ, stderr=subprocess.PIPE) as process,
        pipe.open("wb") as writer,
    ):
        writer.write(NEW[:-10])
        writer.flush()
        wait_until(lambda: list(staging.glob("*/*-1")), "the first fragment is there")
        process.send_signal(signal_number)
        process.wait(20)
    if signal_number == signal.SIGKILL:
        assert list(staging.iterdir())
        assert "never completed" in cli("db", "sweep").err
    else:
        assert process.returncode == 1
    assert list(staging.iterdir()) == []
    assert list((cli.data / "download").iterdir()) == []
    assert cli.ok("package", "list", "--json").strip() == "[]"


def _build_several(url: str, folder: Path, mark: str, begin: Any, out: Any) -> None:
    begin.wait()
    store = local_store(folder)
    with session_on(url) as session:
        for number in range(5):
            built = build(session, store, LAUNCH, NEW, name=f"{mark}{number}")
            out.put(built.id)


def test_two_processes_in_the_same_second(database_url: str, tmp_path: Path) -> None:
    """Ids are different, every package is whole, on either database."""
    context = multiprocessing.get_context("fork")
    begin, out = context.Event(), context.Queue()
    workers = [
        context.Process(target=_build_several, args=(database_url, tmp_path, mark, begin, out))
        for mark in "ab"
    ]
    for worker in workers:
        worker.start()
    begin.set()
    ids = sorted(out.get(timeout=60) for _ in range(10))
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    first = int(NOW.timestamp())
    assert ids == list(range(first, first + 10))
    store = local_store(tmp_path)
    assert [is_whole(store, each) for each in ids] == [1] * 10


def test_the_same_name_at_the_same_time(database_url: str, tmp_path: Path) -> None:
    """One wins; the other is told, and leaves nothing but an unused id."""
    context = multiprocessing.get_context("fork")
    begin, out = context.Event(), context.Queue()
    workers = [
        context.Process(target=_build_same, args=(database_url, tmp_path, begin, out))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    begin.set()
    said = sorted(out.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(30)
    assert said == ["built", "taken", "taken"]
    assert len(local_store(tmp_path).ids()) == 1


def _build_same(url: str, folder: Path, begin: Any, out: Any) -> None:
    from deploy_server.domain.errors import Conflict

    begin.wait()
    with session_on(url) as session:
        try:
            build(session, local_store(folder), LAUNCH, NEW)
            out.put("built")
        except Conflict:
            out.put("taken")


def test_readers_see_one_revision_while_it_changes(sqlite_databases: Any, tmp_path: Path) -> None:
    """A reader that opens info and fragments again and again never finds one missing."""
    store = local_store(tmp_path)
    with sqlite_databases.fresh(tmp_path) as url, session_on(url) as session:
        package = build(session, store, LAUNCH, OLD)
        folder = store.download / str(package.id)
        names = ("info", "fragments.sha256", f"{package.id}-1")
        over = threading.Event()
        trouble: list[BaseException] = []

        def read() -> None:
            try:
                while not over.is_set():
                    for name in names:
                        (folder / name).read_bytes()
            except OSError as error:
                trouble.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(20):
            data = NEW if number % 2 else OLD
            edit_package(
                session, store, package.id, spec_of(package), io.BytesIO(data), now=NOW, actor="t"
            )
        over.set()
        for reader in readers:
            reader.join()
    assert trouble == []
    assert package.revision == 21


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A wrapped file of 1 GiB, cut into 1 MiB pieces: at most 30 MiB above idle."""
    script = """
import os, resource, sys
from pathlib import Path
from deploy_server.domain.package import PackageSpec
from deploy_server.services.building import build_package
from deploy_server.storage import schema
from deploy_server.storage import staging
from deploy_server.storage.database import make_engine, session_factory
from tests.support.packages import NOW, local_store

folder, file = Path(sys.argv[1]), open(sys.argv[2], "rb", buffering=0)
engine = make_engine(f"sqlite:///{folder}/t.db")
schema.upgrade(engine)
session = session_factory(engine)()
spec = PackageSpec("a", "linux", "STORE", "/opt", wrap=True)
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
package = build_package(session, local_store(folder), spec, file, now=NOW, actor="", file_name="a")
print(package.fragments, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle)
"""
    big = tmp_path / "big"
    with big.open("wb") as file:
        noise = random.Random(1).randbytes(1024**2)
        for number in range(1024):
            file.write(noise[number:] + noise[:number])
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, big], capture_output=True, text=True, check=True
    )
    fragments, grown_kib = map(int, done.stdout.split())
    assert fragments >= 1024
    assert grown_kib < 30 * 1024
