"""What every store of fragments promises; a new kind joins `store`."""

import errno
import fcntl
import io
import os
import stat
from pathlib import Path

import pytest

from deploy_agent.wire.fragment import FragmentPlan
from deploy_agent.wire.info import InfoFile, write_info
from deploy_agent.wire.terms import Action
from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import Conflict, NotFound
from deploy_server.storage.fragments import FragmentStore, LocalFragmentStore, Staging
from deploy_server.storage.lock import FileLock
from deploy_server.storage.locks import FileLocks
from deploy_server.storage.s3 import Bucket, S3FragmentStore

ID = 1_800_000_001


def local(folder: Path) -> FragmentStore:
    return LocalFragmentStore(folder / "download", folder / "staging")


def in_bucket(folder: Path, bucket: str) -> S3FragmentStore:
    place = Bucket(BucketAddress.parse(bucket))
    return S3FragmentStore(place, FileLocks(folder / "staging"), folder / "staging")


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FragmentStore:
    if request.param == "local":
        return local(tmp_path)
    return in_bucket(tmp_path, request.getfixturevalue("bucket"))


def put(staging: Staging, name: str, data: bytes) -> None:
    file = staging.create(name)
    file.write(data)
    file.close()


def info(revision: int) -> bytes:
    return write_info(InfoFile(str(ID), 5, Action.EXECUTE, "true", revision=revision))


def fill(staging: Staging, revision: int, *fragments: bytes) -> None:
    put(staging, "info", info(revision))
    for number, data in enumerate(fragments, 1):
        put(staging, f"{ID}-{number}", data)


def publish(store: FragmentStore, revision: int, *fragments: bytes) -> None:
    with store.begin(ID) as staging:
        fill(staging, revision, *fragments)
        staging.publish()
        staging.finish()


def content(store: FragmentStore) -> dict[str, bytes]:
    found = {}
    for name in store.names(ID):
        with store.open(ID, name) as file:
            found[name] = file.read()
    return found


def test_nothing_is_seen_before_it_is_published(store: FragmentStore) -> None:
    with store.begin(ID) as staging:
        fill(staging, 1, b"one")
        assert not store.exists(ID)
        assert store.names(ID) == []
        staging.publish()
        assert content(store) == {"info": info(1), f"{ID}-1": b"one"}
        staging.finish()
    assert store.exists(ID)
    assert store.ids() == [ID]


@pytest.mark.parametrize("published", [False, True])
def test_what_is_not_finished_is_undone(store: FragmentStore, published: bool) -> None:
    with store.begin(ID) as staging:
        fill(staging, 1, b"one")
        if published:
            staging.publish()
    assert not store.exists(ID)
    assert store.ids() == []


def test_a_file_in_the_middle_of_writing_is_undone(store: FragmentStore) -> None:
    def interrupted() -> None:
        with store.begin(ID) as staging:
            staging.create("info").write(b"<")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.ids() == []


def test_a_change_replaces_everything_at_once(store: FragmentStore) -> None:
    publish(store, 1, b"one", b"two")
    with store.begin(ID) as staging:
        fill(staging, 2, b"new")
        assert content(store)["info"] == info(1)
        staging.publish()
        assert content(store) == {"info": info(2), f"{ID}-1": b"new"}
        staging.finish()
    assert content(store) == {"info": info(2), f"{ID}-1": b"new"}


def test_a_change_that_is_not_finished_gives_the_old_files_back(store: FragmentStore) -> None:
    publish(store, 1, b"one", b"two")
    with store.begin(ID) as staging:
        fill(staging, 2, b"new")
        staging.publish()
    assert content(store) == {"info": info(1), f"{ID}-1": b"one", f"{ID}-2": b"two"}


def test_a_change_may_keep_files(store: FragmentStore) -> None:
    publish(store, 1, b"one")
    with store.begin(ID) as staging:
        put(staging, "info", info(2))
        staging.keep(f"{ID}-1")
        staging.publish()
        staging.finish()
    assert content(store) == {"info": info(2), f"{ID}-1": b"one"}


