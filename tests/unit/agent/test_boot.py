"""Which run of the system this is, and what asks for another."""

import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy_agent.machine import boot
from deploy_agent.machine.boot import PowerError, SystemPower, is_same_boot


class Shutdown:
    """Stands in for the system's program."""

    def __init__(self, code: int = 0, said: str = "", error: Exception | None = None) -> None:
        self.code, self.said, self.error = code, said, error
        self.commands: list[list[str]] = []

    def __call__(self, command: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        assert options["timeout"] > 0
        if self.error is not None:
            raise self.error
        return subprocess.CompletedProcess(command, self.code, self.said)


@pytest.mark.parametrize(
    ("platform", "restart", "shut_down"),
    [
        ("linux", ["-r", "+2", "why"], ["-h", "+2", "why"]),
        ("darwin", ["-r", "+2", "why"], ["-h", "+2", "why"]),
        (
            "win32",
            ["/r", "/f", "/t", "120", "/c", "why"],
            ["/s", "/f", "/t", "120", "/c", "why"],
        ),
    ],
)
def test_what_is_asked_for(platform: str, restart: list[str], shut_down: list[str]) -> None:
    tool = Shutdown()
    power = SystemPower(tool, platform=platform)
    power.restart("why")
    power.shut_down("why")
    assert tool.commands == [["shutdown", *restart], ["shutdown", *shut_down]]


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (Shutdown(1, "Access\ndenied\n"), "'shutdown -r +2' ended with 1: Access denied"),
        (Shutdown(error=FileNotFoundError("no such file")), "'shutdown' failed: no such file"),
        (Shutdown(error=subprocess.TimeoutExpired("shutdown", 30)), "timed out after 30"),
    ],
)
def test_a_system_that_does_not_restart_says_why(tool: Shutdown, said: str) -> None:
    with pytest.raises(PowerError) as caught:
        SystemPower(tool, platform="linux").restart("why")
    assert said in str(caught.value)


def test_linux_names_its_run() -> None:
    assert len(boot.boot_id()) == 36
    assert is_same_boot(boot.boot_id(), boot.boot_id())


def test_elsewhere_the_time_of_its_start_stands_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(boot, "BOOT_ID", tmp_path / "none")
    started = [1_795_000_000.4]
    monkeypatch.setattr(psutil, "boot_time", lambda: started[0])
    before = boot.boot_id()
    assert before == "time:1795000000"
    started[0] += 30  # the clock was set
    assert is_same_boot(before, boot.boot_id())
    started[0] += 3600
    assert not is_same_boot(before, boot.boot_id())


def test_names_are_compared_as_they_are() -> None:
    assert not is_same_boot("boot 7", "boot 8")
    assert not is_same_boot("time:1795000000", "1f0c")
