"""A notice on a real terminal, and answers through the socket: whose count, and whose do not."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs.places import AnswerPlace, answer_place
from deploy_agent.machine.dialogs.terminal import NoAnswer, open_on_terminal, send_answer
from tests.support.agent import TrancheAgent
from tests.support.processes import BIN, kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

ID = "1800000001"
QUESTION = Question(
    ID, "A <b>new</b>\x1b[31m version<br>of all", (Reply.NOW, Reply.LATER), 60, "It starts soon."
)


@dataclass
class Terminal:
    """A terminal of this user's, with what is shown on it."""

    name: str
    shown: int
    own: int

    def read(self) -> str:
        return os.read(self.shown, 4000).decode().replace("\r", "")

    def session(self, uid: int | None = None) -> Session:
        number = os.getuid() if uid is None else uid
        return Session("9", "somebody", number, Kind.TERMINAL, tty=self.name)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    shown, own = os.openpty()
    made = Terminal(os.ttyname(own).removeprefix("/dev/"), shown, own)
    yield made
    termios.tcflow(own, termios.TCOON)
    os.close(own)
    os.close(shown)


@pytest.fixture
def path() -> Iterator[Path]:
    """Where everybody can speak to the agent; pytest's folders are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "answer.sock"
    shutil.rmtree(folder)


def test_the_notice_says_how_to_answer_and_obeys_nothing_in_the_text(
    terminal: Terminal, path: Path
) -> None:
    window = open_on_terminal(QUESTION, terminal.session(), lambda: None, AnswerPlace(path))
    assert window is not None
    assert terminal.read().splitlines() == [
        "",
        f"--- Software installation (package {ID}) ---",
        "A new[31m version",
        "of all",
        "It starts soon.",
        f"Answer with:  deploy-agent answer {ID} now|later",
        "---",
    ]
    assert window.poll() is None
    window.close()
    assert not path.exists()
    with pytest.raises(NoAnswer, match="nobody is being asked"):
        send_answer(path, ID, "now")


def test_an_answer_is_taken_once_and_only_what_was_offered(terminal: Terminal, path: Path) -> None:
    answered = threading.Event()
    window = open_on_terminal(QUESTION, terminal.session(), answered.set, AnswerPlace(path))
    assert window is not None
    for package, word, said in (
        ("1800000002", "now", "nobody is being asked about that package"),
        (ID, "cancel", "possible answers: now, later"),
        (ID, "rm -rf", "nobody is being asked"),
        ("x" * 500, "now", "nobody is being asked"),
    ):
        with pytest.raises(NoAnswer, match=said):
            send_answer(path, package, word)
        assert window.poll() is None
    assert send_answer(path, ID, "later") == f"package {ID}: later"
    assert answered.wait(10)
    assert window.poll() is Reply.LATER
    with pytest.raises(NoAnswer, match="answered already"):
        send_answer(path, ID, "now")
    assert window.poll() is Reply.LATER
    window.close()


SEND = """
import contextlib, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
with contextlib.suppress(BrokenPipeError):
    connection.sendall(sys.argv[2].encode() + b" now\\n")
