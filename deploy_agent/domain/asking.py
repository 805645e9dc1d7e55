"""What a user can be asked and can say, and what of it is kept. Pure.

Nothing but an explicit answer, or a countdown that ran out under the user's eyes, is consent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from deploy_agent.domain.record import Answer, Reply, Result
from deploy_agent.wire import result as codes
from deploy_agent.wire.info import InfoFile

COUNTDOWN_DEFAULT_S = 120  # of a package that says nothing. Source: features.md 2
ANSWERS_MAX = 20  # answers kept of one package


class Kind(StrEnum):
    """Where somebody sits."""

    SCREEN = "screen"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in on a screen or a terminal.

    Attributes:
        id: the system's name of it.
        user: the login name.
        uid: the user's number; -1 where the system has none.
        kind: screen or terminal.
        active: in the foreground of its seat; remote ones always are.
        locked: the screen is locked.
        display: of X11, such as ':0'; '' where there is none or nobody knows.
        tty: such as 'pts/0'; '' where there is none.
        remote: comes over the network.
    """

    id: str
    user: str
    uid: int
    kind: Kind
    active: bool = True
    locked: bool = False
    display: str = ""
    tty: str = ""
    remote: bool = False

    @property
    def attentive(self) -> bool:
        """Whether somebody may be looking: only then is anybody asked, and does a countdown run."""
        return self.active and not self.locked


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a user is asked.

    Attributes:
        package_id: of which package.
        text: the package's, as HTML.
        replies: what can be answered.
        countdown_s: seconds until the answer is taken as NOW; None where it waits for ever.
        hint: what the agent adds to the text; no HTML.
    """

    package_id: str
    text: str
    replies: tuple[Reply, ...]
    countdown_s: float | None = None
    hint: str = ""


def before_action(info: InfoFile, now: datetime) -> Question | None:
    """Return what the user is asked before the action, None when nobody is.

    Args:
        info: the package's info file.
        now: the time, in the computer's zone.
    """
    asks = info.notification
    if asks is None:
        return None
    replies = [Reply.NOW]
    if asks.can_delay:
        replies.append(Reply.LATER)
    if asks.can_abort:
        replies.append(Reply.CANCEL)
    seconds = COUNTDOWN_DEFAULT_S if asks.countdown_s is None else asks.countdown_s
    hint = _starts_by_itself(seconds, now) if seconds else ""
    return Question(info.package_id, asks.text, tuple(replies), seconds or None, hint)


def after_action(info: InfoFile, result: Result | None) -> Question:
    """Return what the user has to confirm after the action."""
    code = result.code if result is not None else codes.SUCCESS
    hint = "" if code.startswith(codes.SUCCESS) else f"It ended with {code}."
    return Question(info.package_id, info.done_text or "", (Reply.DONE,), None, hint)


def attentive(sessions: Sequence[Session]) -> list[Session]:
    """Return the sessions in which somebody can be asked, the best first.

    A screen before a terminal, one at the computer before one from elsewhere.
    """
    found = [each for each in sessions if each.attentive]
    return sorted(found, key=lambda each: (each.kind is not Kind.SCREEN, each.remote, each.id))


def with_answer(answers: Sequence[Answer], answer: Answer) -> tuple[Answer, ...]:
    """Return `answers` and `answer`; the same as the last one takes its place."""
    kept = list(answers)
    if kept and kept[-1].said_as(answer):
        kept.pop()
    return (*kept, answer)[-ANSWERS_MAX:]


def _starts_by_itself(seconds: float, now: datetime) -> str:
    minutes, rest = divmod(int(seconds), 60)
    words = [f"{minutes} min"] if minutes else []
    words += [f"{rest} s"] if rest else []
    at = datetime.fromtimestamp(now.timestamp() + seconds, now.tzinfo)
    return f"It starts by itself in {' '.join(words)}, at {at:%H:%M:%S}."
