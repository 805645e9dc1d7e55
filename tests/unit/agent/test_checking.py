"""What `check` finds, each by the fault it is for; the network is the simulator's."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_agent.domain.errors import ServerUnreachable, TlsReason, TlsRefused
from deploy_agent.domain.record import format_time
from deploy_agent.machine.lock import InstanceLock
from deploy_agent.machine.unit import NAME
from deploy_agent.services import checking
from tests.support.certificates import issue
from tests.unit.agent.test_cli import ID, Pc, give, pc

__all__ = ["pc"]  # a fixture

NAMES = [
    "configuration",
    "ca_file",
    "state",
    "disk",
    "device id",
    "agent",
    "server",
    "clock",
    "last contact",
    "results",
    "dialogs",
]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="this takes root")


def check(pc: Pc, *, status: int) -> dict[str, tuple[str, str]]:
    """What is found, as (level, detail), by its name."""
    found = json.loads(pc.type("check", "--json", status=status).stdout)
    return {each["what"]: (each["level"], each["detail"]) for each in found}


def only(found: dict[str, tuple[str, str]], level: str) -> list[str]:
    return [what for what, (each, _) in found.items() if each == level]


@pytest.fixture
def contacted(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> Pc:
    pc.ca.write_bytes(issue("ca", ca=True, ends=timedelta(days=400)).pem())
    pc.type("once", "--no-wait")
    plenty = shutil.disk_usage("/")._replace(free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: plenty)
    return pc


def test_nothing_is_wrong_after_a_contact(contacted: Pc) -> None:
    found = check(contacted, status=0)
    assert list(found) == NAMES
    assert only(found, "ok") == NAMES, found
    lines = contacted.type("check").stdout.splitlines()
    assert [line[:5] for line in lines] == ["ok   "] * len(NAMES)
    assert found["last contact"][1] == "0 min ago"


def test_before_the_first_contact(pc: Pc) -> None:
    found = check(pc, status=1)
    assert only(found, "failed") == ["last contact"]
    assert "deploy-agent once" in found["last contact"][1]


# The configuration and what it names.


@root_only
def test_a_configuration_that_others_may_write(contacted: Pc) -> None:
    contacted.config.chmod(0o666)
    found = check(contacted, status=1)
    assert only(found, "failed") == ["configuration"]
    assert "chmod go-w" in found["configuration"][1]


@pytest.mark.parametrize(
    ("begins", "ends", "level", "words"),
    [
        (-400, -1, "failed", "is valid any more.*deploy-server cert show --ca"),
        (1, 400, "failed", "is valid yet.*clock"),
        (-1, 10, "warning", "soon.*deploy-server cert show --ca"),
        (-1, 400, "ok", "CA 'ca' until"),
    ],
)
def test_the_ends_of_certificates(
    contacted: Pc, begins: int, ends: int, level: str, words: str
) -> None:
    made = issue("ca", ca=True, begins=timedelta(days=begins), ends=timedelta(days=ends))
    contacted.ca.write_bytes(made.pem())
    found = check(contacted, status=1 if level == "failed" else 0)
    assert found["ca_file"][0] == level
    assert re.search(words, found["ca_file"][1]), found["ca_file"]


def test_each_kind_of_certificate_is_named(contacted: Pc) -> None:
    ends = timedelta(days=400)
    root = issue("root", ca=True, ends=ends)
    below = issue("below", ca=True, by=root, ends=ends)
    server = issue("server", san=("s.example.org",), ends=ends)
    contacted.ca.write_bytes(root.pem() + below.pem() + server.pem())
    text = check(contacted, status=0)["ca_file"][1]
    assert "CA 'root' until" in text
    assert "CA below another 'below' until" in text
    assert "a server's self-signed certificate 'server' until" in text


def test_a_missing_ca(contacted: Pc) -> None:
    contacted.ca.unlink()
    found = check(contacted, status=1)
    assert "ca_file" in only(found, "failed")


def test_credentials_that_others_may_read(contacted: Pc) -> None:
    auth = contacted.folder / "auth"
    with contacted.config.open("a") as file:
        file.write(f'basic_auth_file = "{auth}"\n')
    assert check(contacted, status=1)["basic_auth_file"][0] == "failed"
    auth.write_text("me:secret")
    auth.chmod(0o644)
    level, text = check(contacted, status=0)["basic_auth_file"]
    assert (level, "chmod 600" in text) == ("warning", True)
    auth.chmod(0o600)
    assert check(contacted, status=0)["basic_auth_file"][0] == "ok"


# The state.


def test_it_looks_on_where_the_state_cannot_be_read(pc: Pc) -> None:
    pc.state.write_text("in the way")
    found = check(pc, status=1)
    assert only(found, "failed") == ["state", "device id", "agent", "last contact", "results"]


@pytest.mark.parametrize(
    ("free", "level"), [(0, "failed"), (500 * 2**20, "warning"), (2**31, "ok")]
)
def test_space(contacted: Pc, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    found = check(contacted, status=1 if level == "failed" else 0)
    assert found["disk"][0] == level
    assert f"{free // 2**20} MiB free" in found["disk"][1]


@pytest.fixture
def mounted(pc: Pc) -> Iterator[Path]:
    pc.state.mkdir()
    options = "size=8m,nr_inodes=900,noexec,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", pc.state], check=True)
    yield pc.state
    subprocess.run(["umount", "-l", pc.state], check=True)


@root_only
def test_a_state_folder_where_no_program_can_start(pc: Pc, mounted: Path) -> None:
    level, text = check(pc, status=1)["disk"]
    assert level == "failed"
    assert "noexec" in text
    assert "findmnt" in text
    subprocess.run(["mount", "-o", "remount,exec", mounted], check=True)
    assert "more files" in check(pc, status=1)["disk"][1]


def test_who_is_at_work(contacted: Pc) -> None:
    with InstanceLock(contacted.state / "lock"):
        assert check(contacted, status=0)["agent"][1] == f"at work, process {os.getpid()}"


def test_a_service_that_does_not_run(contacted: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = contacted.folder / "etc/systemd/system" / NAME
    unit.parent.mkdir(parents=True)
    unit.write_text("")
    service = checking.Service(contacted.folder)
    monkeypatch.setattr(checking, "Service", lambda: service)
    level, text = check(contacted, status=1)["agent"]
    assert (level, "systemctl status" in text) == ("failed", True)


# The server.


@pytest.mark.parametrize(
    "error",
    [
        ServerUnreachable("s.example.org:443 cannot be reached: Connection refused"),
        TlsRefused("the certificate is not for 's'", reason=TlsReason.WRONG_NAME, hint="Do x"),
    ],
)
def test_the_precise_reason_is_told(contacted: Pc, error: Any) -> None:
    contacted.server.reachable = error
    found = check(contacted, status=1)
    assert only(found, "failed") == ["server"]
    assert found["server"][1] == str(error)
    assert found["clock"][1].startswith("not compared")


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (400, "ok", "as a deployment server does"),
        (405, "ok", "as a deployment server does"),
        (200, "warning", "/ocsinventory"),
        (302, "warning", "/ocsinventory"),
        (401, "failed", "basic_auth_file"),
        (403, "failed", "https://"),
        (404, "failed", "/ocsinventory"),
        (407, "failed", "'proxy'"),
        (500, "failed", "server's log"),
        (503, "failed", "server's log"),
    ],
)
def test_what_answers(contacted: Pc, status: int, level: str, words: str) -> None:
    contacted.server.says = (status, None)
    found = check(contacted, status=1 if level == "failed" else 0)
    assert found["server"][0] == level
    assert words in found["server"][1]


@pytest.mark.parametrize(
    ("seconds", "level", "words"),
    [
        (0, "ok", "as the server's"),
        (-120, "warning", "120 s ahead of the server"),
        (3600, "failed", "3600 s behind the server"),
    ],
)
def test_the_clock(contacted: Pc, seconds: int, level: str, words: str) -> None:
    # The middle of a second, so that the test's own time does not count.
    contacted.server.says = (405, datetime.now(UTC) + timedelta(seconds=seconds + 0.3))
    found = check(contacted, status=1 if level == "failed" else 0)
    assert found["clock"][0] == level
    assert words in found["clock"][1]


# What was.


def remember(pc: Pc, **changes: Any) -> None:
    file = pc.state / "server.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("hours", "level", "words"),
    [
        (1.5, "ok", "90 min ago"),
        (3, "warning", "3 h ago, and every 60 min is usual"),
        (100, "failed", "4 days ago"),
        (-2, "warning", "clock"),
    ],
)
def test_the_last_contact(contacted: Pc, hours: float, level: str, words: str) -> None:
    at = datetime.now(UTC) - timedelta(hours=hours, seconds=5)
    remember(contacted, contacted_at=format_time(at), contact_minutes=60)
    found = check(contacted, status=1 if level == "failed" else 0)
    assert found["last contact"][0] == level
    assert words in found["last contact"][1]


def test_results_that_the_server_does_not_have(contacted: Pc) -> None:
    give(contacted)
    contacted.server.report_fault = ServerUnreachable("connection refused")
    contacted.type("once", "--no-wait", status=1)
    level, text = check(contacted, status=0)["results"]
    assert level == "ok"
    assert text.startswith("1 not told")
    record = contacted.state / "packages" / ID / "record.json"
    content = json.loads(record.read_text())
    content["result"]["ended_at"] = format_time(datetime.now(UTC) - timedelta(hours=5))
    record.write_text(json.dumps(content))
    level, text = check(contacted, status=1)["results"]
    assert (level, f"of {ID}, is 5 h old" in text) == ("failed", True)
    record.write_text("{")
    assert "cannot be read" in check(contacted, status=1)["results"][1]


# Users.


class Screen:
    kind = checking.Kind.SCREEN


@pytest.mark.parametrize(
    ("tools", "there", "level", "words"),
    [
        (["kdialog"], [Screen], "ok", "by kdialog"),
        (["zenity", "kdialog"], [], "ok", "by zenity"),
        ([], [], "ok", "nobody"),
        ([], [Screen], "warning", "Install one"),
    ],
)
def test_what_asks_users(
    contacted: Pc,
    monkeypatch: pytest.MonkeyPatch,
    tools: list[str],
    there: list[type[Screen]],
    level: str,
    words: str,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name in tools else None)
    monkeypatch.setattr("deploy_agent.machine.dialogs.sessions.find_sessions", lambda: there)
    found = check(contacted, status=0)["dialogs"]
    assert found[0] == level
    assert words in found[1]
