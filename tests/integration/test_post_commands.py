"""Post commands by the real agent, runner and server; `shutdown` alone is a script of the test."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import TrancheAgent
from tests.support.server import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("our_agent")]


def deploy(server: RunningServer, agent: TrancheAgent, folder: Path, postcmd: str) -> str:
    command = f"echo action >> {folder}/log; exit 3"
    package = server.publish(
        f"post {folder.parent.name}", "--action", "execute", "--command", command
    )
    server.assign(package, agent.device_id, "--postcmd", postcmd)
    return package


def post_of(agent: TrancheAgent, package: str) -> dict[str, Any]:
    (entry,) = (each for each in agent.json("history") if each["package"] == package)
    assert isinstance(entry["post"], dict)
    return entry["post"]


def fake_shutdown(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tools = folder / "tools"
    tools.mkdir()
    (tools / "shutdown").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "shutdown").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


def test_a_command_line(server: RunningServer, registered: TrancheAgent, workshop: Path) -> None:
    command = f'echo "post in $PWD" >> {workshop}/log; echo said; read x || exit 5'
    package = deploy(server, registered, workshop, command)
    registered.once()
    assert (workshop / "log").read_text() == "action\npost in /\n"
    assert server.status(package, registered.device_id) == "ERR_EXIT_CODE_3"
    post = post_of(registered, package)
    assert (post["command"], post["note"]) == (command, "it ended with exit code 5")
    assert (post["output"], post["truncated"]) == ("said\n", False)
    registered.once()
    assert (workshop / "log").read_text() == "action\npost in /\n"
    assert list((registered.state / "packages").iterdir()) == []


def test_a_restart_and_what_waits_for_it(
    server: RunningServer,
    registered: TrancheAgent,
    workshop: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_shutdown(workshop, monkeypatch, f'echo "$@" >> {workshop}/asked')
    package = deploy(server, registered, workshop, "REBOOT")
    registered.once()
    assert server.status(package, registered.device_id) == "ERR_EXIT_CODE_3"
    other = server.publish(
        f"other {workshop.parent.name}", "--action", "execute", "--command", "true"
    )
    server.assign(other, registered.device_id)
    waits = registered.once(expect=3)
    why = f"waits for a restart of the computer, which package {package} wants"
    assert f"{other} waits: {why}" in waits.stdout
    assert (workshop / "asked").read_text().count("\n") == 1
    # The restart: the next agent finds another boot id.
    record = registered.state / "packages" / package / "record.json"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert boot in record.read_text()
    record.write_text(record.read_text().replace(boot, "of-the-run-before"))
    registered.once()
    assert server.status(other, registered.device_id) == "SUCCESS"
    assert post_of(registered, package)["note"] == "the computer was restarted"


def test_a_restart_that_the_system_refuses(
    server: RunningServer,
    registered: TrancheAgent,
    workshop: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_shutdown(workshop, monkeypatch, "echo 'Access denied' >&2; exit 1")
    package = deploy(server, registered, workshop, "SHUTDOWN")
    registered.once()
    note = post_of(registered, package)["note"]
    assert note == "it was not carried out: 'shutdown -h +2' ended with 1: Access denied"
