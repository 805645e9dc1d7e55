"""Files in a bucket that are replaced and removed while they are read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from deploy_agent.wire.info import InfoFile, write_info
from deploy_agent.wire.terms import Action
from deploy_server.domain.errors import NotFound, StorageError
from deploy_server.storage.locks import FileLocks
from deploy_server.storage.s3 import Bucket, S3FragmentStore
from deploy_server.storage.s3.bucket import NoObject, ObjectInfo
from deploy_server.storage.s3.files import PART
from deploy_server.storage.s3.shelf import Current

PACKAGE = 1_800_000_001
NAME = f"{PACKAGE}-1"


class Objects:
    """A bucket in memory, from which something may go before it is listed."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.goes_first = ""

    def get(self, name: str) -> bytes:
        if name not in self.data:
            raise NoObject(name)
        return self.data[name]

    def get_range(self, name: str, start: int, length: int) -> tuple[bytes, int]:
        data = self.get(name)
        return data[start : start + length], len(data)

    def put(self, name: str, data: bytes) -> None:
        self.data[name] = data

    def listed(self, folder: str) -> Iterator[ObjectInfo]:
        if self.goes_first:
            self.goes()
        for name, data in sorted(self.data.items()):
            if name.startswith(f"{folder}/"):
                yield ObjectInfo(name, len(data), datetime.now(UTC))

    def folders(self, folder: str) -> list[str]:
        inside = [each.name.removeprefix(f"{folder}/") for each in self.listed(folder)]
        return sorted({each.partition("/")[0] for each in inside if "/" in each})

    def goes(self) -> None:
        for name in [each for each in self.data if self.goes_first in each]:
            del self.data[name]


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def store(objects: Objects, tmp_path: Path) -> S3FragmentStore:
    return S3FragmentStore(cast(Bucket, objects), FileLocks(tmp_path), tmp_path)


def publish(store: S3FragmentStore, objects: Objects, folder: str, size: int) -> bytes:
    """Show a fragment of so many bytes in a folder."""
    data = folder.encode()[:1] * size
    place = store.shelf.folder(PACKAGE, folder)
    objects.put(f"{place}/{NAME}", data[:PART])
    if size > PART:
        objects.put(f"{place}/{NAME}.more/000001", data[PART:])
    store.shelf.show(PACKAGE, Current(folder, 1))
    return data


def test_a_long_file_is_never_taken_for_a_shorter_one(
    store: S3FragmentStore, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, objects, "before", PART + 10)
    listed = objects.listed

    def replaced(folder: str) -> Iterator[ObjectInfo]:
        monkeypatch.undo()
        after.append(publish(store, objects, "after", PART + 20))
        objects.goes_first = "before"
        return listed(folder)

    after: list[bytes] = []
    monkeypatch.setattr(objects, "listed", replaced)
    with store.open(PACKAGE, NAME) as file:
        assert [file.read()] == after


def test_who_reads_what_goes_away_is_to_ask_again(store: S3FragmentStore, objects: Objects) -> None:
    publish(store, objects, "before", 3 * 1024**2)
    with store.open(PACKAGE, NAME) as file:
        objects.goes_first = "before"
        objects.goes()
        with pytest.raises(StorageError, match="went away"):
            file.read()
    with pytest.raises(NotFound):
        store.open(PACKAGE, NAME)


def test_what_cannot_be_read_is_not_what_is_not_there(
    store: S3FragmentStore, objects: Objects
) -> None:
    publish(store, objects, "folder", 10)
    info = InfoFile(str(PACKAGE), 5, Action.EXECUTE, "true", revision=1)
    objects.put(store.shelf.folder(PACKAGE, "folder/info"), write_info(info))
    # A gateway before the store has another answer for everything, and calls it 200.
    objects.put(store.shelf.folder(PACKAGE, "current"), b"<html>Back soon</html>")
    with pytest.raises(StorageError, match="cannot be read"):
        store.open(PACKAGE, NAME)
    assert "revision 1 again" in str(store.recover(PACKAGE, lambda: 1))
    with store.open(PACKAGE, NAME) as file:
        assert len(file.read()) == 10
