"""Asks users about packages, one question at a time, and never waits for them.

A question stands in a window of its own; the agent looks at it between its other work. What came
of it is saved in the package's record before anything follows from it.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from deploy_agent.domain.asking import (
    Question,
    Session,
    after_action,
    attentive,
    before_action,
    with_answer,
)
from deploy_agent.domain.errors import Aborted
from deploy_agent.domain.record import Answer, Reply, Result
from deploy_agent.domain.state import State
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.dialogs import Dialog, Window
from deploy_agent.services.package import Package
from deploy_agent.services.packages import Packages
from deploy_agent.services.waiting import For, Wait

LOOK_S = 5.0  # so often it is looked whether the user is still there
UNSEEN_S = 15.0  # for longer nobody has to have looked, or the time does not count
LOOK_UNWOKEN_S = 1.0  # the same where no window can wake the agent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pauses:
    """When a user is asked again.

    Attributes:
        later: after LATER: the time until the next contact.
        nothing: after no answer: the length of a period.
    """

    later: timedelta
    nothing: timedelta


@dataclass
class _Open:
    """A question that stands."""

    package: Package
    state: State
    question: Question
    session: Session
    window: Window
    ends_at: float
    seen_at: float


class Asking:
    """The users of this computer.

    Attributes:
        wake: called, from another thread, when there is an answer; None where nobody listens.
    """

    def __init__(
        self,
        dialog: Dialog,
        packages: Packages,
        clock: Clock,
        *,
        stands_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask.

        Args:
            dialog: shows questions.
            packages: what is on this computer.
            clock: tells the time.
            stands_s: how long a question without a countdown stands; None for ever, 0 asks nothing.
            monotonic: seconds that no setting of a clock changes.
        """
        self._dialog = dialog
        self._packages = packages
        self._clock = clock
        self._stands_s = stands_s
        self._monotonic = monotonic
        self._open: _Open | None = None
        self._looked: tuple[str, State, float] | None = None
        self.wake: Callable[[], None] | None = None

    @property
    def asked(self) -> str:
        """Id of the package that a question stands about, '' where none does."""
        return self._open.package.id if self._open is not None else ""

    def somebody_there(self) -> bool:
        """Whether a user is logged in, on a screen or a terminal."""
        return bool(self._dialog.sessions())

    def step(self, waiting: Sequence[Package], pauses: Pauses) -> Package | None:
        """Look at the question that stands, or ask the next one.

        Args:
            waiting: packages that wait for nothing but a user, in order.
            pauses: when to ask again.

        Returns:
            A package that the user has just let start.

        Raises:
            StoreError: an answer cannot be saved.
        """
        if self._open is not None:
            return self._attend(self._open, waiting, pauses)
        if waiting:
            self._ask(waiting[0], pauses)
        return None

    def wait(self) -> Wait | None:
        """Return how long the question that stands may be left alone.

        None where it has no end of its own, or none stands.
        """
        if self._open is None:
            return None
        if self._open.window.poll() is not None:
            return Wait(0, For.USER, f"package {self.asked}: there is an answer")
        left = max(0.0, self._open.ends_at - self._monotonic())
        if math.isinf(left) and self.wake is not None:
            return None
        seconds = min(left, LOOK_UNWOKEN_S if self.wake is None else LOOK_S)
        return Wait(seconds, For.USER, f"package {self.asked}: a user is being asked")

    def close(self) -> None:
        """Take the question away, as if it had not been asked."""
        if self._open is not None:
            self._open.window.close()
            self._open = None
            self._looked = None

    # Asking.

    def _ask(self, package: Package, pauses: Pauses) -> None:
        now = self._monotonic()
        if self._looked is not None:
            package_id, state, at = self._looked
            if (package_id, state) == (package.id, package.state) and at <= now < at + LOOK_S:
                return
        self._looked = (package.id, package.state, now)
        sessions = self._dialog.sessions()
        if package.state is State.CONFIRMING and not sessions:
            self._confirm_unasked(package, "nobody is logged in")
            return
        question = self._question(package)
        if self._stands_s == 0 or question is None:
            return
        able = attentive(sessions)
        for session in able:
            window = self._dialog.open(question, session, self._woken)
            if window is not None:
                self._note_open(package, question, session, window)
                return
        if able:
            self._cannot_show(package, able[0], pauses)

    def _question(self, package: Package) -> Question | None:
        info = package.info
        if info is None:
            return None
        if package.state is State.CONFIRMING:
            return after_action(info, package.record.result)
        return before_action(info, self._clock.now().astimezone())

    def _note_open(
        self, package: Package, question: Question, session: Session, window: Window
    ) -> None:
        log.info("package %s: asking %s on %s", package.id, session.user, session.kind)
        now = self._monotonic()
        lasts = self._stands_s if question.countdown_s is None else question.countdown_s
        ends_at = math.inf if lasts is None else now + lasts
        self._open = _Open(package, package.state, question, session, window, ends_at, now)

    def _cannot_show(self, package: Package, session: Session, pauses: Pauses) -> None:
        """There is somebody, and nothing with which to ask."""
        note = "nothing on this computer can show a question there; install zenity or kdialog"
        if package.state is State.CONFIRMING:
            self._confirm_unasked(package, note, session.user)
        else:
            self._take(
                package, Answer(self._clock.now(), session.user, Reply.NOTHING, note), pauses
            )

    def _confirm_unasked(self, package: Package, note: str, who: str = "") -> None:
        """Nobody can confirm the end; other packages need not wait for that."""
        assert package.record.result is not None
        answers = self._said(package, Answer(self._clock.now(), who, Reply.NOTHING, note))
        package.end(package.record.result, answers=answers, ask_at=None)

    # Answers.

    def _attend(self, asked: _Open, waiting: Sequence[Package], pauses: Pauses) -> Package | None:
        package = asked.package
        reply, note = asked.window.poll(), ""
        current = self._packages.get(package.id) is package and package.state is asked.state
        if not current or (reply is None and package not in waiting):
            log.info("package %s: the question to %s is void", package.id, asked.session.user)
            self.close()
            return None
        if reply is None:
            reply, note = self._without_answer(asked)
        if reply is None:
            return None
        if reply not in (*asked.question.replies, Reply.COUNTDOWN):
            reply, note = Reply.NOTHING, note or "the window is gone"
        self.close()
        return self._take(
            package, Answer(self._clock.now(), asked.session.user, reply, note), pauses
        )

    def _without_answer(self, asked: _Open) -> tuple[Reply | None, str]:
        """Return what becomes of a question that nobody has answered so far, and why."""
        now = self._monotonic()
        unseen = now - asked.seen_at
        over = now >= asked.ends_at
        if over or unseen >= LOOK_S:
            asked.seen_at = now
            why = self._interruption(asked)
            if why:
                return Reply.NOTHING, why
            if unseen > UNSEEN_S:
                # The agent was at other work, and the screen may have been locked all the time.
                asked.ends_at += unseen
                over = now >= asked.ends_at
        if not over:
            return None, ""
        if asked.question.countdown_s is None:
            return Reply.NOTHING, "nobody looked at it"
        return Reply.COUNTDOWN, ""

    def _interruption(self, asked: _Open) -> str:
        """Return what keeps the user from answering, '' where nothing does."""
        session = next((s for s in self._dialog.sessions() if s.id == asked.session.id), None)
        if session is None or session.user != asked.session.user:
            return "logged off"
        if asked.state is State.CONFIRMING or session.attentive:
            return ""
        return "the screen is locked" if session.locked else "the session is in the background"

    def _take(self, package: Package, answer: Answer, pauses: Pauses) -> Package | None:
        """Save an answer with what follows from it."""
        record, now = package.record, answer.at
        answers = self._said(package, answer)
        match answer.reply:
            case Reply.NOW | Reply.COUNTDOWN:
                package.save(replace(record, answers=answers, consented=True, ask_at=None))
                return package
            case Reply.CANCEL:
                package.end(Result(Aborted.code, now, detail=str(answer)), answers=answers)
            case Reply.DONE:
                assert record.result is not None
                package.end(record.result, answers=answers, ask_at=None)
            case Reply.LATER:
                package.save(replace(record, answers=answers, ask_at=now + pauses.later))
            case Reply.NOTHING:
                package.save(replace(record, answers=answers, ask_at=now + pauses.nothing))
        return None

    def _said(self, package: Package, answer: Answer) -> tuple[Answer, ...]:
        """Return the package's answers with a new one; the server learns it once that is saved."""
        log.info("package %s: %s", package.id, answer)
        return with_answer(package.record.answers, answer)

    def _woken(self) -> None:
        if self.wake is not None:
            self.wake()
