"""`deploy-server cert`, `user` and `db`: what people and programs read."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select, text

from deploy_server.config import load
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import Computer, ComputerSection, SectionContent
from tests.support.cli import Cli
from tests.support.clock import START

PASSWORD = "correct horse"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--host", "deploy.example.org", "--password-file", "-", stdin=PASSWORD)
    return cli


def test_show_says_the_same_to_people_and_programs(cli: Cli) -> None:
    shown = json.loads(cli.ok("cert", "show", "--json"))
    assert shown["names"] == ["deploy.example.org", "localhost", "127.0.0.1"]
    assert shown["days_left"] == 824
    assert shown["not_after"].endswith("Z")
    for line in (f"fingerprint:   {shown['fingerprint']}", "subject:       CN=deploy.example.org"):
        assert line in cli.ok("cert", "show")


def test_show_ca_says_where_it_is(cli: Cli) -> None:
    shown = json.loads(cli.ok("cert", "show", "--ca", "--json"))
    assert shown["file"] == str(cli.data / "certs" / "cacert.pem")
    assert shown["subject"] == shown["issuer"] == "CN=Tranche CA deploy.example.org"


def test_show_warns_about_what_ends(cli: Cli) -> None:
    cli.ok("cert", "renew", "--days", "59")
    outcome = cli("cert", "show")
    assert outcome.status == 0
    assert "Warning: The certificate CN=deploy.example.org ends on" in outcome.err


def test_renewing_with_another_name_says_what_stays(cli: Cli) -> None:
    outcome = cli("cert", "renew", "--host", "new.example.org")
    assert "Installed CN=new.example.org for new.example.org, localhost" in outcome.out
    assert "server.toml still has deploy.example.org" in outcome.err


def test_new_certificates_are_in_the_audit_log(cli: Cli) -> None:
    before = json.loads(cli.ok("cert", "show", "--json"))
    cli.ok("cert", "renew", "--host", "new.example.org")
    entry = json.loads(cli.ok("audit", "--json"))[-1]
    assert (entry["action"], entry["target"]) == ("certificate.renew", "CN=new.example.org")
    was, now = json.loads(entry["before"]), json.loads(entry["after"])
    assert was["fingerprint"] == before["fingerprint"]
    assert now["names"] == ["new.example.org", "localhost", "127.0.0.1"]
    assert "issuer" not in now  # the same as before
    server = cli.data / "certs" / "server.pem"
    cli.ok("cert", "install", "--cert", server, "--ca", cli.data / "certs" / "cacert.pem")
    assert json.loads(cli.ok("audit", "--json"))[-1]["action"] == "certificate.install"


def test_a_certificate_does_not_wait_for_the_database(cli: Cli) -> None:
    (cli.data / "tranche.db").unlink()
    outcome = cli("cert", "renew", "--host", "new.example.org")
    assert outcome.status == 0
    assert "Installed CN=new.example.org" in outcome.out
    assert "Warning: this is not in the audit log" in outcome.err


def test_a_request_goes_to_a_file_or_to_standard_output(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "server.csr"
    cli.ok("cert", "request", "-o", file)
    assert file.read_text().startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert cli.ok("cert", "request", "-o", "-").startswith("-----BEGIN CERTIFICATE REQUEST-----")


def test_installing_a_key_of_something_else_is_refused(cli: Cli, tmp_path: Path) -> None:
    ca = cli.data / "certs" / "cacert.pem"
    message = cli.refused("cert", "install", "--cert", ca, "--ca", ca)
    assert "the key belongs to none of the certificates given (CN=Tranche CA" in message


def test_users_come_and_go(cli: Cli) -> None:
    options = ["--role", "operator", "--tag", "north", "--tag", "south", "--password-file", "-"]
    cli.ok("user", "add", "bo", *options, stdin="a good password")
    assert "The password of cy, shown only now: " in cli.ok("user", "add", "cy")
    cli.ok("user", "disable", "bo")
    listed = {each["name"]: each for each in json.loads(cli.ok("user", "list", "--json"))}
    assert listed["bo"]["tags"] == ["north", "south"]
    assert listed["bo"]["disabled"] is True
    assert listed["cy"]["role"] == "viewer"
    assert "north, south  yes" in cli.ok("user", "list")
    cli.ok("user", "enable", "bo")
    assert "shown only now" in cli.ok("user", "password", "bo")
    assert cli.ok("user", "password", "bo", "--password-file", "-", stdin="another one") == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["user", "disable", "admin"], "'admin' is the only superadmin"),
        (["user", "disable", "nobody"], "there is no user 'nobody'"),
        (["user", "add", "ADMIN"], "there is a user 'ADMIN' already"),
        (["user", "add", "a\x1b[31m"], "cannot be a user's name"),
        (["cert", "renew", "--days", "0"], "0 days"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Cli, arguments: list[str], says: str) -> None:
    message = cli.refused(*arguments)
    assert says in message
    assert "\x1b" not in message


def test_wrong_usage_ends_with_two(cli: Cli) -> None:
    assert cli("user", "add", "bo", "--role", "root").status == 2
    assert cli("cert", "install").status == 2
    assert cli("cert", "what").status == 2


def test_the_schema_is_checked_and_upgraded(cli: Cli) -> None:
    assert "database and program agree" in cli("db", "check").err
    assert "nothing to do" in cli("db", "upgrade").err
    engine = make_engine(load(cli.data, {}).database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in (["db", "check"], ["db", "upgrade"], ["user", "list"]):
        assert "made by a newer program (schema 9999" in cli.refused(*command)


def test_a_database_without_rights_is_one_line(cli: Cli) -> None:
    (cli.data / "tranche.db").unlink()
    (cli.data / "tranche.db").mkdir()
    assert "tranche.db does not answer: unable to open" in cli.refused("user", "list")


def test_a_directory_that_is_none_says_how_to_make_it(tmp_path: Path) -> None:
    message = Cli(tmp_path / "nothing").refused("cert", "show")
    assert f"{tmp_path}/nothing is not initialised" in message
    assert f"Run: deploy-server init --data {tmp_path}/nothing" in message


def test_sweeping_removes_what_nothing_refers_to(cli: Cli) -> None:
    assert "Nothing to do" in cli("db", "sweep").err
    config = load(cli.data, {})
    engine = make_engine(config.database_url)
    with session_factory(engine).begin() as session:
        session.add(SectionContent(digest=b"unused", content=b""))
        used = SectionContent(digest=b"used", content=b"")
        computer = Computer(device_id="a", device_id_key="a", created_at=START)
        session.add_all([used, computer])
        session.flush()
        session.add(ComputerSection(computer_id=computer.id, name="BIOS", content_id=used.id))
    (config.staging / "1700000000").mkdir()
    swept = cli("db", "sweep").err
    assert "sections of inventories that no computer has: 1 removed" in swept
    with session_factory(engine)() as session:
        assert session.scalars(select(SectionContent.digest)).all() == [b"used"]
    engine.dispose()
