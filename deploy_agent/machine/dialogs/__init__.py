"""Asks users: on their screens, on their terminals, and nobody where nobody is logged in.

What every implementation keeps to:
  * Asking never blocks: `open` returns a window, which is looked at now and then.
  * A window runs as the session's user, never with the agent's rights.
  * What is not an explicit answer is none: a window that was closed, died or was never seen is
    `Reply.NOTHING`.
  * Texts come from a server: they are shown as text and a harmless subset of HTML, never as
    commands to the tool that shows them.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs.places import AnswerPlace

Answered = Callable[[], None]


class Window(Protocol):
    """A question that somebody sees."""

    def poll(self) -> Reply | None:
        """Return what was answered, NOTHING when it is gone without; None while it stands."""

    def close(self) -> None:
        """Take it away. Nothing happens where it is gone."""


class Dialog(Protocol):
    """Knows who is there, and asks them."""

    def sessions(self) -> Sequence[Session]:
        """Return everybody who is logged in on a screen or a terminal."""

    def open(self, question: Question, session: Session, answered: Answered) -> Window | None:
        """Ask in a session.

        Args:
            question: what.
            session: one of `sessions`.
            answered: called from another thread when `poll` has something to say.

        Returns:
            The window; None where nothing on this computer can show one there.
        """


class SystemDialog:
    """Asks with what this computer has."""

    def __init__(self, answers: AnswerPlace) -> None:
        """Ask.

        Args:
            answers: where users on terminals answer.
        """
        self._answers = answers

    def sessions(self) -> Sequence[Session]:
        """Return everybody who is logged in on a screen or a terminal."""
        return system_sessions()

    def open(self, question: Question, session: Session, answered: Answered) -> Window | None:
        """Ask in a session."""
        if session.kind is Kind.SCREEN:
            from deploy_agent.machine.dialogs.desktop import open_on_screen

            return open_on_screen(question, session, answered)
        from deploy_agent.machine.dialogs.terminal import open_on_terminal

        return open_on_terminal(question, session, answered, self._answers)


def system_dialog(answers: AnswerPlace) -> Dialog:
    """Return the way to ask on this computer.

    Args:
        answers: where users on terminals answer.
    """
    if sys.platform == "win32":
        from deploy_agent.machine.dialogs.windows import WindowsDialog

        return WindowsDialog()
    return SystemDialog(answers)


def system_sessions() -> Sequence[Session]:
    """Return everybody who is logged in on this computer."""
    if sys.platform == "win32":
        from deploy_agent.machine.dialogs.windows import WindowsDialog

        return WindowsDialog().sessions()
    from deploy_agent.machine.dialogs.sessions import find_sessions

    return find_sessions()
