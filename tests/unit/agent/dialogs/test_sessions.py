"""Who is logged in, as loginctl and utmp say it."""

import os
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from deploy_agent.domain.asking import Kind, Session
from deploy_agent.machine.dialogs import sessions
from deploy_agent.machine.dialogs.sessions import find_sessions

LIST = """   2 1000 alice seat0 tty2
  c1  120 gdm   seat0 tty1
  45 1001 bob         pts/3
  46 1001 bob
"""
ALICE = """Id=2
User=1000
Name=alice
TTY=tty2
Remote=no
Display=:0
Type=x11
Class=user
Active=yes
State=active
LockedHint=no
"""
GREETER = (
    "Id=c1\nUser=120\nName=gdm\nType=wayland\nClass=greeter\nActive=no\nState=online\nTTY=tty1\n"
)
BOB = "Id=45\nUser=1001\nName=bob\nTTY=pts/3\nRemote=yes\nType=tty\nClass=user\nActive=yes\n"
COPY = (
    "Id=46\nUser=1001\nName=bob\nTTY=\nRemote=yes\nType=tty\nClass=user\nActive=yes\nState=active\n"
)


class Loginctl:
    """Answers from what a test gives it."""

    def __init__(self, listed: str | None, *shown: str, broken: bool = False) -> None:
        self.listed = listed
        self.shown = shown
        self.broken = broken
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> str | None:
        self.commands.append(command)
        if command[1] == "list-sessions":
            return self.listed
        ids = [each for each in command[2:] if not each.startswith("-")]
        if len(ids) > 1:
            return None if self.broken else "\n".join(self.shown)
        return next((each for each in self.shown if each.startswith(f"Id={ids[0]}\n")), None)


def test_screens_and_terminals_and_nobody_else() -> None:
    found = find_sessions(Loginctl(LIST, ALICE, GREETER, BOB, COPY))
    assert found == [
        Session("2", "alice", 1000, Kind.SCREEN, display=":0", tty="tty2"),
        Session("45", "bob", 1001, Kind.TERMINAL, tty="pts/3", remote=True),
    ]
    assert [each.attentive for each in found] == [True, True]


@pytest.mark.parametrize(
    ("change", "attentive"),
    [
        (("LockedHint=no", "LockedHint=yes"), False),
        (("Active=yes", "Active=no"), False),
        (("Type=x11", "Type=wayland"), True),
    ],
)
def test_only_an_active_unlocked_session_can_be_asked(
    change: tuple[str, str], attentive: bool
) -> None:
    (found,) = find_sessions(Loginctl("2 1000 alice seat0\n", ALICE.replace(*change)))
    assert found.kind is Kind.SCREEN
    assert found.attentive is attentive


@pytest.mark.parametrize(
    "change",
    [
        ("Class=user", "Class=background"),
        ("Class=user", "Class=manager"),
        ("State=active", "State=closing"),
        ("User=1000", "User="),
    ],
)
def test_who_does_not_sit_there_is_not_there(change: tuple[str, str]) -> None:
    assert find_sessions(Loginctl("2 1000 alice seat0\n", ALICE.replace(*change))) == []


def test_a_session_that_ends_while_it_is_looked_at() -> None:
    tool = Loginctl(LIST, ALICE, BOB, broken=True)
    lists = [LIST, "2 1000 alice seat0\n45 1001 bob\n"]

    def run(command: Sequence[str]) -> str | None:
        return lists.pop(0) if command[1] == "list-sessions" else tool(command)

    assert [each.user for each in find_sessions(run)] == ["alice", "bob"]


def test_a_logind_that_does_not_answer_may_know_of_somebody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise a busy computer would act as if nobody were there."""
    monkeypatch.setattr(sessions, "LOGIND", (tmp_path,))
    monkeypatch.setattr(psutil, "users", list)
    assert find_sessions(lambda command: None) == [sessions.UNKNOWN]
    assert not sessions.UNKNOWN.attentive
    assert find_sessions(Loginctl("2 1000 alice seat0\n", broken=True)) == [sessions.UNKNOWN]


def test_a_terminal_is_named_by_its_name_only() -> None:
    for tty in ("../etc/passwd", "pts/3/../../x", "sda", "pts/"):
        assert find_sessions(Loginctl("45 1 b\n", BOB.replace("pts/3", tty))) == []


def test_nobody() -> None:
    assert find_sessions(Loginctl("")) == []


User = namedtuple("User", "name terminal host started pid")


def test_without_loginctl_utmp_says_it_and_no_screen_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid = os.getpid()
    users = [
        User("root", "pts/0", "10.0.0.7", 1.0, pid),
        User("root", "pts/1", "10.0.0.7", 1.0, 2**22 + 1),  # left by a crash
        User("root", ":0", ":0", 2.0, pid),
    ]
    monkeypatch.setattr(sessions, "LOGIND", (Path("/nonexistent"),))
    monkeypatch.setattr(psutil, "users", lambda: users)
    terminal, screen = find_sessions(lambda command: None)
    assert (terminal.kind, terminal.tty, terminal.uid, terminal.remote) == (
        Kind.TERMINAL,
        "pts/0",
        0,
        True,
    )
    assert terminal.attentive
    assert screen.kind is Kind.SCREEN
    assert not screen.attentive  # nobody knows whether it is locked