print(connection.recv(1000).decode(), end="")
"""
SAY_NOTHING = """
import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
for connection in held:
    connection.connect(sys.argv[1])
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_nobody_else_can_answer(terminal: Terminal, path: Path) -> None:
    window = open_on_terminal(QUESTION, terminal.session(), lambda: None, AnswerPlace(path))
    assert window is not None
    done = subprocess.run(
        # The system's own: tests' environments may be closed to others.
        ["/usr/bin/python3", "-I", "-c", SEND, str(path), ID],
        user=pwd.getpwnam("nobody").pw_uid,
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert done.stdout == "-somebody was asked, and nobody else can answer\n"
    assert window.poll() is None
    window.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_others_cannot_keep_the_user_from_answering(terminal: Terminal, path: Path) -> None:
    window = open_on_terminal(QUESTION, terminal.session(), lambda: None, AnswerPlace(path))
    assert window is not None
    with subprocess.Popen(
        ["/usr/bin/python3", "-I", "-c", SAY_NOTHING, str(path)],
        user=pwd.getpwnam("nobody").pw_uid,
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={},
    ) as others:
        assert others.stdout is not None
        assert others.stdout.readline() == b"connected\n"
        assert send_answer(path, ID, "later") == f"package {ID}: later"
    window.close()


def test_nothing_is_taken_where_others_could_put_a_socket(terminal: Terminal, path: Path) -> None:
    path.parent.chmod(0o777)
    assert open_on_terminal(QUESTION, terminal.session(), lambda: None, AnswerPlace(path)) is None
    path.parent.chmod(0o755)
    os.chown(path.parent, pwd.getpwnam("nobody").pw_uid, -1)
    assert open_on_terminal(QUESTION, terminal.session(), lambda: None, AnswerPlace(path)) is None


def test_what_is_no_terminal_of_the_user_is_not_written_to(terminal: Terminal, path: Path) -> None:
    for session in (
        terminal.session(uid=12_345),
        Session("9", "somebody", os.getuid(), Kind.TERMINAL, tty="pts/99999"),
        Session("9", "somebody", os.getuid(), Kind.TERMINAL, tty="../etc/hostname"),
    ):
        assert open_on_terminal(QUESTION, session, lambda: None, AnswerPlace(path)) is None
        assert not path.exists()


def test_a_terminal_that_takes_nothing_does_not_hold_the_agent_up(
    terminal: Terminal, path: Path
) -> None:
    termios.tcflow(terminal.own, termios.TCOOFF)  # somebody pressed Ctrl-S
    assert open_on_terminal(QUESTION, terminal.session(), lambda: None, AnswerPlace(path)) is None


LOGINCTL = """#!/bin/sh
case $1 in
list-sessions) echo "9 {uid} somebody {tty}" ;;
*) printf '%s\\n' Id=9 Name=somebody User={uid} Type=tty Class=user Active=yes TTY={tty} ;;
esac
"""
#: As another user; what is imported later comes from where tests' users may not look.
AS = """
import os, sys
import deploy_agent.cli, deploy_agent.services.setup, deploy_agent.machine.dialogs.terminal
deploy_agent.cli.main.get_command(None, "answer")
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
deploy_agent.cli.main(sys.argv[2:], prog_name="deploy-agent")
"""


def answer_as(uid: int, *words: str) -> "subprocess.CompletedProcess[str]":
    """What the notice says to type, typed by a user."""
    assert words[0] == "deploy-agent"
    program = [sys.executable, "-c", AS, str(uid)] if uid else [str(BIN / "deploy-agent")]
    return subprocess.run(
        [*program, *words[1:]], capture_output=True, text=True, check=False, cwd="/"
    )


NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.mark.slow
@pytest.mark.xdist_group("screen")
@pytest.mark.parametrize("uid", [os.getuid(), NOBODY], ids=["own", "another"])
def test_the_whole_way(
    uid: int,
    server: RunningServer,
    terminal: Terminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked on a terminal by a daemon, answered by its user as the notice says."""
    if os.geteuid() not in (0, uid):
        pytest.skip("only root can be another user")
    os.chown(f"/dev/{terminal.name}", uid, -1)
    tool = tmp_path / "loginctl"
    tool.write_text(LOGINCTL.format(uid=uid, tty=terminal.name))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    agent.once()
    package = server.publish(
        *(f"asks on {uid}'s terminal", "--action", "execute", "--command", "true"),
        *("--priority", "1", "--notify-text", "May I?", "--notify-countdown", "0", "--can-delay"),
    )
    server.assign(package, agent.device_id)
    place = answer_place(agent.state)
    daemon = agent.start("run")
    try:
        wait_until(place.path.exists, "the question stands")
        (typed,) = (line for line in terminal.read().splitlines() if "Answer with" in line)
        line = typed.partition(":  ")[2]
        assert line == f"deploy-agent answer {package} now|later --state {agent.state}"
        assert server.status(package, agent.device_id) == "NOTIFIED"
        if os.geteuid() == 0:
            stranger = answer_as(NOBODY - 1, *line.replace("|later", "").split())
            assert stranger.returncode == 1
            assert "was asked, and nobody else can answer" in stranger.stderr
        done = answer_as(uid, *line.replace("|later", "").split())
        assert (done.returncode, done.stdout) == (0, f"package {package}: now\n"), done.stderr
        wait_until(
            lambda: server.status(package, agent.device_id) == "SUCCESS", "it is at the server"
        )
        assert not place.path.exists()
    finally:
        kill_tree(daemon)
        assert daemon.stdout is not None
        daemon.stdout.close()
    again = agent.run("answer", package, "now")
    assert again.returncode == 1
    assert "nobody is being asked anything on a terminal here" in again.stderr
