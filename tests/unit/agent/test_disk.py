"""Every write in its order: temporary file, sync, rename, sync of the folder."""

import os
from pathlib import Path

import pytest

from deploy_agent.domain.errors import StoreError
from deploy_agent.machine.disk import Disk, read_json, write_json


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the kernel is asked, in order, with the name it is about."""
    seen: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        seen.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def watched_replace(source: str, target: str) -> None:
        seen.append(f"rename {Path(source).name} {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    return seen


def test_a_file_is_synced_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, calls: list[str]
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    Disk().replace(folder / "a", b"new")
    assert (folder / "a").read_bytes() == b"new"
    assert calls == ["fsync a.part", "rename a.part a", "fsync f"]


def test_folders_are_synced_where_their_names_stand(tmp_path: Path, calls: list[str]) -> None:
    Disk().make_folder(tmp_path / "a" / "b")
    assert calls == [f"fsync {tmp_path.name}", "fsync a"]
    Disk().make_folder(tmp_path / "a" / "b")
    assert len(calls) == 2


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    class Failing(Disk):
        def sync(self, file: object) -> None:
            raise OSError(5, "broken")

    path = tmp_path / "a"
    Disk().replace(path, b"old")
    with pytest.raises(OSError, match="broken"):
        Failing().replace(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("safe")
    (tmp_path / "a.part").symlink_to(victim)
    Disk().replace(tmp_path / "a", b"new")
    assert victim.read_text() == "safe"


def test_json_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_json(path) is None
    write_json(Disk(), path, {"name": "Zürich\ud800"})
    assert read_json(path) == {"name": "Zürich?"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff"])
def test_other_bytes_are_no_json_object(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever way it is none
        read_json(path)


def test_a_file_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read_json(tmp_path)
