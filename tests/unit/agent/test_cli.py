"""Commands, their words and their exit statuses; the network is the simulator's."""

import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy_agent import __version__
from deploy_agent.cli import main
from deploy_agent.cli.common import printable, show_json
from deploy_agent.config import AgentConfig
from deploy_agent.domain.errors import (
    ServerUnreachable,
    TlsReason,
    TlsRefused,
)
from deploy_agent.machine.clock import Clock, SystemClock
from deploy_agent.machine.lock import InstanceLock
from deploy_agent.services import checking, looking, setup
from deploy_agent.wire.info import Notification
from tests.support.certificates import issue
from tests.support.computer import HARDWARE
from tests.support.processes import BIN
from tests.support.simulator import QUICK, ServerSimulator

ID = "1800000001"


class Reachable(ServerSimulator):
    """A simulator with what only the real transport has."""

    answers: tuple[int, Any] = (200, {"attempt": 1_795_000_009})
    says: tuple[int, datetime | None] = (405, None)
    asked_for: list[tuple[str, Any]]

    def reach(self) -> tuple[int, datetime | None]:
        if self.reachable is not None:
            raise self.reachable
        return self.says

    def close(self) -> None: ...

    def post_json(self, path: str, value: Any) -> tuple[int, Any]:
        self.asked_for.append((path, value))
        return self.answers


