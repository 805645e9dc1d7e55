"""`backup` and `restore` on one directory with SQLite: what is saved, what is refused."""

import io
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy_server.config import load
from deploy_server.services.backup import clear
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.lock import FileLock
from deploy_server.storage.models import Allocation, User
from tests.support.archives import tar_gz
from tests.support.cli import Cli


@dataclass(frozen=True)
class Made:
    """A directory with two packages, and a backup of it."""

    data: Path
    package: str
    file: Path
    said: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    cli = Cli(folder / "data")
    cli.ok("init", "--host", "deploy.example.org", "--password-file", "-", stdin="correct horse")
    command = ["--action", "execute", "--command", "true"]
    cli.ok("package", "build", "command", "--os", "linux", *command)
    tree = tar_gz(folder / "tree.tar.gz", {"setup.sh": os.urandom(3000)})
    options = ["--os", "linux", "--action", "launch", "--command", "setup.sh", "--file", tree]
    package = cli.ok("package", "build", "tree", *options, "--fragments", "3").strip()
    said = cli("backup", "-o", folder / "b.tar")
    assert (said.status, said.out) == (0, "")
    return Made(cli.data, package, folder / "b.tar", said.err)


@pytest.fixture
def cli(made: Made, tmp_path: Path) -> Cli:
    shutil.copytree(made.data, tmp_path / "data")
    return Cli(tmp_path / "data")


@pytest.fixture
def package(made: Made) -> str:
    """The package of several fragments; the other one has no file."""
    return made.package


@pytest.fixture
def saved(made: Made, tmp_path: Path) -> Path:
    """A backup of both packages."""
    return Path(shutil.copy(made.file, tmp_path / "b.tar"))


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def rewritten(file: Path, change: dict[str, bytes | None], extra: str = "") -> Path:
    """The same archive with other contents of some members, without others."""
    target = file.with_name("changed.tar")
    with tarfile.open(file) as old, tarfile.open(target, "w") as new:
        for member in old:
            data = change.get(member.name, old.extractfile(member).read())  # type: ignore[union-attr]
            if data is not None:
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
        if extra:
            new.addfile(tarfile.TarInfo(extra))
    return target


def test_a_backup_restored_elsewhere_is_the_same_server(
    cli: Cli, package: str, saved: Path, tmp_path: Path
) -> None:
    there = Cli(tmp_path / "elsewhere" / "data")
    said = there("restore", saved)
    assert said.status == 0, said
    assert "2 packages" in said.err
    for name in ("certs", "download"):
        assert content(there.data / name) == content(cli.data / name)
    for name in ("server.toml", "secret_key"):
        assert (there.data / name).read_bytes() == (cli.data / name).read_bytes()
        assert (there.data / name).stat().st_mode & 0o777 == 0o600
    assert (there.data / "tranche.db").stat().st_mode & 0o777 == 0o600
    assert there.data.stat().st_mode & 0o777 == 0o700
    assert there.ok("package", "list", "--json") == cli.ok("package", "list", "--json")
    assert not list(there.data.glob(".*"))
    assert "database and program agree" in there("db", "check").err
    assert there.ok("audit").splitlines()[-1].split("  ")[2] == "backup.restore"


def test_the_file_is_its_owner_s_and_says_what_it_holds(made: Made) -> None:
    saved, package = made.file, made.package
    assert f"{saved}: {saved.stat().st_size:,} bytes, 2 packages, schema " in made.said
    assert saved.stat().st_mode & 0o777 == 0o600
    with tarfile.open(saved) as archive:
        names = archive.getnames()
        manifest = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert names[-1] == "manifest.json"
    assert set(manifest["members"]) == set(names[:-1])
    assert {"server.toml", "secret_key", "certs/ca.key", f"download/{package}/info"} <= set(names)
    assert not list(saved.parent.glob(".b.tar*"))


@pytest.mark.slow
def test_numbers_are_never_given_out_again(cli: Cli, saved: Path) -> None:
    lost = cli.ok("package", "build", "l", "--os", "any", "--action", "execute", "--command", "a")
    before = dict(allocations(cli))
    assert cli("restore", saved, "--replace").status == 0
    new = cli.ok("package", "build", "n", "--os", "any", "--action", "execute", "--command", "a")
    assert int(new) > int(lost)
    assert allocations(cli)["package"] > before["package"]


def allocations(cli: Cli) -> dict[str, int]:
    engine = make_engine(load(cli.data, {}).database_url)
    with session_factory(engine)() as session:
        found = {row.series: row.last for row in session.query(Allocation)}
    engine.dispose()
    return found


@pytest.mark.slow
def test_attempts_go_on_far_behind_the_last_one(cli: Cli, tmp_path: Path) -> None:
    engine = make_engine(load(cli.data, {}).database_url)
    with session_factory(engine).begin() as session:
        session.add(Allocation(series="attempt", last=2_000_000_000))
        epoch = session.query(User).one().session_epoch
    engine.dispose()
    cli.ok("backup", "-o", tmp_path / "b")
    cli.ok("restore", tmp_path / "b", "--replace")
    assert allocations(cli)["attempt"] > 2_001_000_000
    with session_factory(engine)() as session:
        assert session.query(User).one().session_epoch > epoch
    engine.dispose()


