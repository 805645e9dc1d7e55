"""Uploads as a resource: resumed at their offset, owned, limited, swept."""

import errno
import hashlib
import io
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import Conflict, NotFound, SpecError, StorageError, TooLarge
from deploy_server.storage.locks import FileLocks
from deploy_server.storage.models import Package
from deploy_server.storage.s3 import Bucket, S3UploadStore
from deploy_server.storage.uploads import KEEP, Proof, Uploads, UploadStore
from tests.support.archive_bytes import tar_gz
from tests.support.clock import START
from tests.support.console import BASE, Browser, Console

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n"})


def begin(browser: Browser, length: Any = None) -> TestResponse:
    browser.get("/account")
    form = {"name": "a.tar.gz", "length": len(ARCHIVE) if length is None else length}
    return browser.post("/uploads", form, fetch=True)


def put(
    browser: Browser, url: str, body: bytes, offset: object = 0, digest: str = ""
) -> TestResponse:
    headers = {
        **({"Upload-Digest": digest} if digest else {}),
        "X-CSRFToken": browser.token,
        "X-Requested-With": "fetch",
        "Referer": f"{BASE}/",
        "Upload-Offset": str(offset),
    }
    return browser.client.put(url, base_url=BASE, data=body, headers=headers)


def test_an_upload_goes_on_where_it_stopped(admin: Browser, console: Console) -> None:
    url = begin(admin).location
    assert put(admin, url, ARCHIVE[:40]).json["offset"] == 40  # type: ignore[index]
    assert admin.get(url).json["complete"] is False  # type: ignore[index]
    done = put(admin, url, ARCHIVE[40:], 40).json
    assert done is not None
    assert (done["offset"], done["complete"]) == (len(ARCHIVE), True)
    form = {"name": "x", "os": "linux", "action": "LAUNCH", "target": "install.sh",
            "priority": "5", "upload": done["id"], "do": "build"}  # fmt: skip
    assert admin.post("/packages/build", form).status_code == 302
    with console.sessions() as session:
        assert session.scalars(select(Package.size)).one() == len(ARCHIVE)
    assert list(console.config.uploads.iterdir()) == []


def proof(start: int, data: bytes) -> str:
    return f"from={start}; sha-256={hashlib.sha256(data).hexdigest()}"


def test_what_arrived_is_compared_with_what_was_sent(admin: Browser, console: Console) -> None:
    url = begin(admin).location
    assert put(admin, url, ARCHIVE[:40], digest=proof(0, ARCHIVE[:40])).status_code == 200
    changed = put(admin, url, b"x" + ARCHIVE[41:60], 40, proof(40, ARCHIVE[40:60]))
    assert changed.status_code == 409
    assert "is not what was sent" in changed.json["message"]  # type: ignore[index]
    assert admin.get(url).json["offset"] == 40  # type: ignore[index]
    put(admin, url, ARCHIVE[40:50], 40)  # and the connection breaks
    done = put(admin, url, ARCHIVE[50:], 50, proof(40, ARCHIVE[40:]))
    assert done.json["complete"] is True  # type: ignore[index]
    # The answer got lost: what is there is compared once more.
    assert put(admin, url, b"", len(ARCHIVE), proof(40, ARCHIVE[40:])).status_code == 200
    (stored,) = console.config.uploads.glob("*.bytes")
    assert stored.read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    "digest", ["md5=7", "from=1; sha-256=7", proof(1, b""), proof(0, b"").upper()]
)
def test_a_digest_that_is_none_is_refused(admin: Browser, digest: str) -> None:
    url = begin(admin).location
    assert put(admin, url, ARCHIVE[:40], digest=digest).status_code == 400
    assert admin.get(url).json["offset"] == 0  # type: ignore[index]


def test_an_upload_that_is_not_complete_is_not_built_from(admin: Browser) -> None:
    url = begin(admin).location
    put(admin, url, ARCHIVE[:40])
    form = {"name": "x", "os": "linux", "action": "LAUNCH", "target": "install.sh",
            "priority": "5", "upload": url.rpartition("/")[2], "do": "build"}  # fmt: skip
    answer = admin.post("/packages/build", form)
    assert answer.status_code == 409
    assert f"40 of {len(ARCHIVE)} bytes" in answer.text


@pytest.mark.parametrize("offset", [1, 39, 41, 10**9])
def test_a_gap_or_an_overlap_is_refused(admin: Browser, offset: int) -> None:
    url = begin(admin).location
    put(admin, url, ARCHIVE[:40])
    answer = put(admin, url, b"x", offset)
    assert answer.status_code == 409
    assert "has 40 bytes" in answer.json["message"]  # type: ignore[index]


