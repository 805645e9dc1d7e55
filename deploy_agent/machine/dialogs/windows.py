"""Message boxes in users' sessions on Windows, by the Terminal Services API.

Written for it and tested with the API faked; not tried on Windows yet. A message box has fixed
buttons, so the text says what they mean; and it cannot be taken away, so what is answered after
`close` is not heard.
"""

import ctypes
import threading
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_int, c_uint32, c_void_p, c_wchar_p
from typing import Any, ClassVar

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs import Answered, Window
from deploy_agent.machine.dialogs.desktop import TITLE
from deploy_agent.machine.dialogs.markup import to_plain

MB_OKCANCEL, MB_YESNOCANCEL, MB_YESNO = 1, 3, 4
MB_ICONINFORMATION, MB_SYSTEMMODAL, MB_SETFOREGROUND = 0x40, 0x1000, 0x10000
IDOK, IDCANCEL, IDYES, IDNO = 1, 2, 6, 7
WTS_ACTIVE = 0
WTS_USER_NAME = 5
WTS_SESSION_INFO_EX = 25
LOCKED = 0  # WTS_SESSIONSTATE_LOCK; 1 is unlocked
_FLAGS = slice(16, 20)  # SessionFlags in WTSINFOEX, after Level, padding, SessionId, SessionState


class SessionInfo(Structure):
    """WTS_SESSION_INFOW."""

    _fields_: ClassVar = [("id", c_uint32), ("station", c_wchar_p), ("state", c_int)]


class WindowsDialog:
    """Asks by WTSSendMessage."""

    def __init__(self, api: Any = None) -> None:
        """Ask.

        Args:
            api: wtsapi32.dll; a test's own.
        """
        # Looked up by name, since other systems' ctypes has none.
        self._api = api or vars(ctypes)["windll"].wtsapi32

    def sessions(self) -> Sequence[Session]:
        """Return everybody who is logged in, in the foreground or not."""
        found = POINTER(SessionInfo)()
        count = c_uint32()
        if not self._api.WTSEnumerateSessionsW(None, 0, 1, byref(found), byref(count)):
            return []
        try:
            made = [self._session(found[index]) for index in range(count.value)]
        finally:
            self._api.WTSFreeMemory(found)
        return [each for each in made if each.user]

    def open(self, question: Question, session: Session, answered: Answered) -> Window | None:
        """Ask in a session."""
        return MessageWindow(self._api, question, int(session.id), answered)

    def _session(self, info: SessionInfo) -> Session:
        flags = self._query(info.id, WTS_SESSION_INFO_EX)[_FLAGS]
        return Session(
            id=str(info.id),
            user=self._query(info.id, WTS_USER_NAME).decode("utf-16-le").rstrip("\0"),
            uid=-1,
            kind=Kind.SCREEN,
            active=info.state == WTS_ACTIVE,
            locked=len(flags) == 4 and int.from_bytes(flags, "little") == LOCKED,
        )

    def _query(self, session_id: int, what: int) -> bytes:
        """Return what the API says of a session, b'' where it says nothing."""
        found = c_void_p()
        size = c_uint32()
        if not self._api.WTSQuerySessionInformationW(
            None, session_id, what, byref(found), byref(size)
        ):
            return b""
        try:
            return ctypes.string_at(found, size.value) if found else b""
        finally:
            self._api.WTSFreeMemory(found)


class MessageWindow:
    """A message box, awaited by a thread."""

    def __init__(self, api: Any, question: Question, session_id: int, answered: Answered) -> None:
        self._api = api
        self._answered = answered
        self._reply: Reply | None = None
        self._closed = False
        style, meaning, self._meanings = buttons_of(question.replies)
        parts = [to_plain(question.text), question.hint, meaning]
        text = "\n\n".join(part for part in parts if part)
        self._seconds = int(question.countdown_s or 0)
        flags = style | MB_ICONINFORMATION | MB_SYSTEMMODAL | MB_SETFOREGROUND
        arguments = (session_id, text, flags)
        threading.Thread(target=self._show, args=arguments, daemon=True).start()

    def poll(self) -> Reply | None:
        """Return what was answered; None while the box stands."""
        return self._reply

    def close(self) -> None:
        """Hear no answer any more."""
        self._closed = True

    def _show(self, session_id: int, text: str, flags: int) -> None:
        response = c_uint32()
        # It goes by itself a little after the agent has counted down.
        seconds = self._seconds + 5 if self._seconds else 0
        sent = self._api.WTSSendMessageW(
            None,
            session_id,
            *(TITLE, 2 * len(TITLE), text, len(text.encode("utf-16-le"))),
            *(flags, seconds, byref(response), True),
        )
        reply = self._meanings.get(response.value) if sent else None
        self._reply = reply or Reply.NOTHING
        if not self._closed:
            self._answered()


def buttons_of(replies: Sequence[Reply]) -> tuple[int, str, dict[int, Reply]]:
    """Return a message box's style, what its buttons mean in words, and by their numbers.

    Cancel is what Windows answers when the box is closed, so it never means more than 'later'.
    A box with OK alone would answer OK then.
    """
    if Reply.DONE in replies:
        return MB_OKCANCEL, "OK: done. Cancel: you are asked again.", {IDOK: Reply.DONE}
    if Reply.LATER in replies and Reply.CANCEL in replies:
        meaning = "Yes: start now. No: do not install it. Cancel: later."
        return (
            MB_YESNOCANCEL,
            meaning,
            {IDYES: Reply.NOW, IDNO: Reply.CANCEL, IDCANCEL: Reply.LATER},
        )
    if Reply.LATER in replies:
        return MB_YESNO, "Yes: start now. No: later.", {IDYES: Reply.NOW, IDNO: Reply.LATER}
    if Reply.CANCEL in replies:
        meaning = "Yes: start now. No: do not install it."
        return MB_YESNO, meaning, {IDYES: Reply.NOW, IDNO: Reply.CANCEL}
    return MB_OKCANCEL, "OK: start now. Cancel: you are asked again.", {IDOK: Reply.NOW}
