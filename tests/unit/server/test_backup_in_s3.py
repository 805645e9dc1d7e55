"""`backup` and `restore` of packages in a bucket: into one, out of one, and past a kill."""

import os
from pathlib import Path
from typing import Any

import pytest

from deploy_server.cli.run import settled
from deploy_server.config import load
from deploy_server.domain.bucket import BucketAddress
from deploy_server.services.backup import holding_s3, restoring, shelving, switching
from deploy_server.storage.s3 import Bucket, S3FragmentStore
from deploy_server.storage.stores import fragment_store
from tests.support.archives import tar_gz
from tests.support.cli import Cli


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def objects(bucket: str) -> list[str]:
    place = Bucket(BucketAddress.parse(bucket))
    return [each.name for root in ("packages", "uploads") for each in place.listed(root)]


def in_store(store: S3FragmentStore) -> dict[str, bytes]:
    found = {}
    for package_id in store.ids():
        for name in store.names(package_id):
            with store.open(package_id, name) as file:
                found[f"{package_id:010d}/{name}"] = file.read()
    return found


def store_of(cli: Cli) -> S3FragmentStore:
    store = fragment_store(load(cli.data, {}))
    assert isinstance(store, S3FragmentStore)
    return store


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A server with two packages on its disk, and a backup of it."""
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--host", "deploy.example.org", "--password-file", "-", stdin="correct horse")
    command = ["--action", "execute", "--command", "true"]
    cli.ok("package", "build", "command", "--os", "linux", *command)
    tree = tar_gz(tmp_path / "tree.tar.gz", {"setup.sh": os.urandom(3000)})
    options = ["--os", "linux", "--action", "launch", "--command", "setup.sh", "--file", tree]
    cli.ok("package", "build", "tree", *options, "--fragments", "3")
    cli.ok("backup", "-o", tmp_path / "b.tar")
    return cli


@pytest.fixture
def moved(cli: Cli, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The same server with its packages in a bucket."""
    there = Cli(tmp_path / "there")
    with monkeypatch.context() as environment:
        environment.setenv("DEPLOY_SERVER_PACKAGES", bucket)
        said = there("restore", tmp_path / "b.tar")
    assert said.status == 0, said.err
    return there


def test_from_a_disk_to_a_bucket_and_back(
    cli: Cli, moved: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_store(store_of(moved)) == content(cli.data / "download")
    assert list((moved.data / "download").iterdir()) == []
    assert "Nothing to do" in moved("db", "sweep").err
    said = moved("backup", "-o", tmp_path / "c.tar")
    assert "2 packages" in said.err
    back = Cli(tmp_path / "back")
    with monkeypatch.context() as environment:
        environment.setenv("DEPLOY_SERVER_PACKAGES", "disk")
        back.ok("restore", tmp_path / "c.tar")
    assert content(back.data / "download") == content(cli.data / "download")
    assert "packages" not in (back.data / "server.toml").read_text()


def test_packages_that_are_there_are_not_thrown_away_by_mistake(
    moved: Cli, bucket: str, tmp_path: Path
) -> None:
    """Restored into its own bucket, as after a fire."""
    moved.ok("backup", "-o", tmp_path / "c.tar")
    before = in_store(store_of(moved))
    moved.ok("package", "build", "new", "--os", "linux", "--action", "execute", "--command", "true")
    trial = Cli(tmp_path / "trial")
    said = trial("restore", tmp_path / "c.tar")
    assert said.status == 1
    assert "has packages already" in said.err
    assert "--replace" in said.err
    assert len(store_of(moved).ids()) == 3
    trial.ok("restore", tmp_path / "c.tar", "--replace")
    assert in_store(store_of(trial)) == before
    assert len({name.split("/")[2] for name in objects(bucket) if "/current" not in name}) == 1


def test_a_new_server_does_not_take_anothers_packages(
    moved: Cli, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would sweep away whatever it never built."""
    new = Cli(tmp_path / "new")
    monkeypatch.setenv("DEPLOY_SERVER_PACKAGES", bucket)
    said = new("init", "--host", "localhost", "--password-file", "-", stdin="correct horse")
    assert said.status == 1
    assert "has packages of another server" in said.err
    assert not new.data.exists()


class Killed(BaseException):
    """As if nothing more of the process ran."""


@pytest.mark.parametrize(
    ("owner", "step", "happened"),
    [
        (restoring, "_fill_sqlite", False),
        (shelving, "carry_out", True),
        (switching.shutil, "rmtree", True),
    ],
)
def test_one_that_was_killed_is_taken_back_or_completed(
    moved: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    step: str,
    happened: bool,
) -> None:
    moved.ok("backup", "-o", tmp_path / "c.tar")
    (package, _) = store_of(moved).ids()
    moved.ok("package", "delete", str(package))
    before = in_store(store_of(moved))

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(owner, step, kill)
        dying.setattr(shelving, "take_back", kill)
        with pytest.raises(Killed):
            moved("restore", tmp_path / "c.tar", "--replace")
    if step != "rmtree":
        assert in_store(store_of(moved)) == before
    # Whatever is run next puts it in order; the server itself does not touch the bucket for that,
    # because its workers are forks of it.
    with monkeypatch.context() as not_here:
        not_here.setattr(shelving, "_shelf", kill)
        assert settled(moved.data).bucket
    assert len(in_store(store_of(moved))) == len(before) + happened
    assert "Nothing to do" in moved("db", "sweep").err


def test_what_is_deleted_meanwhile_stays_until_the_backup_has_it(
    moved: Cli, bucket: str, tmp_path: Path
) -> None:
    store = store_of(moved)
    _, package = store.ids()
    with holding_s3.holding(store) as held:
        assert held.hold(package, 2, 3) is False
        assert held.hold(package, 1, 4) is False
        assert held.hold(package, 1, 3) is True
        assert moved("backup", "-o", tmp_path / "c.tar").status == 1
        moved.ok("package", "delete", str(package))
        assert not store.exists(package)
        for member in held.members(package):
            with member.open() as file:
                assert len(file.read()) == member.size
        assert [each.name for each in held.members(package)][::4] == ["info", "fragments.sha256"]
        assert held.outlived() == [package]
        assert "was never completed" not in moved("package", "list").err
        assert any(str(package) in name for name in objects(bucket))
    moved("db", "sweep")
    assert not any(str(package) in name for name in objects(bucket))
