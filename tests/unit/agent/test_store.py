"""Packages' folders: whole files only, and what a dead or broken past left is cleared or named."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from deploy_agent.domain.errors import OutOfSpace, ShortRead, StoreError
from deploy_agent.domain.record import PackageRecord, UnreadableRecord
from deploy_agent.domain.state import State
from deploy_agent.machine.disk import Disk
from deploy_agent.machine.store import PackageStore
from deploy_agent.wire.replies import PackageOffer

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
ID = "1800000001"
RECORD = PackageRecord(PackageOffer(ID, "s/d", "s/d", attempt=7), NOW)


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    return PackageStore(tmp_path / "packages")


def write(store: PackageStore, name: str, data: bytes) -> None:
    with store.writing(ID, name) as file:
        file.write(data)


def break_off(file: BinaryIO) -> None:
    file.write(b"half")
    raise ShortRead("it ended")


def test_what_is_saved_is_read(store: PackageStore) -> None:
    store.save(RECORD)
    store.save(replace(RECORD, state=State.DOWNLOADING))
    assert store.read(ID) == replace(RECORD, state=State.DOWNLOADING)
    assert store.load(NOW) == [replace(RECORD, state=State.DOWNLOADING)]


def test_an_empty_state_has_no_packages(store: PackageStore) -> None:
    assert store.ids() == []
    assert store.load(NOW) == []
    assert store.read(ID) is None
    assert store.read_file(ID, "info") is None


def test_files_and_folders_are_for_the_owner_only(store: PackageStore) -> None:
    store.save(RECORD)
    write(store, f"{ID}-1", b"x")
    modes = {p.name: p.stat().st_mode & 0o777 for p in store.folder(ID).iterdir()}
    assert set(modes.values()) == {0o600}
    assert store.folder(ID).stat().st_mode & 0o777 == 0o700


def test_a_file_has_its_name_only_when_it_is_whole(store: PackageStore) -> None:
    store.save(RECORD)
    with pytest.raises(ShortRead), store.writing(ID, f"{ID}-1") as file:
        break_off(file)
    assert sorted(p.name for p in store.folder(ID).iterdir()) == ["record.json"]


def test_fragments_are_what_is_on_the_disk(store: PackageStore) -> None:
    store.save(RECORD)
    for name in (f"{ID}-1", f"{ID}-3", f"{ID}-12", f"{ID}-13", f"{ID}-x", f"{ID}-²"):
        write(store, name, b"x")
    store.path(ID, f"{ID}-2.part").write_bytes(b"half")
    assert store.fragments(ID, 12) == {1, 3, 12}
    assert store.fragments("1899999999", 12) == set(), "it may go while `status` looks"


def test_a_full_disk_is_the_packages_problem_another_fault_the_agents(tmp_path: Path) -> None:
    class Broken(Disk):
        number = errno.ENOSPC

        def sync(self, file: object) -> None:
            raise OSError(self.number, "broken")

    disk = Broken()
    PackageStore(tmp_path).save(RECORD)
    store = PackageStore(tmp_path, disk)
    with pytest.raises(OutOfSpace):
        write(store, "package", b"x")
    with pytest.raises(OutOfSpace):
        store.save_file(ID, "info", b"x")
    with pytest.raises(StoreError):
        store.save(RECORD)
    disk.number = errno.EIO
    with pytest.raises(StoreError, match=r"package cannot be written: .*\. Look at the disk"):
        write(store, "package", b"x")
    assert sorted(p.suffix for p in store.folder(ID).iterdir()) == [".json", ".part", ".part"]


def test_load_clears_what_was_not_finished(store: PackageStore) -> None:
    store.save(RECORD)
    store.path(ID, "package.part").write_bytes(b"half")
    unborn = store.folder("1800000002")
    unborn.mkdir()
    (unborn / "record.json.part").write_bytes(b"{")
    assert store.load(NOW) == [RECORD]
    assert not store.path(ID, "package.part").exists()
    assert not unborn.exists()


def test_names_that_are_no_ids_are_left_alone(store: PackageStore) -> None:
    store.save(RECORD)
    (store.folder(ID).parent / "lost+found").mkdir()
    assert store.ids() == [ID]
    store.load(NOW)
    assert (store.folder(ID).parent / "lost+found").is_dir()


BREAK: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "a list": lambda data: b"[]",
    "newer": lambda data: data.replace(b'"schema": 1', b'"schema": 2'),
    "of another package": lambda data: data.replace(ID.encode(), b"1800000009"),
}


@pytest.mark.parametrize("how", BREAK)
def test_an_unreadable_record_ends_its_package_and_says_so(
    store: PackageStore, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(replace(RECORD, state=State.RUNNING))
    store.path(ID, "run-3").mkdir()
    path = store.path(ID, "record.json")
    broken = BREAK[how](path.read_bytes())
    path.write_bytes(broken)
    with pytest.raises(UnreadableRecord):
        store.read(ID)
    (record,) = store.load(NOW)
    assert (record.state, record.runs) == (State.DONE, 3)
    assert record.result is not None
    assert record.result.code == "ERR_DONE_FAILED"
    assert store.read(ID) == record
    assert store.path(ID, "unreadable.json").read_bytes() == broken
    assert ID in caplog.text
    assert "cannot be read" in caplog.text


def test_content_goes_and_the_record_stays(store: PackageStore) -> None:
    store.save(RECORD)
    for name in ("info", f"{ID}-1", f"{ID}-2.part", "fragments.sha256", "package"):
        store.path(ID, name).write_bytes(b"x")
    store.path(ID, "tree").mkdir()
    store.path(ID, "run-1").mkdir()
    store.remove_content(ID)
    assert sorted(p.name for p in store.folder(ID).iterdir()) == ["info", "record.json", "run-1"]


def test_a_removed_package_leaves_nothing(store: PackageStore) -> None:
    store.save(RECORD)
    write(store, f"{ID}-1", b"x")
    store.path(ID, "tree").mkdir()
    (store.path(ID, "tree") / "file").write_text("x")
    store.remove(ID)
    assert store.ids() == []


def test_the_record_goes_last(tmp_path: Path) -> None:
    removed: list[str] = []

    class Watching(Disk):
        def remove_folder(self, path: Path) -> None:
            removed.append(path.name)
            super().remove_folder(path)

    store = PackageStore(tmp_path, Watching())
    store.save(RECORD)
    for name in ("a", "z", "info"):
        store.path(ID, name).write_bytes(b"x")
    store.remove(ID)
    assert removed[-1] == ID
    assert sorted(removed[:-1]) == ["a", "info", "z"]


def test_a_file_that_cannot_be_read_says_what_to_look_at(store: PackageStore) -> None:
    store.path(ID, "info").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"info cannot be read: .*\. Look at the disk"):
        store.read_file(ID, "info")


def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("")
    store = PackageStore(tmp_path / "packages")
    with pytest.raises(StoreError, match="--state"):
        store.save(RECORD)


def test_the_record_is_readable_for_people(store: PackageStore) -> None:
    store.save(RECORD)
    text = store.path(ID, "record.json").read_text()
    assert '"state": "OFFERED"' in text
    assert json.loads(text)["since"] == "2026-11-21T10:00:00.000000Z"