@pytest.mark.parametrize("offset", ["", "-1", "x", "٣"])
def test_an_offset_that_is_none_is_named(admin: Browser, offset: str) -> None:
    url = begin(admin).location
    headers = {"X-CSRFToken": admin.token, "X-Requested-With": "fetch", "Referer": f"{BASE}/"}
    if offset.isascii():
        headers["Upload-Offset"] = offset
    answer = admin.client.put(url, base_url=BASE, data=b"x", headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("length", ["", "x", "-1", "1.5"])
def test_a_length_that_is_none_is_named(admin: Browser, length: str) -> None:
    assert begin(admin, length=length).status_code == 400


def test_more_than_was_announced_is_refused(admin: Browser, console: Console) -> None:
    url = begin(admin, length=10).location
    answer = put(admin, url, bytes(11))
    assert answer.status_code == 413
    assert list(console.config.uploads.glob("*.lock")) == []


class FullDisk(io.FileIO):
    """A file on a disk that has no room."""

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_nothing_of_the_form_stays(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = console.config.uploads
    monkeypatch.setattr(
        UploadStore, "writer", lambda self, upload: FullDisk(place / f"{upload.id}.bytes", "w+")
    )
    form = {"name": "x", "os": "linux", "action": "LAUNCH", "target": "install.sh", "do": "build"}
    admin.get("/packages/build")
    answer = admin.post("/packages/build", {**form, "file": (io.BytesIO(ARCHIVE), "a.tar.gz")})
    assert answer.status_code == 503
    assert "The upload cannot be written: No space left on device." in answer.text
    assert "Free some space" in answer.text
    assert list(place.iterdir()) == []


def test_another_person_does_not_see_it(admin: Browser, console: Console) -> None:
    url = begin(admin).location
    other = console.user("admin")
    other.get("/account")
    assert other.get(url).status_code == 404
    assert put(other, url, b"x").status_code == 404


def test_it_can_be_removed(admin: Browser, console: Console) -> None:
    url = begin(admin).location
    headers = {"X-CSRFToken": admin.token, "Referer": f"{BASE}/"}
    assert admin.client.delete(url, base_url=BASE, headers=headers).status_code == 204
    assert admin.get(url).status_code == 404
    assert list(console.config.uploads.iterdir()) == []


@pytest.mark.parametrize("upload_id", ["..", "x" * 32, "a" * 31, "%2e%2e%2fsecret_key", "A" * 32])
def test_an_id_is_never_a_path(admin: Browser, upload_id: str) -> None:
    assert admin.get(f"/uploads/{upload_id}").status_code == 404


def test_a_body_without_token_is_refused_unread(admin: Browser, console: Console) -> None:
    url = begin(admin).location
    answer = admin.client.put(url, base_url=BASE, data=ARCHIVE, headers={"Upload-Offset": "0"})
    assert answer.status_code == 403
    assert admin.get(url).json["offset"] == 0  # type: ignore[index]


def in_bucket(folder: Path, bucket: str, limit: int = 1000) -> S3UploadStore:
    place = Bucket(BucketAddress.parse(bucket))
    return S3UploadStore(place, FileLocks(folder / "staging"), limit)


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Uploads:
    if request.param == "local":
        return UploadStore(tmp_path / "uploads", limit=1000)
    return in_bucket(tmp_path, request.getfixturevalue("bucket"))


@pytest.fixture
def local(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", limit=1000)


def read(store: Uploads, upload_id: str) -> bytes:
    with store.open(store.get(upload_id, 1)) as file:
        return file.read()


def test_a_name_loses_its_folders(store: Uploads) -> None:
    assert store.begin(1, "C:\\fake\\setup.exe", 1).name == "setup.exe"
    assert store.begin(1, "../../etc/passwd", 1).name == "passwd"
    # PostgreSQL stores no such character, and nobody sees it in a list.
    assert store.begin(1, "set\x00up\n\u2009ü.exe", 1).name == "setup\u2009ü.exe"
    with pytest.raises(SpecError, match="no name"):
        store.begin(1, "\x00", 1)
    with pytest.raises(SpecError):
        store.begin(1, "/", 1)
    with pytest.raises(SpecError):
        store.begin(1, "a/..", 1)


def test_limits_are_named(store: Uploads) -> None:
    with pytest.raises(TooLarge, match="max_package_bytes"):
        store.begin(1, "a", 1001)
    with pytest.raises(SpecError):
        store.begin(1, "a", -1)


def test_room_is_needed_twice(local: UploadStore) -> None:
    huge = UploadStore(local.folder, limit=2**62)
    with pytest.raises(TooLarge, match="twice as much"):
        huge.begin(1, "a", 2**60)


def test_the_reserve_stays_free(local: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    careful = UploadStore(local.folder, limit=1000, reserve=500)
    upload = careful.begin(1, "a", None)

    def leave(free: int) -> None:
        usage = type("Usage", (), {"free": free, "total": 10**9})
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage)

    leave(507)
    with pytest.raises(StorageError, match="no room for more packages"):
        careful.append(upload, 0, [b"12345", b"67890"])
    assert careful.get(upload.id, 1).offset == 5
    leave(500)
    for length in (None, 1):
        with pytest.raises(StorageError, match="no room for more packages"):
            careful.begin(1, "b", length)


def test_what_arrived_before_a_break_is_kept(store: Uploads) -> None:
    upload = store.begin(1, "a", 10)

    def breaks() -> Any:
        yield b"12345"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.append(upload, 0, breaks())
    assert store.get(upload.id, 1).offset == 5
    assert store.append(upload, 5, [b"67890"]).complete
    assert read(store, upload.id) == b"1234567890"


def test_only_a_complete_upload_opens(store: Uploads) -> None:
    upload = store.begin(1, "a", 10)
    with pytest.raises(Conflict, match="0 of 10"):
        store.open(upload)


def test_two_writers_do_not_mix(store: Uploads) -> None:
    upload = store.begin(1, "a", 10)

    def meanwhile() -> Any:
        with pytest.raises(Conflict, match="already being written"):
            store.append(upload, 0, [b"x"])
        yield b"1234567890"

    assert store.append(upload, 0, meanwhile()).complete


def test_old_ones_are_swept(local: UploadStore) -> None:
    store = local
    upload = store.begin(1, "a", 10)
    begun = store.folder.joinpath(f"{upload.id}.bytes").stat().st_mtime
    now = START.fromtimestamp(begun, START.tzinfo)
    assert store.sweep(now + KEEP * 0.9) == 0
    assert store.sweep(now + KEEP * 1.1) == 2
    with pytest.raises(NotFound):
        store.get(upload.id, 1)
    assert UploadStore(store.folder / "none", 1).sweep(now) == 0


def of(start: int, data: bytes) -> Proof:
    return Proof(start, hashlib.sha256(data).hexdigest())


def test_bytes_are_compared_as_they_come(store: Uploads) -> None:
    upload = store.begin(1, "a", 10)
    store.append(upload, 0, [b"123", b"45"], of(0, b"12345"))
    with pytest.raises(Conflict, match="from byte 5 on is not what was sent"):
        store.append(upload, 5, [b"6x"], of(5, b"67"))
    assert store.get(upload.id, 1).offset == 5
    store.append(upload, 5, [b"67"])  # and the connection breaks
    # What came before is compared too, and let go of where it is wrong: here in mid-piece.
    with pytest.raises(Conflict, match="from byte 3 on"):
        store.append(upload, 7, [b"89"], of(3, b"x56789"))
    assert store.get(upload.id, 1).offset == 3
    assert store.append(upload, 3, [b"4567890"], of(3, b"4567890")).complete
    # The answer got lost: what is there is compared once more.
    done = store.get(upload.id, 1)
    assert store.append(done, 10, [], of(3, b"4567890")).complete
    assert read(store, upload.id) == b"1234567890"


def test_a_form_writes_as_it_is_read(store: Uploads) -> None:
    upload = store.begin(1, "a", None)
    with closing(store.writer(upload)) as file:
        file.write(b"12345")
        file.write(b"67")
        file.seek(0)
    assert store.finish(store.get(upload.id, 1)).length == 7
    assert read(store, upload.id) == b"1234567"


def test_what_is_deleted_is_gone(store: Uploads) -> None:
    upload = store.begin(1, "a", 2)
    store.append(upload, 0, [b"12"])
    store.delete(upload)
    store.delete(upload)
    with pytest.raises(NotFound):
        store.get(upload.id, 1)
    with pytest.raises(TooLarge):
        store.append(store.begin(1, "a", 2), 0, [b"123"])


def test_old_ones_are_swept_from_a_bucket(tmp_path: Path, bucket: str) -> None:
    store = in_bucket(tmp_path, bucket)
    upload, other = store.begin(1, "a", 10), store.begin(1, "b", 10)
    store.append(upload, 0, [b"12345"])
    store.append(other, 0, [b"67890"])
    now = datetime.now(UTC)
    assert store.sweep(now + KEEP * 0.9) == 0
    assert store.get(upload.id, 1).offset == 5
    assert store.sweep(now + KEEP * 1.1) == 4
    with pytest.raises(NotFound):
        store.get(upload.id, 1)


def test_long_pieces_and_late_ones(tmp_path: Path, bucket: str) -> None:
    """One that was on its way when its sender died arrives after others went on."""
    data = bytes(range(256)) * (20 * 1024**2 // 256)
    store = in_bucket(tmp_path, bucket, limit=len(data))
    upload = store.begin(1, "a", len(data))

    def breaks() -> Any:
        yield data[: 9 * 1024**2]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.append(upload, 0, breaks())
    here = store.get(upload.id, 1).offset
    assert here == 9 * 1024**2
    place = Bucket(BucketAddress.parse(bucket))
    place.put(f"uploads/{upload.id}/{here:020d}-4", data[here : here + 4])
    place.put(f"uploads/{upload.id}/{here:020d}-9", data[here : here + 9])
    here = store.get(upload.id, 1).offset
    assert here == 9 * 1024**2 + 9
    assert store.append(upload, here, [data[here:]], of(here, data[here:])).complete
    assert read(store, upload.id) == data
