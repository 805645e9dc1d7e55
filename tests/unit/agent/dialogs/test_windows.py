"""Message boxes on Windows, by an API that a test plays."""
# ruff: noqa: N802 - Windows has its own way to write names

import ctypes
import threading
from ctypes import c_uint32, c_void_p
from dataclasses import dataclass, field
from typing import Any

import pytest

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs import windows
from deploy_agent.machine.dialogs.windows import SessionInfo, WindowsDialog, buttons_of

USERS = {1: "alice", 2: "", 3: "bob"}
STATES = {1: 0, 2: 0, 3: 4}  # active, active, disconnected


@dataclass
class Api:
    """wtsapi32.dll, as far as it is called."""

    response: int = windows.IDYES
    sent: list[tuple[Any, ...]] = field(default_factory=list)
    locked: frozenset[int] = frozenset()
    broken: bool = False
    freed: int = 0
    kept: list[Any] = field(default_factory=list)

    def WTSEnumerateSessionsW(self, server: None, zero: int, one: int, found: Any, n: Any) -> int:
        if self.broken:
            return 0
        rows = (SessionInfo * len(USERS))(*((i, "Console", STATES[i]) for i in USERS))
        self.kept.append(rows)
        found._obj.contents = rows[0]
        n._obj.value = len(USERS)
        return 1

    def WTSQuerySessionInformationW(
        self, server: None, session: int, what: int, found: Any, size: Any
    ) -> int:
        if what == windows.WTS_USER_NAME:
            data = (USERS[session] + "\0").encode("utf-16-le")
        else:
            flags = 0 if session in self.locked else 1
            data = b"".join(n.to_bytes(4, "little") for n in (1, 0, session, STATES[session]))
            data += flags.to_bytes(4, "little") + bytes(200)
        buffer = ctypes.create_string_buffer(data, len(data))
        self.kept.append(buffer)
        found._obj.value = ctypes.cast(buffer, c_void_p).value
        size._obj.value = len(data)
        return 1

    def WTSFreeMemory(self, memory: Any) -> None:
        self.freed += 1

    def WTSSendMessageW(self, *arguments: Any) -> int:
        self.sent.append(arguments)
        response: c_uint32 = arguments[8]._obj
        response.value = self.response
        return 0 if self.broken else 1


def ask(api: Api, *replies: Reply, countdown_s: float | None = None) -> Reply | None:
    answered = threading.Event()
    session = Session("3", "bob", -1, Kind.SCREEN)
    question = Question("1", "<b>May</b> I?", replies, countdown_s, "It starts by itself.")
    window = WindowsDialog(api).open(question, session, answered.set)
    assert window is not None
    assert answered.wait(10)
    return window.poll()


def test_everybody_who_is_logged_in() -> None:
    api = Api(locked=frozenset({1}))
    alice, bob = WindowsDialog(api).sessions()
    assert (alice.id, alice.user, alice.kind, alice.active, alice.locked) == (
        *("1", "alice", Kind.SCREEN, True),
        True,
    )
    assert (bob.user, bob.active, bob.locked) == ("bob", False, False)
    assert api.freed == 7  # whatever the API gave


def test_an_api_that_says_nothing_is_nobody() -> None:
    assert WindowsDialog(Api(broken=True)).sessions() == []


@pytest.mark.parametrize(
    ("replies", "meanings"),
    [
        ((Reply.NOW,), {1: Reply.NOW}),
        ((Reply.DONE,), {1: Reply.DONE}),
        ((Reply.NOW, Reply.LATER), {6: Reply.NOW, 7: Reply.LATER}),
        ((Reply.NOW, Reply.CANCEL), {6: Reply.NOW, 7: Reply.CANCEL}),
        (
            (Reply.NOW, Reply.LATER, Reply.CANCEL),
            {6: Reply.NOW, 7: Reply.CANCEL, 2: Reply.LATER},
        ),
    ],
)
@pytest.mark.parametrize("response", [1, 2, 6, 7, 32000, 32001, 0])
def test_what_each_button_means(
    replies: tuple[Reply, ...], meanings: dict[int, Reply], response: int
) -> None:
    assert ask(Api(response), *replies) is meanings.get(response, Reply.NOTHING)


def test_a_box_that_is_closed_never_consents_nor_cancels() -> None:
    """Closing answers Cancel, or OK where there is no other button."""
    for replies in ((Reply.NOW,), (Reply.DONE,), (Reply.NOW, Reply.LATER, Reply.CANCEL)):
        style, _, meanings = buttons_of(replies)
        assert style != 0
        assert meanings.get(windows.IDCANCEL) in (None, Reply.LATER)


def test_the_box_has_the_text_and_what_its_buttons_mean() -> None:
    api = Api()
    ask(api, Reply.NOW, Reply.LATER, countdown_s=60)
    (call,) = api.sent
    _, session, title, title_bytes, text, text_bytes, style, seconds, _, wait = call
    assert (session, title, title_bytes) == (3, "Software installation", 42)
    assert text == "May I?\n\nIt starts by itself.\n\nYes: start now. No: later."
    assert text_bytes == 2 * len(text)
    assert style & 0xF == windows.MB_YESNO
    assert (seconds, wait) == (65, True)


def test_without_a_countdown_the_box_stands() -> None:
    api = Api()
    ask(api, Reply.DONE)
    assert api.sent[0][7] == 0


def test_a_box_that_cannot_be_shown_is_no_answer() -> None:
    assert ask(Api(broken=True), Reply.NOW) is Reply.NOTHING


def test_what_is_answered_after_the_end_wakes_nobody() -> None:
    go_on = threading.Event()

    class Slow(Api):
        def WTSSendMessageW(self, *arguments: Any) -> int:
            go_on.wait(10)
            return super().WTSSendMessageW(*arguments)

    answered: list[None] = []
    session = Session("3", "bob", -1, Kind.SCREEN)
    api = Slow()
    window = WindowsDialog(api).open(
        Question("1", "?", (Reply.NOW,)), session, lambda: answered.append(None)
    )
    assert window is not None
    window.close()
    go_on.set()
    for thread in threading.enumerate():
        if thread.daemon and "_show" in thread.name:
            thread.join(10)
    assert window.poll() is Reply.NOTHING
    assert answered == []
