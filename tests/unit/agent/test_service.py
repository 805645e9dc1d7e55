"""The agent as a service: the unit, and what systemd is told. Nothing here runs systemd."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy_agent.cli import main
from deploy_agent.domain.errors import ConfigError
from deploy_agent.machine import service
from deploy_agent.machine.unit import NAME, unit_text
from tests.support.certificates import issue
from tests.support.processes import BIN, program
from tests.support.repository import ROOT

#: What packages would inherit, each a way to break one.
DIRECTIVES = [
    "InaccessiblePaths",
    "PrivateDevices",
    "PrivateMounts",
    "PrivateTmp",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "RootDirectory",
    "TemporaryFileSystem",
    "CapabilityBoundingSet",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "ProtectClock",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "DevicePolicy",
    "DynamicUser",
    "IPAddressDeny",
    "MemoryMax",
    "PrivateNetwork",
    "PrivateUsers",
    "TasksMax",
    "User",
]


class Pc:
    """A computer below a folder, with a configuration and, for the asking, a systemctl."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.config = folder / "agent.toml"
        self.unit = folder / "root/etc/systemd/system" / NAME
        self.wanted = self.unit.parent / "multi-user.target.wants" / NAME
        self._monkeypatch = monkeypatch
        self.type("configure", "--server", "https://s.example.org", "--ca", str(self.ca()))

    def ca(self) -> Path:
        path = self.folder / "ca.pem"
        path.write_bytes(issue("ca", ca=True).pem())
        return path

    def type(self, *words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, ["--config", str(self.config), *words])
        assert done.exit_code == status, f"{done.exit_code}: {done.output} {done.exception!r}"
        return done

    def systemctl(self, text: str) -> Path:
        """Let systemd run here, with a systemctl that notes down what it is asked."""
        programs, note = self.folder / "programs", self.folder / "asked"
        programs.mkdir(exist_ok=True)
        (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {note}\n{text}\n')
        (programs / "systemctl").chmod(0o755)
        self._monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        self._monkeypatch.setattr(service, "RUNNING", self.folder)
        self._monkeypatch.setattr(service.Service, "live", True)
        return note


@pytest.fixture
def pc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pc:
    for name in [each for each in os.environ if each.startswith("DEPLOY_AGENT_")]:
        monkeypatch.delenv(name)
    return Pc(tmp_path, monkeypatch)


# The unit.


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_text(unit_text([str(BIN / "deploy-agent"), "--config", "/etc/a b%$.toml", "run"]))
    return path


def verify(unit: Path) -> tuple[int, list[str]]:
    """What systemd says of our unit; on this computer other units may have faults."""
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stderr.splitlines() if NAME in line]


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    assert verify(unit) == (0, [])


@pytest.mark.parametrize(
    ("line", "wrong", "said"),
    [
        ("KillMode=process", "KillMode=proces", "kill mode"),
        ("OOMPolicy=continue", "OOMPolicies=continue", "OOMPolicies"),
    ],
)
def test_systemd_would_find_what_is_wrong(unit: Path, line: str, wrong: str, said: str) -> None:
    unit.write_text(unit.read_text().replace(line, wrong))
    status, lines = verify(unit)
    assert status != 0
    assert said in lines[0]


