"""Users and a computer's power as a script has them: what they see is not forgotten."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.boot import PowerError

ALICE = Session("2", "alice", 1000, Kind.SCREEN, display=":0")
BOB = Session("5", "bob", 1001, Kind.TERMINAL, tty="pts/3", remote=True)


@dataclass
class ScriptedWindow:
    """A question that somebody sees."""

    question: Question
    session: Session
    answered: Callable[[], None]
    reply: Reply | None = None
    closed: bool = False

    def poll(self) -> Reply | None:
        return self.reply

    def close(self) -> None:
        self.closed = True

    def say(self, reply: Reply) -> None:
        """The user answers, or the window dies."""
        self.reply = reply
        self.answered()


@dataclass
class ScriptedDialog:
    """Who is there and what they answer.

    Attributes:
        users: who is logged in.
        replies: what is answered at once, in order; after the last, questions stand.
        unable: nothing can show a question.
        windows: every question that was shown.
        looks: how often it was asked who is there.
    """

    users: list[Session] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    unable: bool = False
    windows: list[ScriptedWindow] = field(default_factory=list)
    looks: int = 0

    def sessions(self) -> Sequence[Session]:
        self.looks += 1
        return list(self.users)

    def open(
        self, question: Question, session: Session, answered: Callable[[], None]
    ) -> ScriptedWindow | None:
        if self.unable:
            return None
        window = ScriptedWindow(question, session, answered)
        self.windows.append(window)
        if self.replies:
            window.reply = self.replies.pop(0)
        return window

    @property
    def open_windows(self) -> list[ScriptedWindow]:
        return [each for each in self.windows if not each.closed]

    def change(self, **facts: object) -> None:
        """Something happens to the first user's session: locked=True."""
        self.users[0] = replace(self.users[0], **facts)  # type: ignore[arg-type]


@dataclass
class FakePower:
    """Writes down what it was asked for; the computer restarts when a test says so.

    Attributes:
        asked: 'restart' or 'shut down', in order.
        whys: what users were told.
        broken: it refuses.
        boot: which run of the system this is.
    """

    asked: list[str] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)
    broken: bool = False
    boot: str = "boot 1"

    def restart(self, why: str) -> None:
        self._ask("restart", why)

    def shut_down(self, why: str) -> None:
        self._ask("shut down", why)

    def boot_id(self) -> str:
        return self.boot

    def come_back(self) -> None:
        """The computer is restarted, by whomever."""
        self.boot = f"boot {int(self.boot.split()[1]) + 1}"

    def _ask(self, what: str, why: str) -> None:
        if self.broken:
            raise PowerError("'shutdown' failed: no such file")
        self.asked.append(what)
        self.whys.append(why)
