"""The device id stays, except for another name, and the old one is remembered until it is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy_agent.machine.disk import read_json
from deploy_agent.machine.identity import Identity, IdentityFile

FIRST = datetime(2026, 11, 21, 10, tzinfo=UTC)
LATER = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "identity.json"


def load(path: Path, name: str, when: datetime = LATER) -> Identity:
    return IdentityFile(path).load(when, lambda: name)


def test_it_is_made_once_and_kept(path: Path) -> None:
    assert IdentityFile(path).peek() is None
    made = load(path, "pc7", FIRST)
    assert made == Identity("pc7-2026-11-21-10-00-00", "pc7")
    assert load(path, "pc7") == IdentityFile(path).peek() == made
    assert load(path, "PC7") == made


def test_another_name_makes_a_new_id_and_remembers_the_old(path: Path) -> None:
    load(path, "pc7", FIRST)
    renamed = load(path, "pc8")
    assert renamed == Identity("pc8-2027-01-02-03-04-05", "pc8", "pc7-2026-11-21-10-00-00")
    assert load(path, "pc8") == renamed


def test_renamed_twice_the_server_is_told_the_id_it_knows(path: Path) -> None:
    load(path, "pc7", FIRST)
    load(path, "pc8")
    assert load(path, "pc9").old_device_id == "pc7-2026-11-21-10-00-00"


def test_once_told_the_old_id_is_forgotten(path: Path) -> None:
    load(path, "pc7", FIRST)
    renamed = load(path, "pc8")
    told = IdentityFile(path).forget_old(renamed)
    assert told.old_device_id is None
    assert load(path, "pc8") == told


@pytest.mark.parametrize("name", ["localhost", "localhost4", "(none)", ""])
def test_a_computer_that_does_not_know_its_name_yet_stays_itself(path: Path, name: str) -> None:
    made = load(path, "pc7", FIRST)
    assert load(path, name) == made


def test_a_nameless_computer_gets_an_id_too(path: Path) -> None:
    assert load(path, "", FIRST).device_id == "computer-2026-11-21-10-00-00"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"device_id": "x", "name": "y"}', b"\xff"])
def test_a_damaged_file_is_put_aside(
    path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    assert load(path, "pc7").device_id == "pc7-2027-01-02-03-04-05"
    assert (path.parent / "identity.unreadable").read_bytes() == data
    assert "cannot be read" in caplog.text
    saved = read_json(path)
    assert saved is not None
    assert saved["schema"] == 1