def test_two_cannot_change_a_package_at_the_same_time(store: FragmentStore) -> None:
    with store.begin(ID), pytest.raises(Conflict, match="somebody else"), store.begin(ID):
        pass
    publish(store, 1)
    with store.begin(ID), pytest.raises(Conflict):
        store.delete(ID)
    assert store.exists(ID)


def test_files_come_in_their_order(store: FragmentStore) -> None:
    with store.begin(ID) as staging:
        for name in ["fragments.sha256", *(f"{ID}-{n}" for n in range(12, 0, -1)), "info"]:
            put(staging, name, b"x")
        staging.publish()
        staging.finish()
    assert store.names(ID) == ["info", *(f"{ID}-{n}" for n in range(1, 13)), "fragments.sha256"]
    assert store.size(ID) == 14


def test_a_deleted_package_is_gone(store: FragmentStore) -> None:
    publish(store, 1, b"one")
    store.delete(ID)
    assert not store.exists(ID)
    assert store.ids() == []
    assert store.size(ID) == 0
    with pytest.raises(NotFound):
        store.open(ID, "info")
    store.delete(ID)


def test_fragments_are_read_as_one_file(store: FragmentStore) -> None:
    data = bytes(range(256)) * 40
    plan = FragmentPlan(len(data), 1000)
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    with store.begin(ID) as staging:
        fill(staging, 1, *pieces)
        with staging.reader(plan) as staged:
            assert staged.read() == data
        staging.publish()
        staging.finish()
    with store.reader(ID, plan) as joined:
        assert joined.seek(-10, io.SEEK_END) == len(data) - 10
        assert joined.read() == data[-10:]
        joined.seek(995)
        assert joined.read(2010) == data[995:3005]
        assert joined.tell() == 3005


def test_a_missing_fragment_is_named(store: FragmentStore) -> None:
    publish(store, 1, b"one")
    with (
        store.reader(ID, FragmentPlan(6, 3)) as joined,
        pytest.raises(NotFound, match=f"{ID}-2"),
    ):
        joined.read()


def test_what_lives_is_not_recovered(store: FragmentStore) -> None:
    with store.begin(ID) as staging:
        fill(staging, 1)
        assert store.recover(ID, lambda: None) is None
        staging.publish()
        staging.finish()
    assert store.recover(ID, lambda: 1) is None
    assert store.exists(ID)


def test_what_has_no_row_is_removed(store: FragmentStore) -> None:
    publish(store, 1)
    assert "never completed" in str(store.recover(ID, lambda: None))
    assert store.ids() == []


def test_space_is_counted(store: FragmentStore) -> None:
    publish(store, 1)
    assert store.free_bytes() > 0
    assert store.scratch_bytes() > 0
    with store.scratch() as file:
        assert file.write(b"x") == 1


def test_a_store_says_whether_it_can_be_read(store: FragmentStore) -> None:
    publish(store, 1)
    store.check()


def test_a_change_that_was_committed_stays(store: FragmentStore) -> None:
    publish(store, 1, b"one")
    with store.begin(ID) as staging:
        fill(staging, 2, b"two")
        staging.publish()
        staging.leave()
    assert "left of a change" in str(store.recover(ID, lambda: 2))
    assert store.recover(ID, lambda: 2) is None
    assert content(store) == {"info": info(2), f"{ID}-1": b"two"}


def test_a_change_that_was_not_committed_is_taken_back(store: FragmentStore) -> None:
    publish(store, 1, b"one")
    with store.begin(ID) as staging:
        fill(staging, 2, b"two")
        staging.publish()
        staging.leave()
    assert "revision 1 again" in str(store.recover(ID, lambda: 1))
    assert store.recover(ID, lambda: 1) is None
    assert content(store) == {"info": info(1), f"{ID}-1": b"one"}