def test_words_are_quoted_as_systemd_reads_them(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert line.endswith(' --config "/etc/a b%%$$.toml" run')


@pytest.mark.parametrize("name", ["it's", "a;b", "tab\there", "line\nfeed", 'a "b" \\n', "100%"])
def test_every_path_is_one_word_to_systemd(tmp_path: Path, name: str) -> None:
    unit = tmp_path / NAME
    unit.write_text(unit_text(["/bin/true", "--config", f"/etc/{name}.toml", "run"]))
    status, lines = verify(unit)
    assert (status, lines) == (0, [])


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_nothing_is_taken_from_packages(directive: str) -> None:
    text = unit_text(["/x"])
    assert not re.search(rf"^{directive}=", text, re.MULTILINE)
    assert f"``{directive}=``" in (ROOT / "docs/agent.rst").read_text(), "the docs say why not"


@pytest.mark.parametrize("line", ["KillMode=process", "Restart=always", "OOMPolicy=continue"])
def test_actions_outlive_the_agent(line: str) -> None:
    assert f"\n{line}\n" in unit_text(["/x"])


# Into a folder, with the real systemctl and no running systemd.


def test_install_and_uninstall_in_an_image(pc: Pc) -> None:
    program("systemctl")
    root = str(pc.folder / "root")
    said = pc.type("install", "--root", root).stdout
    assert "written" in said
    assert "next boot" in said
    assert f"--config {pc.config} run\n" in pc.unit.read_text()
    assert pc.unit.stat().st_mode & 0o777 == 0o644
    assert pc.wanted.is_symlink()
    before = pc.unit.stat().st_mtime_ns
    assert "as it should be" in pc.type("install", "--root", root).stdout
    assert pc.unit.stat().st_mtime_ns == before
    said = pc.type("uninstall", "--root", root).stdout
    assert str(pc.config) in said
    assert "/var/lib/deploy-agent" in said
    assert not pc.unit.exists()
    assert not pc.wanted.is_symlink()
    assert pc.config.exists()
    assert "nothing to remove" in pc.type("uninstall", "--root", root).stdout


def test_an_own_state_folder_stands_in_the_unit(pc: Pc) -> None:
    program("systemctl")
    root, state = str(pc.folder / "root"), str(pc.folder / "state")
    pc.type("install", "--root", root, "--state", state)
    assert f"--config {pc.config} --state {state} run\n" in pc.unit.read_text()
    assert state in pc.type("uninstall", "--root", root, "--state", state).stdout


def test_without_a_configuration_nothing_is_installed(pc: Pc) -> None:
    pc.config.unlink()
    done = pc.type("install", "--root", str(pc.folder / "root"), status=2)
    assert "deploy-agent configure" in done.stderr
    assert not pc.unit.exists()
    pc.type("uninstall", "--root", str(pc.folder / "root"))


def test_what_only_the_environment_says_is_not_the_services(
    pc: Pc, monkeypatch: pytest.MonkeyPatch
) -> None:
    pc.config.write_text("")
    monkeypatch.setenv("DEPLOY_AGENT_SERVER", "https://s")
    monkeypatch.setenv("DEPLOY_AGENT_CA_FILE", str(pc.ca()))
    assert "'server' is missing" in pc.type("install", "--root", "/tmp/x", status=2).stderr


# Where systemd runs.


def test_install_tells_a_running_systemd(pc: Pc) -> None:
    note = pc.systemctl('[ "$1" != is-active ] || [ -e "$0.started" ]; ')
    root = str(pc.folder / "root")
    said = pc.type("install", "--root", root).stdout
    assert "enabled and runs" in said
    asked = ["daemon-reload", f"enable {NAME}", f"is-active --quiet {NAME}", f"restart {NAME}"]
    assert note.read_text().splitlines() == asked
    note.unlink()
    (pc.folder / "programs/systemctl.started").touch()
    pc.type("install", "--root", root)
    assert note.read_text().splitlines() == asked[:3], "a service that runs is left alone"
    note.unlink()
    pc.unit.write_text("older")
    assert "was restarted" in pc.type("install", "--root", root).stdout
    note.unlink()
    pc.type("uninstall", "--root", root)
    assert note.read_text().splitlines() == [f"disable --now {NAME}", "daemon-reload"]


def test_what_systemd_refuses_is_told(pc: Pc) -> None:
    pc.systemctl('echo "Failed to enable unit: masked" >&2; exit 1')
    done = pc.type("install", "--root", str(pc.folder / "root"), status=1)
    assert "masked" in done.stderr
    assert "journalctl" in done.stderr
    assert "Traceback" not in done.stderr


# Where it cannot be.


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_only_root_may(pc: Pc, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "is_root", lambda: False)
    pc.config.unlink()  # the lack of rights comes first
    done = pc.type(command, status=1)
    assert "only root" in done.stderr
    assert "sudo" in done.stderr


def test_without_systemd_the_command_to_start_is_named(
    pc: Pc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = pc.type("install", "--root", str(pc.folder / "root"), status=1)
    assert "no systemd" in done.stderr
    assert f"{BIN / 'deploy-agent'} --config {pc.config} run" in done.stderr
    assert not pc.unit.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_program_that_others_can_change_is_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "venv"
    folder.mkdir()
    for name in ("deploy-agent", "python"):
        (folder / name).write_text("")
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setattr(service, "__file__", str(folder / "python"))
    service.check_program(service.own_program())
    os.chown(folder, 12345, 12345)
    with pytest.raises(ConfigError, match=f"'{folder}' belongs to .*/opt/tranche"):
        service.check_program(service.own_program())
    (folder / "deploy-agent").unlink()
    with pytest.raises(ConfigError, match="no program"):
        service.own_program()
