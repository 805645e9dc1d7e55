"""`deploy-server computer`, `group`, `setting`, `assign` and their like, as people type them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.config import load
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import Activation, AgentEvent
from tests.support import factories as make
from tests.support.apps import OURS
from tests.support.cli import Cli
from tests.support.clock import START

PC1, PC2, PC3 = (f"pc{number}-2026-01-02-03-04-05" for number in (1, 2, 3))
PACKAGE = "1800000001"


@contextmanager
def database(cli: Cli) -> Iterator[Session]:
    engine = make_engine(load(cli.data, {}).database_url)
    with session_factory(engine)() as session, session.begin():
        yield session
    engine.dispose()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A server with three computers, one of them with Windows, and a package for Linux."""
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--host", "deploy.example.org", "--password-file", "-", stdin="correct horse")
    with database(cli) as session:
        for number, device_id in enumerate((PC1, PC2, PC3), 1):
            family = "windows" if number == 3 else "linux"
            make.make_computer(
                session, device_id=device_id, name=f"pc{number}", tag="Lyon", os_family=family
            )
        package = make.make_package(session, id=int(PACKAGE), name="tool")
        make.make_activation(session, package)
    return cli


def rows(cli: Cli, *arguments: str) -> list[dict[str, object]]:
    found = json.loads(cli.ok(*arguments, "--json"))
    assert isinstance(found, list)
    return found


def test_computers_are_listed_searched_shown_and_deleted(cli: Cli) -> None:
    assert [each["device_id"] for each in rows(cli, "computer", "list")] == [PC1, PC2, PC3]
    found = rows(cli, "computer", "search", "name in (pc1, pc3) and tag = LYON")
    assert [each["name"] for each in found] == ["pc1", "pc3"]
    shown = json.loads(cli.ok("computer", "show", PC1, "--json"))
    assert (shown["device_id"], shown["name"], shown["tag"]) == (PC1, "pc1", "Lyon")
    assert shown["last_contact"] == shown["last_inventory"] == "2026-11-21T10:00:00Z"
    assert shown["deployments"] == []
    cli.ok("computer", "delete", PC1, PC2)
    assert [each["device_id"] for each in rows(cli, "computer", "list")] == [PC3]
    assert "there is no computer" in cli.refused("computer", "delete", PC1)
    assert "there is no computer" in cli.refused("computer", "show", "nobody")


def test_a_computer_shows_what_its_agent_said_and_what_was_taken_back(cli: Cli) -> None:
    with database(cli) as session:
        pc = make.make_computer(session, device_id="pc9-2026-01-02-03-04-05", agent=OURS)
        activation = session.scalars(select(Activation)).one()
        make.make_assignment(session, pc, activation, status="NOTIFIED", attempt=7)
        session.add(
            AgentEvent(
                computer_id=pc.id, package_id=int(PACKAGE), attempt=7, event_id="1",
                received_at=START, at=START, state="RUNNING", reason="", output="a\x1b[2Jb",
                truncated=False,
            )
        )  # fmt: skip
    shown = json.loads(cli.ok("computer", "show", pc.device_id, "--json"))
    (found,) = shown["deployments"]
    assert (found["state"], found["state_at"]) == ("RUNNING", "2026-11-21T10:00:00Z")
    assert (found["output"], found["truncated"], found["exit_code"]) == ("a\x1b[2Jb", False, None)
    assert shown["withdrawn"] == []
    assert "It runs on the computer" in cli.ok("computer", "show", pc.device_id)
    cli.ok("unassign", PACKAGE, "--computer", pc.device_id)
    (taken,) = json.loads(cli.ok("computer", "show", pc.device_id, "--json"))["withdrawn"]
    assert (taken["package"], taken["name"], taken["word"]) == (PACKAGE, "tool", "")
    table = cli.ok("computer", "show", pc.device_id)
    assert "Taken back after the agent was told:" in table
    assert "not answered yet" in table
    assert "\x1b" not in table


def test_a_wrong_expression_points_at_the_character(cli: Cli) -> None:
    message = cli.refused("computer", "search", "name = a and hostname = b")
    assert "character 14: there is no field 'hostname'" in message
    assert "character 8" in cli.refused("group", "add", "g", "--dynamic", "name = ")


def test_assigning_says_how_many_and_who_was_skipped(cli: Cli) -> None:
    done = json.loads(cli.ok("assign", PACKAGE, "--search", "name ~ pc", "--json"))
    assert done["assigned"] == 2
    (skipped,) = done["skipped"]
    assert skipped["device_id"] == PC3
    assert "this computer runs Windows" in skipped["reason"]
    (deployment,) = json.loads(cli.ok("computer", "show", PC1, "--json"))["deployments"]
    assert (deployment["package"], deployment["name"], deployment["status"]) == (
        PACKAGE, "tool", "WAITING",
    )  # fmt: skip
    assert deployment["since"].endswith("Z")
    assert deployment["reason"]
    stats = json.loads(cli.ok("stats", PACKAGE, "--json"))
    assert stats == {"package": PACKAGE, "total": 2, "by_status": {"WAITING": 2}}