def test_what_is_there_is_not_thrown_away_by_mistake(cli: Cli, saved: Path) -> None:
    cli.ok("user", "add", "bo")
    assert "is not empty (" in cli.refused("restore", saved)
    assert "bo" in cli.ok("user", "list")
    cli.ok("restore", saved, "--replace")
    assert "bo" not in cli.ok("user", "list")


def test_a_directory_in_use_is_refused(cli: Cli, saved: Path) -> None:
    lock = FileLock.take(cli.data / "run" / "lock")
    assert lock is not None
    with lock:
        assert "a server runs in" in cli.refused("restore", saved, "--replace")
    lock = FileLock.take(cli.data / "staging" / "1800000001.lock")
    assert lock is not None
    with lock:
        assert "1800000001 is being built" in cli.refused("restore", saved, "--replace")


def test_a_file_that_was_cut_is_refused(cli: Cli, saved: Path) -> None:
    data = saved.read_bytes()
    for end in (100, 10_000, len(data) // 2, data.index(b"manifest.json") + 700):
        saved.write_bytes(data[:end])
        assert "is not a whole backup" in cli.refused("restore", saved, "--replace")


def test_every_changed_byte_is_noticed(cli: Cli, package: str, saved: Path) -> None:
    before = content(cli.data)
    fragment = f"download/{package}/{package}-2"
    for change, says in (
        ({fragment: b"x"}, f"{fragment} has changed"),
        ({"secret_key": b"x" * 64}, "secret_key has changed"),
        ({fragment: None}, f"{fragment} is missing"),
        ({"manifest.json": None}, "its end is missing"),
        ({"manifest.json": b"{}"}, "its list cannot be read"),
    ):
        wrong = rewritten(saved, change)
        assert says in cli.refused("restore", wrong, "--replace")
    assert content(cli.data) == before


def test_members_that_belong_to_no_backup_are_refused(cli: Cli, saved: Path) -> None:
    for name in ("../evil", "/etc/evil", "certs/../../x", "download/1/info", "a"):
        wrong = rewritten(saved, {}, extra=name)
        assert "belongs to no backup" in cli.refused("restore", wrong, "--replace")


def test_a_file_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    for text in ("", "Dear Sir or Madam, " * 1000):
        file.write_text(text)
        assert "is not a whole backup" in cli.refused("restore", file, "--replace")
    assert "No such file" in cli.refused("restore", tmp_path / "nothing")


def test_a_backup_among_the_packages_is_refused(cli: Cli) -> None:
    message = cli.refused("backup", "-o", cli.data / "download" / "b.tar")
    assert "everybody may fetch" in message
    assert not list((cli.data / "download").glob("*.tar*"))


def test_a_full_disk_leaves_the_older_backup(
    cli: Cli, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    assert "and 10 are free" in cli.refused("backup", "-o", saved)
    assert saved.read_bytes() == before
    assert not list(saved.parent.glob(".*"))
    assert "and 10 are free" in cli.refused("restore", saved, "--replace")
    assert not list(cli.data.glob(".*"))


@pytest.mark.slow
def test_a_package_without_files_is_named(cli: Cli, package: str, tmp_path: Path) -> None:
    (cli.data / "download" / package / f"{package}-2").unlink()
    from deploy_server.services.backup import saving

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "_LOOK_AGAIN_S", 0)
        said = cli("backup", "-o", tmp_path / "b")
    assert f"Warning: package {package} has no files here" in said.err
    assert said.status == 0
    assert Cli(tmp_path / "there")("restore", tmp_path / "b").status == 0


def test_a_backup_is_entered(cli: Cli, tmp_path: Path) -> None:
    before = len(cli.ok("audit").splitlines())
    cli.ok("backup", "-o", tmp_path / "b")
    (entry,) = cli.ok("audit").splitlines()[before:]
    assert entry.split("  ")[2:4] == ["backup.save", str(tmp_path / "b")]


def test_two_backups_at_once_are_refused(cli: Cli, tmp_path: Path) -> None:
    lock = FileLock.take(cli.data / "staging" / "backup.lock")
    assert lock is not None
    with lock:
        assert "is being made already" in cli.refused("backup", "-o", tmp_path / "b")
    assert list(tmp_path.glob(".b*")) == []


@pytest.mark.slow
def test_what_a_killed_backup_left_is_removed(cli: Cli, saved: Path) -> None:
    left = cli.data / "staging" / "backup" / "1800000001"
    left.mkdir(parents=True)
    saved.with_name(".b.tar.part").write_text("half of a longer backup" * 10_000)
    cli.ok("backup", "-o", saved)
    cli.ok("restore", saved, "--replace")
    left.mkdir(parents=True)
    clear(cli.data / "staging")
    assert not left.parent.exists()
