"""The commands that show questions, and what leads to a user's screen."""

from pathlib import Path

import pytest

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs import desktop
from deploy_agent.machine.dialogs.desktop import User, leads_to, read_reply, tool_command

ALL = (Reply.NOW, Reply.LATER, Reply.CANCEL)
QUESTION = Question("1", "--ok <b>A</b>\\n", ALL, 60, "It starts by itself in 1 min.")
X11 = Session("2", "alice", 1000, Kind.SCREEN, display=":1")
WAYLAND = Session("2", "alice", 1000, Kind.SCREEN)
ALICE = User("alice", 1000, 1000, "/home/alice")


def command(*tools: str) -> list[str] | None:
    return tool_command(QUESTION, lambda name: f"/usr/bin/{name}" if name in tools else None)


def test_zenity_comes_first() -> None:
    assert command("zenity", "kdialog") == [
        "/usr/bin/zenity",
        "--question",
        "--switch",
        "--title=Software installation",
        "--text=--ok <b>A</b>\\\\n\n\nIt starts by itself in 1 min.",
        "--width=480",
        "--extra-button=Later",
        "--extra-button=Cancel this installation",
        "--extra-button=Start now",
    ]


def test_kdialog_comes_second() -> None:
    assert command("kdialog") == [
        "/usr/bin/kdialog",
        *("--title", "Software installation", "--menu"),
        "<qt>--ok <b>A</b>&#92;n<br/><br/>It starts by itself in 1 min.</qt>",
        # The one that is marked, which Return takes, starts nothing.
        *("later", "Later", "cancel", "Cancel this installation", "now", "Start now"),
    ]


def test_without_a_tool_there_is_no_command() -> None:
    assert command("xmessage") is None


@pytest.mark.parametrize(
    ("printed", "reply"),
    [
        ("Start now\n", Reply.NOW),
        ("later\n", Reply.LATER),
        ("Cancel this installation\n", Reply.CANCEL),
        ("", Reply.NOTHING),
        ("Done\n", Reply.NOTHING),  # not offered
        ("Start now Later\n", Reply.NOTHING),
        ("Gtk-WARNING: now\n", Reply.NOTHING),
    ],
)
def test_only_a_printed_answer_is_one(printed: str, reply: Reply) -> None:
    assert read_reply(printed, ALL) is reply


@pytest.mark.parametrize(
    ("env", "surely"),
    [
        ({"DISPLAY": ":1", "XDG_SESSION_ID": "2"}, 3),
        ({"DISPLAY": ":1"}, 2),
        ({"DISPLAY": "localhost:10.0"}, 0),  # over SSH
        ({"DISPLAY": ":7", "XDG_SESSION_ID": "9"}, 0),
        ({"XDG_SESSION_ID": "2"}, 0),
        ({}, 0),
    ],
)
def test_which_processes_know_the_way_to_an_x11_screen(env: dict[str, str], surely: int) -> None:
    assert leads_to(X11, env) == surely


@pytest.mark.parametrize(
    ("env", "surely"),
    [
        ({"WAYLAND_DISPLAY": "wayland-0", "XDG_SESSION_ID": "2"}, 3),
        ({"WAYLAND_DISPLAY": "wayland-0"}, 1),
        ({"WAYLAND_DISPLAY": "wayland-0", "XDG_SESSION_ID": "9"}, 0),
        ({"DISPLAY": ":1"}, 0),
    ],
)
def test_which_processes_know_the_way_to_a_wayland_screen(env: dict[str, str], surely: int) -> None:
    assert leads_to(WAYLAND, env) == surely


def test_the_environment_is_that_of_the_surest_process(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = {
        **{"DISPLAY": ":1", "XDG_SESSION_ID": "2", "XAUTHORITY": "/run/user/1000/x"},
        **{"XDG_RUNTIME_DIR": "/run/user/1000", "LANG": "de_DE.UTF-8", "LD_PRELOAD": "/tmp/x.so"},
    }
    seen = [{"DISPLAY": "localhost:10.0", "XDG_SESSION_ID": "9"}, shell, {"DISPLAY": ":1"}]
    monkeypatch.setattr(desktop, "_environments", lambda uid: seen)
    assert desktop.session_environment(X11, ALICE) == {
        "DISPLAY": ":1",
        "XAUTHORITY": "/run/user/1000/x",
        "XDG_RUNTIME_DIR": "/run/user/1000",
        "LANG": "de_DE.UTF-8",
    }


def test_where_no_process_knows_loginctls_word_has_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(desktop, "_environments", lambda uid: [{"DISPLAY": ":7"}])
    (tmp_path / ".Xauthority").touch()
    user = User("alice", 999_999, 1000, str(tmp_path))
    found = desktop.session_environment(X11, user)
    assert found == {"DISPLAY": ":1", "XAUTHORITY": str(tmp_path / ".Xauthority")}


def test_a_screen_to_which_nothing_leads_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop, "_environments", lambda uid: [])
    monkeypatch.setattr(desktop, "_user_of", lambda session: ALICE)
    monkeypatch.setattr(desktop.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert desktop.open_on_screen(QUESTION, WAYLAND, lambda: None) is None


def test_an_agent_without_rights_asks_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop.os, "geteuid", lambda: 1001)
    assert desktop.open_on_screen(QUESTION, X11, lambda: None) is None