def test_several_computers_and_the_options_of_an_assignment(cli: Cli) -> None:
    cli.ok(
        "assign", "A1", "--computer", PC1, "--computer", PC2, "--force",
        "--schedule", "2026/12/24 18:00", "--postcmd", "REBOOT",
    )  # fmt: skip
    (deployment,) = json.loads(cli.ok("computer", "show", PC2, "--json"))["deployments"]
    assert (deployment["force"], deployment["schedule"], deployment["postcmd"]) == (
        True, "2026/12/24 18:00", "REBOOT",
    )  # fmt: skip
    assert cli.ok("unassign", PACKAGE, "--computer", PC1).startswith("Unassigned from 1 computer")
    assert cli.ok("unassign", PACKAGE, "--not-notified").startswith("Unassigned from 1 computer")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["assign", "1799999999", "--computer", PC1], "there is no package"),
        (["assign", "A9", "--computer", PC1], "there is no activation"),
        (["assign", PACKAGE, "--computer", "nobody"], "there is no computer"),
        (["assign", PACKAGE, "--group", "nobody"], "there is no group"),
        (["assign", PACKAGE, "--computer", PC1, "--schedule", "soon"], "YYYY/MM/DD"),
        (["assign", PACKAGE, "--search", "nme = x"], "character 1"),
        (["stats", "x"], "there is no package"),
        (["validate", "1799999999", "--all"], "there is no package"),
        (["setting", "set", "PERIOD_LENGTH", "0"], "cannot be 0"),
        (["setting", "set", "NOTHING", "1"], "there is no setting"),
        (["setting", "get", "NOTHING"], "there is no setting"),
        (["setting", "set", "TIMEOUT", "5", "--computer", "nobody"], "there is no computer"),
        (["setting", "set", "ENABLE_GROUPS", "0", "--computer", PC1], "for everybody"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    cli: Cli, arguments: list[str], words: str
) -> None:
    assert words in cli.refused(*arguments)
    assert json.loads(cli.ok("computer", "show", PC1, "--json"))["deployments"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["assign", PACKAGE],
        ["assign", PACKAGE, "--search", "  "],
        ["assign", PACKAGE, "--search", "name = a", "--group", "g"],
        ["unassign", PACKAGE, "--not-notified", "--computer", PC1],
        ["validate", PACKAGE],
        ["group", "add", "g", "--static", "--dynamic", "name = a"],
        ["setting", "get", "TIMEOUT", "--computer", PC1, "--group", "g"],
    ],
)
def test_wrong_usage_ends_with_2(cli: Cli, arguments: list[str]) -> None:
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""


def test_groups_from_the_command_line(cli: Cli) -> None:
    cli.ok("group", "add", "Servers", "--static", "--visible")
    cli.ok("group", "add", "Lyon", "--dynamic", "tag = lyon")
    cli.ok("group", "include", "servers", PC1, PC2)
    cli.ok("group", "exclude", "Lyon", PC1)
    found = {each["name"]: each["members"] for each in rows(cli, "group", "list")}
    assert found == {"Servers": 2, "Lyon": 2}
    cli.ok("group", "reset", "Lyon", PC1)
    shown = json.loads(cli.ok("group", "show", "Lyon", "--json"))
    assert (shown["kind"], shown["members"]) == ("dynamic", 3)
    done = json.loads(cli.ok("assign", PACKAGE, "--group", "Servers", "--json"))
    assert done == {"assigned": 2, "skipped": []}
    stats = json.loads(cli.ok("stats", PACKAGE, "--by", "group", "--json"))
    assert stats["total"] == 2
    assert cli.ok("validate", PACKAGE, "--not-notified").startswith("Cleared 2 computers")
    cli.ok("group", "delete", "Servers")
    assert "there is no group" in cli.refused("group", "show", "Servers")


def test_settings_from_the_command_line(cli: Cli) -> None:
    assert cli.ok("setting", "get", "DOWNLOAD_TIMEOUT").strip() == "30"
    cli.ok("setting", "set", "DOWNLOAD_SWITCH", "off")
    assert cli.ok("setting", "get", "DOWNLOAD").strip() == "0"
    assert "no deployment" in cli("setting", "set", "FREQUENCY", "-1").err
    assert cli.ok("setting", "get", "FREQUENCY").strip() == "-1"
    cli.ok("setting", "set", "frag_latency", "0", "--computer", PC1)
    assert cli.ok("setting", "get", "FRAG_LATENCY", "--computer", PC1).strip() == "0"
    assert cli.ok("setting", "get", "FRAG_LATENCY").strip() == "10"
    cli.ok("setting", "unset", "FREQUENCY")
    listed = {each["name"]: each for each in rows(cli, "setting", "list")}
    assert (listed["FREQUENCY"]["value"], listed["FREQUENCY"]["is_set"]) == ("1", False)
    assert listed["DOWNLOAD"]["value"] == "0"


def test_computers_are_tagged(cli: Cli) -> None:
    done = cli("computer", "tag", "NICE", PC1, PC2)
    assert "Changed the tag of 2 computers" in done.err
    cli.ok("computer", "tag", "METZ", "--search", "tag = nice and name = pc1")
    assert [each["tag"] for each in rows(cli, "computer", "list")] == ["METZ", "NICE", "Lyon"]
    assert cli("computer", "tag", "NICE").status == 2
    assert cli("computer", "tag", "NICE", PC1, "--search", "os ~ x").status == 2
    assert "nobody" in cli.refused("computer", "tag", "NICE", "nobody")
