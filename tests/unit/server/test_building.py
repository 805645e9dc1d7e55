import errno
import hashlib
import io
import random
import tarfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from deploy_agent.wire.digest import DigestAlgorithm
from deploy_agent.wire.fragment import FragmentList
from deploy_agent.wire.info import Notification, parse_info
from deploy_server.domain.errors import Conflict, SpecError, SpecErrors, StorageError, TooLarge
from deploy_server.domain.package import PackageSpec
from deploy_server.services.building import build_package
from deploy_server.services.settings import set_setting
from deploy_server.storage.allocation import allocate, last_allocated
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.models import Package
from tests.support.archive_bytes import tar_gz, zip_

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ID = int(NOW.timestamp())
NOISE = random.Random(1).randbytes(500)
ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n", "noise": NOISE})
LAUNCH = PackageSpec("Tool", "linux", "LAUNCH", "install.sh", fragment_size=100)
COMMAND = PackageSpec("Tool", "linux", "EXECUTE", "true")


@pytest.fixture
def store(tmp_path: Path) -> LocalFragmentStore:
    return LocalFragmentStore(tmp_path / "download", tmp_path / "staging")


class Pipe(io.RawIOBase):
    """A source that cannot be measured and gives what it has in odd pieces."""

    def __init__(self, data: bytes, fail: OSError | None = None) -> None:
        self._data = io.BytesIO(data)
        self._fail = fail

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._data.read(min(size, 150) if size >= 0 else -1)
        if not piece and self._fail:
            raise self._fail
        return piece


def build(
    session: Session,
    store: LocalFragmentStore,
    spec: PackageSpec,
    data: bytes | io.IOBase | None = None,
    **more: Any,
) -> Package:
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    return build_package(
        session, store, spec, source, now=NOW, actor="tests", **more  # type: ignore[arg-type]
    )  # fmt: skip


def content(store: LocalFragmentStore, package_id: int) -> dict[str, bytes]:
    folder = store.download / str(package_id)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def nothing_is_left(session: Session, store: LocalFragmentStore) -> bool:
    session.rollback()
    rows = session.scalars(select(Package)).all()
    staged = list(store.staging.iterdir()) if store.staging.exists() else []
    assert last_allocated(session, "package") in (None, ID - 1)
    return not rows and not store.ids() and not staged


