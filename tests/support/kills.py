"""An agent that is killed at numbered moments: before and after every write and every deed.

Port of design/crash_model.py to the real store and services. Run N of a story is killed at point N
(or at several), started again on the same disk, and left to finish. What the outside saw then has
to be what it would have seen without a kill.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from deploy_agent.domain.asking import Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.runner import Job
from deploy_agent.services.once import run_once
from tests.support.computer import AT_ONCE, Computer, QuickDisk
from tests.support.dialogs import ALICE, FakePower, ScriptedDialog, ScriptedWindow
from tests.support.simulator import FakeRunner, ServerSimulator

LIVES_MAX = 60


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


@dataclass
class Fate:
    """Counts the moments and knows which of them are the last.

    Attributes:
        kills: numbers of moments, counted over all lives.
        moments: what happened at each, in order.
    """

    kills: frozenset[int] = frozenset()
    moments: list[str] = field(default_factory=list)
    dead: bool = False

    def moment(self, what: str) -> None:
        if self.dead:  # a dead process does nothing more, not even clearing up
            raise Killed(what)
        self.moments.append(what)
        if len(self.moments) in self.kills:
            self.dead = True
            raise Killed(what)


class KillingDisk(QuickDisk):
    """Dies before or after each thing that it does."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate

    def create(self, path: Path) -> BinaryIO:
        self._fate.moment(f"before create {path.name}")
        file = super().create(path)
        try:
            self._fate.moment(f"after create {path.name}")
        except Killed:
            file.close()  # as the kernel does
            raise
        return file

    def sync(self, file: BinaryIO) -> None:
        self._fate.moment("before sync")
        super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        self._fate.moment(f"before rename {target.name}")
        super().rename(source, target)
        self._fate.moment(f"after rename {target.name}")

    def make_folder(self, path: Path) -> None:
        if path.is_dir():
            return
        self._fate.moment(f"before mkdir {path.name}")
        super().make_folder(path)
        self._fate.moment(f"after mkdir {path.name}")

    def remove(self, path: Path) -> None:
        if not path.exists():
            return
        self._fate.moment(f"before remove {path.name}")
        super().remove(path)
        self._fate.moment(f"after remove {path.name}")

    def remove_folder(self, path: Path) -> None:
        if not path.exists():
            return
        self._fate.moment(f"before remove {path.name}")
        super().remove_folder(path)
        self._fate.moment(f"after remove {path.name}")


class KillingTrees:
    """Makes small trees, and dies in the middle of them."""

    def __init__(self, fate: Fate, disk: KillingDisk) -> None:
        self._fate = fate
        self._disk = disk

    def unpack(self, archive: Path, tree: Path) -> None:
        assert archive.exists()
        self.empty_tree(tree)
        for name in ("a", "b"):
            (tree / name).write_text(name)
            self._fate.moment(f"after unpacking {name}")

    def empty_tree(self, tree: Path) -> None:
        self._disk.remove_folder(tree)
        tree.mkdir()
        self._fate.moment("after emptying the tree")


class KillingServer(ServerSimulator):
    """The agent dies before its message arrives, or before it has the answer."""

    fate: Fate

    def post(self, message: bytes) -> bytes:
        self.fate.moment("before a message")
        answer = super().post(message)
        self.fate.moment("after a message")
        return answer

    def _get(self, url: str, *, no_cache: bool) -> bytes:
        self.fate.moment("before a GET")
        return super()._get(url, no_cache=no_cache)


class KillingRunner(FakeRunner):
    """The agent dies before the action is started, or right after. The action goes on."""

    fate: Fate

    def start(self, job: Job, folder: Path) -> None:
        self.fate.moment("before the start")
        super().start(job, folder)
        self.fate.moment("after the start")


class KillingPower(FakePower):
    """The agent dies before the restart is asked for, or right after."""

    fate: Fate

    def _ask(self, what: str, why: str) -> None:
        self.fate.moment("before the restart")
        super()._ask(what, why)
        self.fate.moment("after the restart")


class KillingDialog(ScriptedDialog):
    """The agent dies before a question is shown, or while it stands; its window dies with it.

    The user says the same every time.
    """

    fate: Fate
    says: Reply

    def open(
        self, question: Question, session: Session, answered: Callable[[], None]
    ) -> ScriptedWindow:
        self.fate.moment("before a question")
        window = super().open(question, session, answered)
        assert window is not None
        self.fate.moment("while a question stands")
        window.reply = Reply.DONE if Reply.DONE in question.replies else self.says
        return window