class Pc:
    """A computer on which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "agent.toml"
        self.state = folder / "state"
        self.ca = folder / "ca.pem"
        self.server = Reachable()
        self.server.asked_for = []

    def type(self, *words: str, status: int = 0) -> Result:
        """Type a command with its configuration; it has to end with ``status``."""
        line = ["--config", str(self.config), "--state", str(self.state), *words]
        done = CliRunner().invoke(main, line)
        assert done.exit_code == status, f"{done.exit_code}: {done.output} {done.exception!r}"
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.type(*words, "--json").stdout)


@pytest.fixture
def pc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pc]:
    for name in list(os.environ):
        if name.startswith("DEPLOY_AGENT_"):
            monkeypatch.delenv(name)
    made = Pc(tmp_path)
    made.ca.write_bytes(issue("ca", ca=True).pem())
    made.type("configure", "--server", "https://s.example.org", "--ca", str(made.ca))

    def transport(config: AgentConfig, clock: Clock) -> Reachable:
        return made.server

    for module in (setup, looking, checking):
        monkeypatch.setattr(module, "make_transport", transport)
    for module in (setup, looking):
        monkeypatch.setattr(module, "collect_inventory", lambda: [HARDWARE])
    yield made
    logger = logging.getLogger("deploy_agent")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def give(pc: Pc, command: str = "true", **fields: Any) -> None:
    pc.server.publish(fragments=0, target=command, **fields)
    pc.server.assign()


# configure


def test_configure_writes_what_it_was_told(pc: Pc) -> None:
    text = pc.config.read_text()
    assert 'server = "https://s.example.org/ocsinventory"' in text
    assert f'ca_file = "{pc.ca}"' in text
    pc.type("configure", "--server", "http://t:8080/x", "--ca", str(pc.ca), "--tag", "paris")
    shown = pc.type("config", "show").stdout
    assert "http://t:8080/x" in shown
    assert "paris" in shown
    assert str(pc.config) in shown


@pytest.mark.parametrize(
    "words",
    [
        ("configure",),
        ("configure", "--server", "https://s"),
        ("configure", "--server", "s", "--ca", "/ca"),
        ("configure", "--server", "https://s", "--ca", "/nowhere/ca.pem"),
        ("nonsense",),
        ("once", "--nonsense"),
    ],
)
def test_wrong_usage_is_status_2_and_changes_nothing(pc: Pc, words: tuple[str, ...]) -> None:
    before = pc.config.read_bytes()
    assert pc.type(*words, status=2).stderr
    assert pc.config.read_bytes() == before


def test_a_ca_without_certificate_is_refused_at_once(pc: Pc) -> None:
    pc.ca.write_text("no certificate")
    done = pc.type("configure", "--server", "https://s", "--ca", str(pc.ca), status=2)
    assert "holds no certificate" in done.stderr


def test_configure_again_changes_nothing_and_spares_what_others_wrote(pc: Pc) -> None:
    line = ("configure", "--server", "https://s.example.org", "--ca", str(pc.ca))
    pc.config.write_text("# ours\nmax_exec_tries = 2  # twice\n" + pc.config.read_text())
    before = pc.config.stat()
    assert "says that already" in pc.type(*line).stdout
    assert pc.config.stat() == before
    pc.type(*line, "--tag", "paris")
    text = pc.config.read_text()
    assert text.startswith("# ours\nmax_exec_tries = 2  # twice\n")
    assert text.endswith('tag = "paris"\n')
    assert text.count("server =") == 1


def test_a_secret_is_not_kept_for_nothing(pc: Pc) -> None:
    before = pc.config.read_bytes()
    (pc.folder / "secret").write_text("x")
    line = ("configure", "--server", "https://t", "--ca", str(pc.ca))
    done = pc.type(*line, "--secret-file", str(pc.folder / "secret"), status=2)
    assert "do not enrol" in done.stderr
    assert pc.config.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to be careful")
@pytest.mark.parametrize("words", [("once",), ("run",), ("retry", ID), ("configure",)])
@pytest.mark.parametrize("name", ["ca.pem", "agent.toml", "auth"])
def test_root_believes_nothing_that_others_may_write(
    pc: Pc, words: tuple[str, ...], name: str
) -> None:
    auth = pc.folder / "auth"
    auth.write_text("me:secret")
    with pc.config.open("a") as file:
        file.write(f'basic_auth_file = "{auth}"\n')
    (pc.folder / name).chmod(0o666)
    if words == ("configure",):
        words = ("configure", "--server", "https://s.example.org", "--ca", str(pc.ca))
        if name == "auth":
            return  # it is not looked at there
    done = pc.type(*words, status=2)
    assert f"'{pc.folder / name}'" in done.stderr
    assert "may be written by others" in done.stderr
    assert "chmod go-w" in done.stderr
    assert not pc.state.exists()
    pc.type("status")
    pc.type("config", "show")


@pytest.mark.parametrize("words", [("once",), ("status",), ("config", "show"), ("run",)])
def test_options_may_stand_before_and_after_the_command(pc: Pc, words: tuple[str, ...]) -> None:
    none = pc.folder / "none.toml"
    runner = CliRunner()
    before = runner.invoke(main, ["--config", str(none), *words])
    after = runner.invoke(main, [*words, "--config", str(none)])
    for done in (before, after):
        assert done.exit_code == 2
        assert f"there is no configuration '{none}'" in done.stderr


def test_an_unknown_key_is_status_2(pc: Pc) -> None:
    with pc.config.open("a") as file:
        file.write("verify = false\n")
    assert "unknown key 'verify'" in pc.type("once", status=2).stderr


def test_version_and_help() -> None:
    runner = CliRunner()
    assert __version__ in runner.invoke(main, ["--version"]).stdout
    assert "once" in runner.invoke(main, ["-h"]).stdout


# once


def test_once_runs_a_package_and_says_how_it_ended(pc: Pc) -> None:
    give(pc)
    assert pc.type("once", "--no-wait").stdout == f"{ID} SUCCESS\n"
    assert pc.server.status() == "SUCCESS"


def test_once_is_0_whatever_the_result(pc: Pc) -> None:
    give(pc, "echo broken; exit 3")
    assert pc.type("once", "--no-wait").stdout == f"{ID} ERR_EXIT_CODE_3\n"
    (entry,) = pc.json("history")
    assert (entry["package"], entry["exit_code"]) == (ID, 3)
    assert entry["output"] == "broken\n"
    (line,) = pc.type("history").stdout.splitlines()
    assert line.endswith(f"{ID}  ERR_EXIT_CODE_3")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line), "no fractions of a second"
    for words in (("history", ID), ("history", "--output")):
        assert pc.type(*words).stdout.splitlines() == [line, "    broken"]
    assert pc.json("history", ID) == [entry]
    assert "has not ended" in pc.type("history", "1800000002", status=1).stderr


def test_once_is_3_while_a_package_waits_and_names_it(pc: Pc) -> None:
    give(pc)
    pc.server.offer(schedule="2099/01/01 00:00")
    done = pc.type("once", "--no-wait", status=3)
    assert f"{ID} waits: scheduled for 2099/01/01 00:00" in done.stdout
    (package,) = pc.json("status")["packages"]
    assert (package["package"], package["state"]) == (ID, "UNPACKED")
    assert "scheduled" in package["why"]
    head, row = pc.type("status").stdout.splitlines()[-2:]
    assert head.split() == ["PACKAGE", "STATE", "PRIORITY", "FRAGMENTS", "SINCE", "WHY"]
    assert row.startswith(f"{ID}  UNPACKED  ")
    assert "scheduled for" in row
    assert row.index("scheduled") == head.index("WHY")


@pytest.mark.parametrize(
    "error",
    [
        ServerUnreachable("s.example.org:443 cannot be reached: Connection refused"),
        TlsRefused("the certificate is not from a CA in ca_file", reason=TlsReason.UNKNOWN_CA),
    ],
)
def test_once_is_1_when_the_server_is_not_there_or_not_trusted(pc: Pc, error: Exception) -> None:
    pc.server.reachable = error
    done = pc.type("once", status=1)
    assert str(error) in done.stderr
    assert "Traceback" not in done.stderr


def test_once_is_1_when_a_result_cannot_be_told(pc: Pc) -> None:
    give(pc)
    pc.server.report_fault = ServerUnreachable("connection refused")
    assert "has to be told" in pc.type("once", "--no-wait", status=1).stdout
    pc.server.report_fault = None
    assert pc.type("once", "--no-wait").stdout == f"{ID} SUCCESS\n"


def test_ctrl_c_says_what_becomes_of_each_package(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    give(pc)
    pc.server.offer(schedule="2099/01/01 00:00")
    monkeypatch.setattr(SystemClock, "sleep", interrupt)
    monkeypatch.setattr("deploy_agent.services.agent.Agent.step", interrupt)
    done = pc.type("once", status=130)
    assert done.stderr.splitlines()[-2:] == [
        "Stopped by Ctrl-C; nothing is lost.",
        f"{ID}: goes on where it is when an agent runs again",
    ]
    assert "Aborted" not in done.output


def test_ctrl_c_anywhere_is_130(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "status_of", interrupt)
    assert "Ctrl-C" in pc.type("status", status=130).stderr


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_once_is_75_while_another_works(pc: Pc) -> None:
    with InstanceLock(pc.state / "lock"):
        assert "another agent" in pc.type("once", status=75).stderr
        assert "another agent" in pc.type("run", status=75).stderr
        assert pc.json("status")["agent"] == "working"


def test_once_is_4_when_the_state_cannot_be_written(pc: Pc) -> None:
    pc.state.write_text("a file")
    done = pc.type("once", status=4)
    assert str(pc.state) in done.stderr


def test_the_log_says_what_happens_in_one_line_each(pc: Pc) -> None:
    with pc.config.open("a") as file:
        file.write(f'log_file = "{pc.folder}/log"\n')
    give(pc, "true # \x9b31m\nsecond")
    pc.type("once", "--no-wait")
    lines = (pc.folder / "log").read_text().splitlines()
    assert all(line[:2] == "20" for line in lines), lines
    assert any("true # \\x9b31m\\nsecond" in line for line in lines)
    assert "\x9b" not in "".join(lines)


def test_the_log_is_nobody_elses(pc: Pc, monkeypatch: pytest.MonkeyPatch) -> None:
    with pc.config.open("a") as file:
        file.write(f'log_file = "{pc.folder}/log"\n')
    monkeypatch.setattr("deploy_agent.cli.logs.LOG_MAX", 1)  # so that each line begins a new file
    give(pc, "true # secret")
    pc.type("once", "--no-wait")
    logs = list(pc.folder.glob("log*"))
    assert len(logs) > 1
    assert {each.stat().st_mode & 0o777 for each in logs} == {0o600}


def test_a_log_file_that_cannot_be_written_is_a_configuration_error(pc: Pc) -> None:
    with pc.config.open("a") as file:
        file.write('log_file = "/proc/none/log"\n')
    assert "log_file" in pc.type("once", status=2).stderr


# Looking.


def test_status_before_the_first_contact(pc: Pc) -> None:
    found = pc.json("status")
    assert (found["device_id"], found["last_contact"], found["packages"]) == (None, None, [])
    assert "None" not in pc.type("status").stdout
    assert "last contact   never" in pc.type("status").stdout
    assert not pc.state.exists(), "looking writes nothing"


def test_status_after_a_contact(pc: Pc) -> None:
    pc.type("once", "--no-wait")
    found = pc.json("status")
    assert found["server"] == "https://s.example.org/ocsinventory"
    assert found["last_contact"].endswith("Z")
    assert found["deployment"] == "on"
    pc.server.settings = replace(QUICK, on=False)
    pc.type("once", "--no-wait")
    assert pc.json("status")["deployment"] == "switched off by the server"


def test_status_names_a_record_that_cannot_be_read(pc: Pc) -> None:
    give(pc, notification=Notification("x"))
    pc.server.offer(schedule="2099/01/01 00:00")
    pc.type("once", "--no-wait", status=3)
    (pc.state / "packages" / ID / "record.json").write_text("{")
    (package,) = pc.json("status")["packages"]
    assert package["state"] == "UNREADABLE"


def test_the_inventory_in_three_forms(pc: Pc) -> None:
    assert "HARDWARE" in pc.type("inventory").stdout
    assert pc.json("inventory")["sections"][0]["NAME"] == "pc7"
    xml = pc.type("inventory", "--xml").stdout
    assert "<QUERY>INVENTORY</QUERY>" in xml
    assert "<NAME>pc7</NAME>" in xml
    assert pc.server.inventories == []


@pytest.mark.parametrize("command", ["status", "history", "inventory"])
def test_a_state_that_cannot_be_read_is_status_4(pc: Pc, command: str) -> None:
    pc.state.write_text("in the way")
    done = pc.type(command, status=4)
    assert str(pc.state) in done.stderr
    assert "--state" in done.stderr


def test_a_history_that_cannot_be_read_is_status_4(pc: Pc) -> None:
    pc.state.mkdir()
    (pc.state / "history").write_text("in the way")
    assert "history' cannot be read" in pc.type("history", status=4).stderr


def test_what_others_may_not_read_is_no_wrong_usage(
    pc: Pc, monkeypatch: pytest.MonkeyPatch
) -> None:
    # click asks os.access before anything is opened; root may read everything.
    monkeypatch.setattr(os, "access", lambda path, mode, **_: not mode & os.R_OK)
    pc.type("status")
    pc.type("configure", "--server", "https://s.example.org", "--ca", str(pc.ca))


# retry


def test_retry_asks_our_server(pc: Pc) -> None:
    give(pc, "exit 3")
    pc.type("once", "--no-wait")
    assert "attempt 1795000009" in pc.type("retry", ID).stdout
    (value,) = [value for path, value in pc.server.asked_for if path == "/api/v1/agent/retry"]
    assert value == {"device_id": pc.json("status")["device_id"], "package": ID}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, {"error": "x"}), "is not assigned"),
        ((409, {"error": "x"}), "did not end in an error"),
        ((409, {"message": "it still runs", "hint": "Wait"}), "it still runs. Wait"),
        ((409, {"message": "x" * 9000, "hint": None}), "x" * 500),
        ((409, {"message": {"a": 1}}), "did not end in an error"),
        ((404, None), "takes an administrator"),
        ((500, None), "status 500"),
        ((200, {}), "status 200"),
    ],
)
def test_retry_says_why_not(pc: Pc, answer: tuple[int, Any], words: str) -> None:
    pc.type("once", "--no-wait")
    pc.server.answers = answer
    assert words in pc.type("retry", ID, status=1).stderr


def test_retry_takes_ids(pc: Pc) -> None:
    assert "'abc' is no package id" in pc.type("retry", "abc", status=2).stderr


def test_an_output_that_takes_nothing_is_told(pc: Pc) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [BIN / "deploy-agent", "--config", pc.config, "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "Error: No space left on device\n"


def test_retry_on_an_ocs_server_takes_an_administrator(pc: Pc) -> None:
    pc.server.ours = False
    pc.type("once", "--no-wait")
    assert "administrator" in pc.type("retry", ID, status=1).stderr
    assert pc.server.asked_for == []


def test_retry_needs_a_first_contact_and_https(pc: Pc) -> None:
    assert "never contacted" in pc.type("retry", ID, status=1).stderr
    pc.type("once", "--no-wait")
    pc.type("configure", "--server", "http://s", "--ca", str(pc.ca))
    assert "HTTPS" in pc.type("retry", ID, status=1).stderr


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    assert printable("a\x1b[2Jb\r\n\u202ec é") == "a\\x1b[2Jb\\r\\n\\u202ec é"


def test_nor_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"output": "a\x1b[2J \x9b31m \x7f \u202e é 東\n"}
    show_json(value)
    printed = capsys.readouterr().out
    assert not set(printed) & set("\x1b\x9b\x7f\u202e")
    assert "é 東" in printed
    assert json.loads(printed) == value
