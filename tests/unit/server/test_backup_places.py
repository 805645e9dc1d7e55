"""`backup` and `restore` where the database, or the file, lies in somebody's other folder."""

import os
from pathlib import Path

import pytest

from deploy_server.services.backup import restoring
from tests.support.cli import Cli


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database that lies outside of the data directory, with a user."""
    folder = tmp_path / "databases"
    folder.mkdir()
    with monkeypatch.context() as environment:
        environment.setenv("DEPLOY_SERVER_DATABASE_URL", f"sqlite:///{folder}/tranche.db")
        Cli(tmp_path / "data").ok("init", "--password-file", "-", stdin="correct horse")
    return folder / "tranche.db"


def test_a_database_elsewhere_is_not_thrown_away_by_mistake(database: Path, tmp_path: Path) -> None:
    Cli(tmp_path / "data").ok("backup", "-o", tmp_path / "b.tar")
    before = database.read_bytes()
    trial = Cli(tmp_path / "trial")
    said = trial("restore", tmp_path / "b.tar")
    assert said.status == 1
    assert f"the database {database} is not empty" in said.err
    assert "--replace" in said.err
    assert database.read_bytes() == before
    assert os.listdir(database.parent) == [database.name]
    trial.ok("restore", tmp_path / "b.tar", "--replace")
    assert database.read_bytes() != before


def test_a_database_elsewhere_belongs_to_whom_its_folder_belongs(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(tmp_path / "data")
    cli.ok("backup", "-o", tmp_path / "b.tar")
    given: list[Path] = []
    monkeypatch.setattr(restoring, "owner_for", lambda _folder: (12345, 12345))
    monkeypatch.setattr(restoring, "give", lambda path, _owner: given.append(path))
    cli.ok("restore", tmp_path / "b.tar", "--replace")
    assert given == [tmp_path / "data/.restore/new", database.with_name(".tranche.db.restored")]


def test_a_file_that_somebody_else_laid_there_is_not_filled(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid = tmp_path / ".b.tar.part"
    laid.touch()
    monkeypatch.setattr(os, "geteuid", lambda: laid.stat().st_uid + 1)
    said = Cli(tmp_path / "data")("backup", "-o", tmp_path / "b.tar")
    assert said.status == 1
    assert f"{laid} is the user {laid.stat().st_uid}'s" in said.err
    assert laid.read_bytes() == b""
    assert not (tmp_path / "b.tar").exists()
