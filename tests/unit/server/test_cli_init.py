"""`deploy-server init`: what it makes, what it prints, and that it does so once."""

import hashlib
import os
import re
import stat
from pathlib import Path

import pytest

from deploy_server.config import load
from deploy_server.services import certificates, initialising, logins
from deploy_server.services.certificates import CertificateStore
from deploy_server.storage import schema
from deploy_server.storage.database import make_engine, session_factory
from tests.support.cli import Cli
from tests.support.clock import START

PASSWORD = "correct horse"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "new" / "data")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def may_log_in(cli: Cli, name: str, password: str) -> bool:
    engine = make_engine(load(cli.data, {}).database_url)
    with session_factory(engine)() as session:
        user = logins.authenticate(session, name, password, now=START)
        return user is not None and user.role == "superadmin" and not user.tags


def test_everything_is_made_and_private(cli: Cli) -> None:
    printed = cli.ok("init", "--host", "a.example.org", "--host", "192.0.2.1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in cli.data.iterdir()}
    assert modes == {
        "server.toml": 0o600,
        "secret_key": 0o600,
        "tranche.db": 0o600,
        "certs": 0o700,
        "staging": 0o700,
        "uploads": 0o700,
        "run": 0o700,
        "download": 0o755,
    }
    assert stat.S_IMODE(cli.data.stat().st_mode) == 0o700
    assert os.listdir(cli.data / "run") == []
    config = load(cli.data, {})
    assert config.hosts == ("a.example.org", "192.0.2.1")
    schema.check(make_engine(config.database_url))
    ca = cli.data / "certs" / "cacert.pem"
    assert f"CA for the agents: {ca}\n" in printed
    assert hashlib.sha256(ca.read_bytes()).hexdigest() in printed
    [server] = CertificateStore(config.certs).chain()
    names = certificates.describe(server).names
    assert names == ("a.example.org", "192.0.2.1", "localhost", "127.0.0.1")


def test_a_made_password_is_printed_once_and_works(cli: Cli) -> None:
    printed = cli.ok("init", "--admin", "root")
    [password] = re.findall(r"The password of root, shown only now: (\S+)", printed)
    assert may_log_in(cli, "root", password)
    assert not any(password.encode() in held for held in contents(cli.data).values())


def test_a_given_password_is_not_printed(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nsecond line\n")
    printed = cli.ok("init", "--password-file", file)
    assert PASSWORD not in printed
    assert "shown only now" not in printed
    assert may_log_in(cli, "admin", PASSWORD)


def test_a_password_from_standard_input(cli: Cli) -> None:
    cli.ok("init", "--password-file", "-", stdin=f"{PASSWORD}\n")
    assert may_log_in(cli, "admin", PASSWORD)


def test_a_second_time_changes_nothing(cli: Cli) -> None:
    cli.ok("init")
    before = contents(cli.data)
    assert "is initialised already" in cli.refused("init", "--host", "other")
    assert contents(cli.data) == before


def test_without_a_host_this_machine_is_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "this.example.org")
    outcome = cli("init")
    assert "agents must reach this server as this.example.org" in outcome.err
    assert load(cli.data, {}).hosts == ("this.example.org",)


def test_a_machine_whose_name_is_none_is_localhost(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "not a name")
    cli.ok("init")
    assert load(cli.data, {}).hosts == ("localhost",)


@pytest.mark.parametrize(
    ("options", "stdin", "says"),
    [
        (["--host", "https://a"], PASSWORD, "is no host name and no IP address"),
        (["--admin", " "], PASSWORD, "cannot be a user's name"),
        ([], "short", "has 5 characters, it needs 8"),
        ([], "", "has 0 characters"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    cli: Cli, options: list[str], stdin: str, says: str
) -> None:
    assert says in cli.refused("init", "--password-file", "-", *options, stdin=stdin)
    assert not cli.data.parent.exists()


def test_a_password_file_that_is_not_there(cli: Cli) -> None:
    message = cli.refused("init", "--password-file", "/no/such/file")
    assert message == "/no/such/file: No such file or directory. Check the path"


def test_a_directory_with_other_files_is_left_alone(cli: Cli) -> None:
    cli.data.mkdir(parents=True)
    (cli.data / "letter.txt").write_text("dear")
    assert "holds other files (letter.txt). Choose an empty directory" in cli.refused("init")
    assert os.listdir(cli.data) == ["letter.txt"]


@pytest.mark.parametrize("dies_at", ["create_own", "upgrade", "render"])
def test_an_attempt_that_died_is_finished_by_the_next(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    where = {
        "create_own": (certificates, "create_own"),
        "upgrade": (schema, "upgrade"),
        "render": (initialising, "render"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*where[dies_at], raising(MemoryError))
        with pytest.raises(MemoryError):
            cli("init", "--host", "first", "--password-file", "-", stdin="the first password")
    assert "not initialised" in cli.refused("user", "list")
    cli.ok("init", "--host", "second", "--password-file", "-", stdin=PASSWORD)
    assert may_log_in(cli, "admin", PASSWORD)
    assert not may_log_in(cli, "admin", "the first password")
    store = CertificateStore(cli.data / "certs")
    assert certificates.describe(store.chain()[0]).names[0] == "second"
    assert certificates.warnings(store, START) == []


def raising(error: type[BaseException]) -> object:
    def fail(*_arguments: object, **_more: object) -> None:
        raise error

    return fail


def test_another_database_is_written_down(cli: Cli, database_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPLOY_SERVER_DATABASE_URL", database_url)
        cli.ok("init", "--agents-over-http")
    assert load(cli.data, {}).database_url == database_url
    assert not (cli.data / "tranche.db").exists()
    assert "admin" in cli.ok("user", "list")
    assert cli.ok("setting", "get", "agents_over_http") == "1\n"
    assert "database and program agree" in cli("db", "check").err


def test_a_database_that_does_not_answer_is_named(cli: Cli) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPLOY_SERVER_DATABASE_URL", "postgresql+psycopg://u:secret@127.0.0.1:1/x")
        message = cli.refused("init")
    assert "does not answer" in message
    assert "secret" not in message
    cli.ok("init")