@dataclass(frozen=True)
class Story:
    """What is deployed, and what happens to it.

    Attributes:
        name: for the test.
        package: fields of the package.
        exit_codes: of its action, one for each run.
        vanish: so many runs leave nothing, as when the runner died too.
        max_tries: max_exec_tries.
        lost_answers: acknowledgements that do not arrive.
        bad_digest: the bytes are not what info says.
        postcmd: of the assignment.
        says: what a user says who is there; nobody is where this is None.
        code: how it has to end; with runs that vanish and kills ERR_DONE_FAILED is right too.
    """

    name: str
    package: dict[str, Any] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (0,)
    vanish: int = 0
    max_tries: int = 1
    lost_answers: int = 0
    bad_digest: bool = False
    postcmd: str = ""
    says: Reply | None = None
    code: str = "SUCCESS"


@dataclass
class Lived:
    """What the outside saw of a story."""

    story: Story
    fate: Fate
    computer: Computer
    lives: int

    @property
    def starts(self) -> int:
        """How often the action was started."""
        return len(self.computer.runner.started) - self.posts

    @property
    def posts(self) -> int:
        """How often the post command was started."""
        return sum(job.target == self.story.postcmd for job in self.computer.runner.started)

    @property
    def restarts(self) -> int:
        return len(self.computer.power.asked)


def live(story: Story, folder: Path, kills: Iterable[int] = ()) -> Lived:
    """Tell the story, killed at the given moments and started again each time."""
    fate = Fate(frozenset(kills))
    disk = KillingDisk(fate)
    server, runner, power, dialog = (
        KillingServer(),
        KillingRunner(),
        KillingPower(),
        KillingDialog(),
    )
    server.fate = runner.fate = power.fate = dialog.fate = fate
    if story.says is not None:
        dialog.users, dialog.says = [ALICE], story.says
    computer = Computer(
        folder,
        server=server,
        runner=runner,
        disk=disk,
        trees=KillingTrees(fate, disk),
        power=power,
        dialog=dialog,
        max_exec_tries=story.max_tries,
    )
    runner.exit_codes = list(story.exit_codes)
    runner.vanish = story.vanish
    server.lose_acknowledgements = story.lost_answers
    server.publish(**story.package)
    server.assign(postcmd=story.postcmd)
    if story.bad_digest:
        server.fail("1800000001-2", b"x" * 9)
    lives = 0
    quiet = 0
    while quiet < 2:  # once more after the end: nothing must happen any more
        lives += 1
        assert lives < LIVES_MAX, f"never ends: {fate.moments[-20:]}"
        fate.dead = False
        try:
            left = run_once(computer.agent(AT_ONCE), computer.clock, wait=False)
        except Killed:
            continue
        quiet = quiet + 1 if not left.waiting and not left.unreported else 0
        computer.clock.time += timedelta(hours=1)  # a retry code waits
        power.come_back()  # people restart computers now and then
    return Lived(story, fate, computer, lives)


def check(lived: Lived) -> None:
    """Everything that has to be true after any life."""
    story, pc = lived.story, lived.computer
    kills = len(lived.fate.kills)
    codes = set(pc.server.codes)
    assert len(codes) == 1, f"one result was to be reported, not {codes}"
    (code,) = codes
    unknown = story.vanish > 0 and code == "ERR_DONE_FAILED"
    assert code == story.code or unknown, f"ended as {code}"
    assert pc.server.status() == code
    assert pc.codes_in_history() == [code], f"history has {pc.codes_in_history()}"
    assert pc.store.ids() == [], "something of the package stays on the disk"
    check_post(lived)
    retries = len(story.exit_codes) - 1
    repeatable = story.package.get("action") == "STORE"
    if not repeatable:
        assert lived.starts <= story.max_tries + retries, f"started {lived.starts} times"
    if story.bad_digest or story.says is Reply.CANCEL:
        assert lived.starts == 0, "what nobody vouches for, or a user forbade, was run"
    else:
        assert lived.starts >= 1
        most = (
            max(n for name, n in pc.server.asked().items() if "-" in name)
            if (story.package.get("fragments") != 0)
            else 0
        )
        assert most <= 1 + kills, f"a fragment was fetched {most} times"


def check_post(lived: Lived) -> None:
    """A post command is begun at most once, and once where nobody was killed."""
    done = lived.restarts + lived.posts
    assert done <= 1, f"the post command was carried out {done} times"
    if lived.story.postcmd and lived.starts and not lived.fate.kills:
        assert done == 1, "the post command was not carried out"
    if not lived.starts:
        assert done == 0, "a post command without an action"
