"""The whole way: our server, the daemon, a real window, clicks, a confirmation and a restart."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.processes import kill_tree
from tests.support.screen import Screen
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("screen")]

NOTIFY = ("--notify-text", "A <b>new</b> version", "--can-abort", "--can-delay")


@dataclass
class Desk:
    """A computer with our agent, at whose screen somebody sits.

    Attributes:
        locked: a file that says yes while the screen is locked; nobody is there without it.
        restarts: what `shutdown` was asked for, a line each.
        ran: what packages leave, a line each.
    """

    server: RunningServer
    agent: TrancheAgent
    screen: Screen
    locked: Path
    restarts: Path
    ran: Path

    def deploy(self, *options: str, assign: tuple[str, ...] = ()) -> str:
        name = f"asks {self.ran.parent.name}"
        command = f"echo x >> {self.ran}"
        package = self.server.publish(
            name, "--action", "execute", "--command", command, "--priority", "1", *options
        )
        self.server.assign(package, self.agent.device_id, *assign)
        return package

    def status(self, package: str) -> str:
        return self.server.status(package, self.agent.device_id)

    def why(self) -> str:
        return " ".join(package["why"] for package in self.agent.json("status")["packages"])


@pytest.fixture
def desk(server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with Screen() as screen:
        tools = tmp_path / "tools"
        tools.mkdir()
        locked = screen.log_in(tools)
        restarts = tmp_path / "restarts"
        shutdown = tools / "shutdown"
        shutdown.write_text(f'#!/bin/sh\necho "$@" >> {restarts}\n')
        shutdown.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
        agent.once()
        yield Desk(server, agent, screen, locked, restarts, tmp_path / "ran")


@pytest.fixture
def start(desk: Desk) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts daemons, of which none survives the test."""
    running: list[subprocess.Popen[str]] = []

    def begin() -> "subprocess.Popen[str]":
        running.append(desk.agent.start("run"))
        return running[-1]

    yield begin
    for process in running:
        kill_tree(process)
        if process.stdout is not None:
            process.stdout.close()


def test_asked_confirmed_restarted_and_reported(
    desk: Desk, start: Callable[[], "subprocess.Popen[str]"]
) -> None:
    package = desk.deploy(
        *NOTIFY, "--notify-countdown", "0", "--done-text", "Done?", assign=("--postcmd", "REBOOT")
    )
    daemon = start()
    desk.screen.window()
    assert desk.why() == "waits for a user's answer"
    assert not desk.ran.exists()
    desk.screen.press_right()
    wait_until(desk.ran.exists, "the action ran")
    wait_until(lambda: "has to confirm" in desk.why(), "it is to be confirmed")
    assert desk.status(package) == "NOTIFIED"
    assert not desk.restarts.exists()
    # After a kill the dialog comes back, and not the action.
    desk.screen.window()
    daemon.kill()
    daemon.wait(10)
    wait_until(lambda: desk.screen.look() is None, "the window is gone")
    start()
    desk.screen.press_right()
    wait_until(lambda: desk.status(package) == "SUCCESS", "the result is at the server")
    assert desk.ran.read_text() == "x\n"
    restart = desk.restarts.read_text()
    assert restart.startswith(f"-r +2 Package {package} was installed.")
    assert restart.count("\n") == 1
    assert "waits for a restart of the computer" in desk.why()
    (entry,) = [each for each in desk.agent.json("history") if each["package"] == package]
    assert [(each["who"], each["reply"]) for each in entry["answers"]] == [
        ("somebody", "now"),
        ("somebody", "done"),
    ]


def test_cancelled(desk: Desk, start: Callable[[], "subprocess.Popen[str]"]) -> None:
    package = desk.deploy("--notify-text", "?", "--notify-countdown", "600", "--can-abort")
    start()
    desk.screen.press_left()
    wait_until(lambda: desk.status(package) == "ERR_ABORTED", "the server knows")
    assert not desk.ran.exists()


def test_a_lock_takes_the_window_away_and_nothing_runs(
    desk: Desk, start: Callable[[], "subprocess.Popen[str]"]
) -> None:
    package = desk.deploy(*NOTIFY, "--notify-countdown", "12")
    start()
    desk.screen.window()
    desk.locked.write_text("yes")
    wait_until(lambda: "the screen is locked" in desk.why(), "the agent has noticed", seconds=40)
    assert desk.screen.look() is None
    assert not desk.ran.exists()
    assert desk.status(package) == "NOTIFIED"


def test_nobody_there_is_the_silent_path(desk: Desk) -> None:
    desk.locked.unlink()
    package = desk.deploy(*NOTIFY, "--notify-countdown", "600", "--done-text", "Done?")
    desk.agent.once()
    assert desk.status(package) == "SUCCESS"


def test_once_lets_the_countdown_run_out(desk: Desk) -> None:
    package = desk.deploy(*NOTIFY, "--notify-countdown", "3")
    done = desk.agent.run("once")
    assert done.returncode == 0, done.stderr
    assert desk.status(package) == "SUCCESS"
    assert "let the countdown run out" in done.stderr
