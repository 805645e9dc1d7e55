"""Uploads in a bucket: what others put there, and pieces that come late or go away."""

from pathlib import Path

import pytest

from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import Conflict, StorageError
from deploy_server.storage.s3 import Bucket
from tests.unit.server.web.test_uploads import in_bucket, of, read


@pytest.mark.parametrize(
    "about", [b"<html>", b"[]", b"{}", b'{"owner": 1, "name": 7, "length": "x"}', b"\xff"]
)
def test_an_upload_that_makes_no_sense_is_said(tmp_path: Path, bucket: str, about: bytes) -> None:
    store, place = in_bucket(tmp_path, bucket), Bucket(BucketAddress.parse(bucket))
    upload = store.begin(1, "a", 10)
    place.put(f"uploads/{upload.id}/about.json", about)
    with pytest.raises(StorageError, match=r"about\.json cannot be read.*Choose the file again"):
        store.get(upload.id, 1)


def test_what_others_put_beside_it_is_not_of_it(tmp_path: Path, bucket: str) -> None:
    store, place = in_bucket(tmp_path, bucket), Bucket(BucketAddress.parse(bucket))
    upload = store.begin(1, "a", 10)
    store.append(upload, 0, [b"12345"])
    for name in ("x", "5-5", f"{5:020d}-0", f"{5:020d}-5.bak", f"{5:020d}-4", f"more/{5:020d}-5"):
        place.put(f"uploads/{upload.id}/{name}", b"67890")
    assert store.get(upload.id, 1).offset == 5
    assert store.append(upload, 5, [b"67890"]).complete
    assert read(store, upload.id) == b"1234567890"
    store.delete(upload)
    assert [*place.listed("uploads")] == []


def test_a_late_piece_takes_nothing_back(tmp_path: Path, bucket: str) -> None:
    store, place = in_bucket(tmp_path, bucket), Bucket(BucketAddress.parse(bucket))
    upload = store.begin(1, "a", 10)
    store.append(upload, 0, [b"1234"])
    store.append(upload, 4, [b"567890"])
    done = store.get(upload.id, 1)

    def late(start: int, data: bytes) -> None:
        place.put(f"uploads/{upload.id}/{start:020d}-{len(data)}", data)

    for start, data in [(0, b"12345"), (0, b"12"), (4, b"567"), (7, b"89")]:
        late(start, data)
        assert store.get(upload.id, 1) == done
    with store.open(done) as file:
        late(0, b"1234567")
        assert file.read() == b"1234567890"
    # What is let go of does not come back from another piece.
    with pytest.raises(Conflict, match="from byte 3 on"):
        store.append(done, 10, [], of(3, b"x"))
    assert store.get(upload.id, 1).offset == 3


def test_what_went_away_since_is_not_read_as_all(tmp_path: Path, bucket: str) -> None:
    store, place = in_bucket(tmp_path, bucket), Bucket(BucketAddress.parse(bucket))
    upload = store.begin(1, "a", 10)
    store.append(upload, 0, [b"12345"])
    done = store.append(upload, 5, [b"67890"])
    last = f"uploads/{upload.id}/{5:020d}-5"
    with store.open(done) as file:
        place.put(last, b"67")
        with pytest.raises(StorageError, match="changed while it was read"):
            file.read()
    with pytest.raises(Conflict, match="5 of 10"):
        store.open(done)
    place.delete([last])
    with pytest.raises(Conflict, match="5 of 10"):
        store.open(done)