def test_a_file_may_be_long(store: FragmentStore) -> None:
    """Longer than what is sent at once, and a multiple of it."""
    data = bytes(range(256)) * (16 * 1024**2 // 256)
    publish(store, 1, data)
    with store.open(ID, f"{ID}-1") as file:
        assert file.seek(0, io.SEEK_END) == len(data)
        file.seek(8 * 1024**2 - 3)
        assert file.read(6) == data[8 * 1024**2 - 3 : 8 * 1024**2 + 3]
        file.seek(0)
        assert file.read() == data
    with store.begin(ID) as staging:
        put(staging, "info", info(2))
        staging.keep(f"{ID}-1")
        staging.publish()
        staging.finish()
    assert store.names(ID) == ["info", f"{ID}-1"]
    assert store.size(ID) == len(data) + len(info(2))
    with store.open(ID, f"{ID}-1") as file:
        assert file.read() == data


def test_a_lock_that_was_removed_while_we_took_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder let go between our two calls: what we locked is nobody's file any more."""
    real, path = fcntl.flock, tmp_path / "lock"
    rounds: list[int] = []

    def late(descriptor: int, how: int) -> None:
        rounds.append(descriptor)
        if len(rounds) == 1:
            path.unlink()
        elif len(rounds) == 2:
            path.unlink()
            path.touch()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with FileLock.take(path) or pytest.fail("nobody else has it"):
        assert len(rounds) == 3
        assert path.exists()
    assert not path.exists()


class TestLocal:
    """What only the store on this machine's disk promises."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FragmentStore:
        return local(tmp_path)

    def test_others_may_read_it_whatever_the_umask(
        self, store: FragmentStore, tmp_path: Path
    ) -> None:
        old = os.umask(0o077)
        try:
            publish(store, 1, b"one")
        finally:
            os.umask(old)
        folder = tmp_path / "download" / str(ID)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
        assert stat.S_IMODE((tmp_path / "staging").stat().st_mode) == 0o700

    def test_nothing_stays_behind(self, store: FragmentStore, tmp_path: Path) -> None:
        publish(store, 1, b"one")
        publish(store, 2, b"two")
        assert os.listdir(tmp_path / "staging") == []
        assert os.listdir(tmp_path / "download") == [str(ID)]

    def test_a_file_system_that_cannot_exchange(
        self, store: FragmentStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deploy_server.storage.staging.ctypes.CDLL", lambda *_, **__: object())
        publish(store, 1, b"one")
        publish(store, 2, b"two")
        assert content(store) == {"info": info(2), f"{ID}-1": b"two"}

    def test_a_file_system_without_links(
        self, store: FragmentStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        publish(store, 1, b"one")
        monkeypatch.setattr(Path, "hardlink_to", refuse)
        with store.begin(ID) as staging:
            put(staging, "info", info(2))
            staging.keep(f"{ID}-1")
            staging.publish()
            staging.finish()
        assert content(store) == {"info": info(2), f"{ID}-1": b"one"}

    @pytest.mark.parametrize("suffix", ["", ".aside"])
    @pytest.mark.parametrize("published", [None, 2])
    def test_a_change_that_a_crash_cut_off_is_taken_back(
        self, store: FragmentStore, tmp_path: Path, suffix: str, published: int | None
    ) -> None:
        """The row says 1; the disk may say 2, or nothing between two renames."""
        publish(store, 1, b"one")
        os.rename(tmp_path / "download" / str(ID), tmp_path / "staging" / f"{ID}{suffix}")
        if published is not None:
            folder = tmp_path / "download" / str(ID)
            folder.mkdir()
            (folder / "info").write_bytes(info(published))
        (tmp_path / "staging" / f"{ID}.lock").touch()
        assert "revision 1 again" in str(store.recover(ID, lambda: 1))
        assert content(store) == {"info": info(1), f"{ID}-1": b"one"}
        assert os.listdir(tmp_path / "staging") == []

    def test_a_change_that_was_committed_stays(self, store: FragmentStore, tmp_path: Path) -> None:
        publish(store, 2, b"two")
        old = tmp_path / "staging" / str(ID)
        old.mkdir()
        (old / "info").write_bytes(info(1))
        assert "left of a change" in str(store.recover(ID, lambda: 2))
        assert content(store) == {"info": info(2), f"{ID}-1": b"two"}
        assert store.ids() == [ID]

    def test_other_things_in_the_folders_are_left_alone(
        self, store: FragmentStore, tmp_path: Path
    ) -> None:
        publish(store, 1)
        (tmp_path / "download" / "index.html").touch()
        (tmp_path / "staging" / "notes").touch()
        assert store.ids() == [ID]