def test_a_package_is_its_info_its_fragments_and_their_list(
    session: Session, store: LocalFragmentStore
) -> None:
    package = build(session, store, LAUNCH, ARCHIVE, file_name="C:\\up\\tool.tar.gz")
    files = content(store, package.id)
    count = -(-len(ARCHIVE) // 100)
    names = [f"{ID}-{n}" for n in range(1, count + 1)]
    assert set(files) == {"info", "fragments.sha256", *names}
    assert [len(files[name]) for name in names[:-1]] == [100] * (count - 1)
    assert b"".join(files[name] for name in names) == ARCHIVE
    listed = FragmentList.parse(files["fragments.sha256"], str(ID), count)
    assert listed.digests == tuple(hashlib.sha256(files[name]).digest() for name in names)

    info = parse_info(files["info"])
    assert (info.package_id, info.priority, info.fragments) == (str(ID), 5, count)
    assert info.digest is not None
    assert info.digest.text == hashlib.md5(ARCHIVE).hexdigest()
    assert info.sha256 == hashlib.sha256(ARCHIVE).digest()
    assert info.fragments_sha256 == hashlib.sha256(files["fragments.sha256"]).digest()
    assert (info.fragment_size, info.revision) == (100, 1)

    session.expire_all()
    row = session.get_one(Package, ID)
    assert (row.name, row.name_key, row.size, row.fragments) == (
        "Tool", "tool", len(ARCHIVE), count,
    )  # fmt: skip
    assert row.digest == hashlib.md5(ARCHIVE).hexdigest()
    assert row.sha256 == hashlib.sha256(ARCHIVE).hexdigest()
    assert (row.file_name, row.created_by, row.created_at) == ("tool.tar.gz", "tests", NOW)
    assert list(store.staging.iterdir()) == []


def test_a_command_without_a_file_is_its_info_alone(
    session: Session, store: LocalFragmentStore
) -> None:
    package = build(session, store, COMMAND)
    (info,) = content(store, package.id).values()
    assert parse_info(info).fragments == 0
    assert b"X_SHA256" not in info
    assert b"X_FRAGMENTS_SHA256" not in info
    assert (package.size, package.fragments, package.digest) == (0, 0, "")


def test_everything_that_was_said_is_in_the_info_file(
    session: Session, store: LocalFragmentStore
) -> None:
    spec = replace(
        COMMAND, os="windows", priority=0, target="a & b <c> \"d\" 'é'", protocol="HTTPS",
        notify_text="<b>now</b> & then", notify_countdown=0, can_delay=True, done_text="bye",
        success_codes=(1,), reboot_codes=(3010, 1641), retry_codes=(1618,), execution_timeout=0,
    )  # fmt: skip
    package = build(session, store, spec)
    info = parse_info(content(store, package.id)["info"])
    assert (info.priority, info.target, info.protocol) == (0, spec.target, "HTTPS")
    assert info.notification == Notification("<b>now</b> & then", 0, False, True)
    assert (info.done_text, info.execution_timeout_min) == ("bye", 0)
    assert (info.success_codes, info.reboot_codes, info.retry_codes) == (
        (1,),
        (3010, 1641),
        (1618,),
    )
    assert package.options == {
        "notify_text": "<b>now</b> & then", "notify_countdown": 0, "can_delay": True,
        "done_text": "bye", "success_codes": [1], "reboot_codes": [3010, 1641],
        "retry_codes": [1618], "execution_timeout": 0,
    }  # fmt: skip


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
@pytest.mark.parametrize("encoding", ["Hexa", "Base64"])
def test_every_digest(
    session: Session, store: LocalFragmentStore, algorithm: str, encoding: str
) -> None:
    spec = replace(LAUNCH, digest_algorithm=algorithm, digest_encoding=encoding)
    package = build(session, store, spec, ARCHIVE)
    info = parse_info(content(store, package.id)["info"])
    assert info.digest is not None
    assert info.digest.raw == hashlib.new(algorithm.lower(), ARCHIVE).digest()
    assert info.digest.text == package.digest
    assert info.sha256 == hashlib.sha256(ARCHIVE).digest()


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        ({"fragment_size": None}, [len(ARCHIVE)]),
        ({"fragment_size": len(ARCHIVE)}, [len(ARCHIVE)]),
        ({"fragment_size": len(ARCHIVE) - 1}, [len(ARCHIVE) - 1, 1]),
        ({"fragment_size": None, "fragments": 1}, [len(ARCHIVE)]),
        (
            {"fragment_size": None, "fragments": 2},
            [-(-len(ARCHIVE) // 2), len(ARCHIVE) - -(-len(ARCHIVE) // 2)],
        ),
        ({"fragment_size": None, "fragments": 499_999}, [1] * len(ARCHIVE)),
    ],
)
def test_every_cut(
    session: Session,
    store: LocalFragmentStore,
    change: dict[str, Any],
    sizes: list[int],
    seekable: bool,
) -> None:
    source = io.BytesIO(ARCHIVE) if seekable else Pipe(ARCHIVE)
    package = build(session, store, replace(LAUNCH, **change), source)
    files = content(store, package.id)
    assert [len(files[f"{ID}-{n}"]) for n in range(1, package.fragments + 1)] == sizes
    assert package.size == len(ARCHIVE)


def test_the_setting_for_automatic_fragments(session: Session, store: LocalFragmentStore) -> None:
    """OCS's way: 3.5 MB at 1 MB each are 4 equal pieces."""
    set_setting(session, "DOWNLOAD_ACTIVATE_FRAG", "on", actor="tests", now=NOW)
    set_setting(session, "DOWNLOAD_RATIO_FRAG", "1", actor="tests", now=NOW)
    archive = tar_gz({"install.sh": random.Random(1).randbytes(7 * 1024**2 // 2)})
    package = build(session, store, replace(LAUNCH, fragment_size=None), archive)
    assert (package.fragments, package.fragment_size) == (4, -(-len(archive) // 4))
    package = build(
        session, store, replace(LAUNCH, name="other", fragment_size=2 * 1024**2), archive
    )
    assert package.fragment_size == 2 * 1024**2


def test_a_zip_for_windows(session: Session, store: LocalFragmentStore) -> None:
    spec = replace(LAUNCH, os="windows", target="setup.exe /S")
    package = build(session, store, spec, zip_({"Setup.exe": NOISE}))
    assert package.fragments == 7


@pytest.mark.parametrize(
    ("os", "seekable"), [("linux", True), ("linux", False), ("windows", True), ("windows", False)]
)
def test_a_single_file_is_wrapped(
    session: Session, store: LocalFragmentStore, os: str, seekable: bool
) -> None:
    spec = replace(LAUNCH, os=os, target="setup.run -q", wrap=True, fragment_size=None, fragments=3)
    source = io.BytesIO(NOISE) if seekable else Pipe(NOISE)
    package = build(session, store, spec, source, file_name="setup.run")
    files = content(store, package.id)
    joined = io.BytesIO(b"".join(files[f"{ID}-{n}"] for n in (1, 2, 3)))
    if os == "windows":
        with zipfile.ZipFile(joined) as archive:
            assert archive.read("setup.run") == NOISE
    else:
        with tarfile.open(fileobj=joined) as tar:
            member = tar.getmember("setup.run")
            assert member.mode == 0o755
            file = tar.extractfile(member)
            assert file is not None
            assert file.read() == NOISE
    assert package.size == len(joined.getvalue())


def test_one_byte_is_enough_to_wrap(session: Session, store: LocalFragmentStore) -> None:
    spec = PackageSpec("x", "linux", "STORE", "/opt", wrap=True)
    assert build(session, store, spec, b"x", file_name="x").fragments == 1


@pytest.mark.parametrize("size", [1, 10, 1024, 1025])
def test_small_files(session: Session, store: LocalFragmentStore, size: int) -> None:
    """OCS counts fragments of nothing for files of up to 1 KiB."""
    spec = PackageSpec("x", "linux", "STORE", "/opt", wrap=True)
    data = random.Random(size).randbytes(size)
    package = build(session, store, spec, data, file_name="x", length=size)
    assert package.fragments == 1
    assert package.size > 0


@pytest.mark.parametrize(
    ("spec", "data", "field"),
    [
        (LAUNCH, b"", "file"),
        (LAUNCH, b"x", "file"),
        (LAUNCH, b"Rar!\x1a\x07\0" + NOISE, "file"),
        (replace(LAUNCH, wrap=True), b"Rar!\x1a\x07\0" + NOISE, "file"),
        (LAUNCH, zip_({"install.sh": b"1"}), "file"),
        (LAUNCH, ARCHIVE[:-10], "file"),
        (LAUNCH, tar_gz({"../install.sh": b"1"}), "file"),
        (replace(LAUNCH, target="other.sh"), ARCHIVE, "target"),
        (replace(LAUNCH, wrap=True), b"MZ", "target"),
        (replace(LAUNCH, os="windows"), zip_({"install.sh": NOISE})[:-5], "file"),
        (replace(LAUNCH, os="windows", target="a.exe"), zip_({"b.exe": b""}), "target"),
    ],
)
def test_a_wrong_file_leaves_nothing(
    session: Session, store: LocalFragmentStore, spec: PackageSpec, data: bytes, field: str
) -> None:
    with pytest.raises(SpecError) as caught:
        build(session, store, spec, data, file_name="setup.exe")
    assert caught.value.field == field
    assert nothing_is_left(session, store)


def test_wrong_fields_leave_nothing(session: Session, store: LocalFragmentStore) -> None:
    with pytest.raises(SpecErrors):
        build(session, store, replace(LAUNCH, priority=11), ARCHIVE)
    assert nothing_is_left(session, store)


def test_a_name_is_taken_in_any_spelling(session: Session, store: LocalFragmentStore) -> None:
    first = build(session, store, replace(COMMAND, name="Größe"))
    with pytest.raises(Conflict, match=str(first.id)):
        build(session, store, replace(COMMAND, name="GRÖSSE"))
    first.deleted_at = NOW
    session.commit()
    assert build(session, store, replace(COMMAND, name="GRÖSSE")).id == ID + 1  # never the same


def test_a_name_that_is_taken_meanwhile(session: Session, store: LocalFragmentStore) -> None:
    """Somebody else's row arrives while our file is read."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() and not session.get(Package, 5):
                other = Package(
                    id=5, name="TOOL", name_key="tool", os="any", action="EXECUTE", target="x",
                    priority=5, protocol="HTTP", size=0, fragments=0, created_at=NOW,
                )  # fmt: skip
                session.add(other)
                session.commit()
            return super().read(size)

    with pytest.raises(Conflict, match="package 5"):
        build(session, store, LAUNCH, Slow(ARCHIVE))
    assert not store.ids()
    assert list(store.staging.iterdir()) == []


def test_ids_count_on_within_a_second(session: Session, store: LocalFragmentStore) -> None:
    ids = [build(session, store, replace(COMMAND, name=f"n{n}")).id for n in range(3)]
    assert ids == [ID, ID + 1, ID + 2]


def test_an_id_is_never_above_what_ocs_can_store(
    session: Session, store: LocalFragmentStore
) -> None:
    allocate(session, "package", 2**31 - 2)
    session.commit()
    assert build(session, store, COMMAND).id == 2**31 - 1
    with pytest.raises(Conflict, match="no package ids left"):
        build(session, store, replace(COMMAND, name="x"))


@pytest.mark.parametrize("year", [1990, 2100])
def test_a_wrong_clock_still_gives_ten_digits(
    session: Session, store: LocalFragmentStore, year: int
) -> None:
    now = datetime(year, 1, 1, tzinfo=UTC)
    package = build_package(session, store, COMMAND, None, now=now, actor="")
    assert package.id == 1_000_000_000


def test_too_large(session: Session, store: LocalFragmentStore) -> None:
    for source in (io.BytesIO(ARCHIVE), Pipe(ARCHIVE)):
        with pytest.raises(TooLarge, match="200 bytes"):
            build(session, store, LAUNCH, source, max_bytes=200)
    assert nothing_is_left(session, store)


@pytest.mark.parametrize("announced", [1, -1])
def test_an_upload_of_another_length(
    session: Session, store: LocalFragmentStore, announced: int
) -> None:
    with pytest.raises(SpecError, match="were announced"):
        build(session, store, LAUNCH, ARCHIVE, length=len(ARCHIVE) + announced)
    assert nothing_is_left(session, store)


def test_a_source_that_breaks(session: Session, store: LocalFragmentStore) -> None:
    broken = Pipe(ARCHIVE[:400], OSError(errno.EIO, "Input/output error"))
    with pytest.raises(SpecError, match="Input/output error") as caught:
        build(session, store, LAUNCH, broken)
    assert caught.value.field == "file"
    assert nothing_is_left(session, store)


def test_a_disk_that_is_too_small_is_told_before(
    session: Session, store: LocalFragmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "free_bytes", lambda: 10 * 1024**2)
    with pytest.raises(StorageError, match="10 MiB left"):
        build(session, store, LAUNCH, ARCHIVE)
    assert nothing_is_left(session, store)


def test_the_reserve_is_not_for_packages(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFragmentStore(tmp_path / "download", tmp_path / "staging", reserve=10**9)
    usage = type("Usage", (), {"free": 10**9 + 10 * 1024**2, "total": 10**12})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="10 MiB left for packages") as caught:
        build(session, store, LAUNCH, ARCHIVE)
    assert "min_free_bytes" in caught.value.hint
    assert nothing_is_left(session, store)


def test_a_build_stops_where_the_reserve_begins(
    session: Session, store: LocalFragmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([10**12, 0])
    monkeypatch.setattr(store, "free_bytes", lambda: next(left))
    monkeypatch.setattr("deploy_server.services.filling._LOOK_EVERY", 1)
    with pytest.raises(StorageError, match="no room left for this package"):
        build(session, store, LAUNCH, ARCHIVE)
    assert nothing_is_left(session, store)


def test_a_disk_that_fills_up(
    session: Session, store: LocalFragmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Any, data: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("deploy_server.storage.staging._write", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        build(session, store, LAUNCH, ARCHIVE)
    assert "space" in caught.value.hint
    assert nothing_is_left(session, store)


def test_ctrl_c(session: Session, store: LocalFragmentStore) -> None:
    def press(taken: int, _: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(session, store, LAUNCH, ARCHIVE, progress=press)
    assert nothing_is_left(session, store)


def test_a_commit_that_fails_takes_the_files_back(
    session: Session, store: LocalFragmentStore
) -> None:
    def refuse(_: Session) -> None:
        if session.new:
            raise KeyboardInterrupt

    event.listen(session, "before_commit", refuse)
    with pytest.raises(KeyboardInterrupt):
        build(session, store, COMMAND)
    event.remove(session, "before_commit", refuse)
    assert nothing_is_left(session, store)


def test_an_interrupt_after_the_commit_keeps_the_files(
    session: Session, store: LocalFragmentStore
) -> None:
    pressed: list[bool] = []

    def interrupt(_: Session) -> None:
        if store.ids() and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    event.listen(session, "after_commit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(session, store, COMMAND)
    event.remove(session, "after_commit", interrupt)
    assert store.ids() == [ID]
    assert session.get(Package, ID) is not None
    assert list(store.staging.iterdir()) == []


def test_progress_is_told(session: Session, store: LocalFragmentStore) -> None:
    seen: list[tuple[int, int | None]] = []
    build(session, store, LAUNCH, ARCHIVE, progress=lambda *told: seen.append(told))
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))


def test_no_lock_on_the_database_is_held_while_the_file_comes(
    session: Session, store: LocalFragmentStore
) -> None:
    def look(taken: int, _: int | None) -> None:
        assert not session.in_transaction()

    build(session, store, LAUNCH, ARCHIVE, progress=look)
