"""An agent that is killed at numbered moments: before and after every write and every deed.

Port of design/crash_model.py to the real store and services. Run N of a story is killed at moment N
(or at several), started again on the same disk, and left to finish. What the outside saw then has
to be what it would have seen without a kill.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy_agent.domain.asking import Question, Session
from deploy_agent.domain.outcome import Outcome
from deploy_agent.domain.record import SAID, Reply
from deploy_agent.domain.state import State
from deploy_agent.machine.runner import Job
from deploy_agent.services.installing import JOB_FILE
from deploy_agent.services.once import run_once
from deploy_agent.wire.events import CANCELLED
from tests.support.computer import AT_ONCE, Computer
from tests.support.dialogs import FakePower, ScriptedDialog, ScriptedWindow
from tests.support.fate import End, Fate, Killed, LosingDisk
from tests.support.simulator import FakeRunner, ServerSimulator

LIVES_MAX = 60
POST = "post command"


class KillingTrees:
    """Makes small trees, and dies in the middle of them."""

    def __init__(self, fate: Fate, disk: LosingDisk) -> None:
        self._fate = fate
        self._disk = disk

    def unpack(self, archive: Path, tree: Path) -> None:
        assert archive.exists()
        self.empty_tree(tree)
        for name in ("a", "b"):
            (tree / name).write_text(name)
            self._fate.moment(f"after unpacking {name}")
        self._disk.settle()  # the real one ends with a sync of everything

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

    def post_json(self, path: str, value: Any) -> tuple[int, Any]:
        self.fate.moment("before events")
        answer = super().post_json(path, value)
        self.fate.moment("after events")
        return answer

    def _get(self, url: str, *, no_cache: bool) -> bytes:
        name = url.rpartition("/")[2]
        self.fate.moment(f"before GET {name}")
        if "-" in name:
            self.fate.fetched(name)
        return super()._get(url, no_cache=no_cache)


class KillingRunner(FakeRunner):
    """The agent dies before something is started, right after, or while it runs; that goes on.

    Attributes:
        looks: so often the agent looks in vain before an action has ended.
        alone: actions that leave nothing live for a while, without their runners.
        began: what was started, in order.
        too_soon: what was started after a restart was asked for and before it came.
    """

    fate: Fate
    disk: LosingDisk
    power: "KillingPower"
    looks = 1
    alone = False

    def __init__(self) -> None:
        super().__init__()
        self.began: list[str] = []
        self.too_soon: list[str] = []
        self._looked: dict[Path, int] = {}

    def prepare(self, job: Job, folder: Path) -> None:
        self.fate.moment("before preparing a run")
        super().prepare(job, folder)
        self.disk.settle()
        self.fate.moment("after preparing a run")

    def withdraw(self, folder: Path) -> bool:
        self.fate.moment("before withdrawing a run")
        done = super().withdraw(folder)
        self.disk.settle()
        self.fate.moment("after withdrawing a run")
        return done

    def start(self, job: Job, folder: Path) -> None:
        what = POST if folder.name.startswith("post-") else job.target
        self.fate.moment(f"before the start of {what}")
        if self.failure is not None:
            raise self.failure
        if not self.stillborn:
            self.began.append(what)
        if self.power.asked_in == self.power.boot:
            self.too_soon.append(what)
        super().start(job, folder)
        self.disk.settle()  # the real runner syncs its own files
        self.fate.moment(f"after the start of {what}")

    def outcome(self, folder: Path) -> Outcome | None:
        if not (folder / JOB_FILE).exists():  # it was of a package that is gone
            self.outcomes.pop(folder, None)
        return super().outcome(folder)

    def wait(self, folder: Path, timeout_s: float | None = None) -> Outcome | None:
        self.outcome(folder)
        looked = self._looked.get(folder, 0)
        self._looked[folder] = looked + 1
        lives = folder in self.outcomes or (self.alone and (folder / JOB_FILE).exists())
        if lives and looked < self.looks:
            self.fate.moment("while it runs")
            return None
        return super().wait(folder, timeout_s)

    @property
    def actions(self) -> list[str]:
        return [each for each in self.began if each != POST]


class KillingPower(FakePower):
    """The agent dies before it asks for a restart, or before it knows that there will be one."""

    fate: Fate
    asked_in: str | None = None

    def _ask(self, what: str, why: str) -> None:
        self.fate.moment(f"before asking to {what}")
        super()._ask(what, why)
        self.asked_in = self.boot
        self.fate.moment(f"after asking to {what}")


class KillingDialog(ScriptedDialog):
    """The agent dies before a question is shown, or before it has the answer.

    Attributes:
        before: what is answered before the action; the last one stays.
    """

    fate: Fate
    before: list[Reply]

    def open(
        self, question: Question, session: Session, answered: Callable[[], None]
    ) -> ScriptedWindow | None:
        self.fate.moment("before a question")
        window = super().open(question, session, answered)
        assert window is not None
        if Reply.DONE in question.replies:
            window.reply = Reply.DONE
        else:
            window.reply = self.before.pop(0) if len(self.before) > 1 else self.before[0]
        self.fate.moment(f"after the answer {window.reply}")
        return window


@dataclass
class World:
    """Everything that outlives an agent."""

    fate: Fate
    computer: Computer
    server: KillingServer
    runner: KillingRunner
    power: KillingPower

    @property
    def state(self) -> Path:
        return self.computer.folder


@dataclass(frozen=True)
class Story:
    """What is deployed, and what happens to it.

    Attributes:
        name: for the test.
        package: fields of the package.
        offer: fields of its offer.
        exit_codes: of its action, one for each run.
        vanish: so many runs leave nothing, as when the runner died too.
        alone: their actions live on for a while.
        stillborn: so many runners die before they begin.
        max_tries: max_exec_tries.
        users: who is logged in.
        replies: what is answered before the action.
        arrange: changes the world before its first life.
        meanwhile: what happens outside before each life; asks first whether it is time.
        codes: how each of its assignments has to end; with runs that vanish and kills
            ERR_DONE_FAILED is right too.
        starts: how often its actions run.
        once_more: runs may be repeated, as those of a STORE.
        tolerates: other pairs of codes and number of starts that are right after a kill.
    """

    name: str
    package: dict[str, Any] = field(default_factory=dict)
    offer: dict[str, Any] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (0,)
    vanish: int = 0
    alone: bool = False
    stillborn: int = 0
    max_tries: int = 1
    users: tuple[Session, ...] = ()
    replies: tuple[Reply, ...] = (Reply.NOW,)
    arrange: Callable[[World], None] = lambda world: None
    meanwhile: Callable[[World], None] = lambda world: None
    codes: tuple[str, ...] = ("SUCCESS",)
    starts: int = 1
    once_more: bool = False
    tolerates: tuple[tuple[tuple[str, ...], int], ...] = ()


@dataclass
class Lived:
    """What the outside saw of a story."""

    story: Story
    world: World
    lives: int

    @property
    def fate(self) -> Fate:
        return self.world.fate


def make_world(story: Story, folder: Path, fate: Fate) -> World:
    """A computer that nothing has happened on yet."""
    disk = LosingDisk(fate, folder)
    server, runner, power, dialog = (
        KillingServer(),
        KillingRunner(),
        KillingPower(),
        KillingDialog(),
    )
    server.fate = runner.fate = power.fate = dialog.fate = fate
    runner.disk, runner.power = disk, power
    runner.exit_codes = list(story.exit_codes)
    runner.vanish, runner.alone = story.vanish, story.alone
    runner.stillborn = story.stillborn
    dialog.users, dialog.before = list(story.users), list(story.replies)
    computer = Computer(
        folder,
        server=server,
        runner=runner,
        disk=disk,
        trees=KillingTrees(fate, disk),
        max_exec_tries=story.max_tries,
        dialog=dialog,
        power=power,
    )
    server.publish(**story.package)
    server.assign(**story.offer)
    world = World(fate, computer, server, runner, power)
    story.arrange(world)
    return world


def live(story: Story, folder: Path, kills: Iterable[int] = (), end: End = End.KILL) -> Lived:
    """Tell the story, ended at the given moments and begun again each time."""
    fate = Fate(frozenset(kills), end)
    world = make_world(story, folder, fate)
    lives = quiet = 0
    while quiet < 2:  # once more after the end: nothing must happen any more
        lives += 1
        assert lives < LIVES_MAX, f"never ends: {fate.moments[-20:]}"
        story.meanwhile(world)
        try:
            left = run_once(world.computer.agent(AT_ONCE), world.computer.clock, wait=False)
        except Killed:
            fate.dead = False
            if end is not End.KILL:
                assert isinstance(world.computer.disk, LosingDisk)
                world.computer.disk.cut_power(f"{story.name} {sorted(kills)}")
                world.power.come_back()
            continue
        quiet = quiet + 1 if not left.waiting and not left.unreported and not _stays(world) else 0
        world.computer.clock.time += timedelta(hours=1)  # a retry code waits
        if _stays(world):
            world.power.come_back()  # or a user restarts it, whom nobody asked to
    return Lived(story, world, lives)


def _stays(world: World) -> bool:
    return bool(world.computer.store.ids())


def check(lived: Lived) -> None:
    """Everything that has to be true after any life."""
    story, world = lived.story, lived.world
    _check_results(story, world)
    _check_starts(story, world)
    _check_disk(world)
    _check_events(story, world)
    _check_answers(world)
    assert not world.fate.again, f"fetched again without need: {world.fate.again}"


def codes_of(world: World) -> tuple[str, ...]:
    """The result of each assignment; more than one of an assignment are joined."""
    by_attempt: dict[int | None, set[str]] = {}
    for report in world.server.reports:
        by_attempt.setdefault(report.attempt, set()).add(report.code)
    return tuple(" and ".join(sorted(each)) for _, each in sorted(by_attempt.items(), key=str))


def _check_results(story: Story, world: World) -> None:
    codes = codes_of(world)
    right = codes == story.codes or (codes, len(world.runner.actions)) in story.tolerates
    unknown = story.vanish > 0 and codes == ("ERR_DONE_FAILED",)
    assert right or unknown, f"ended as {codes}"
    kept = [code for code in world.computer.codes_in_history() if code != CANCELLED]
    assert tuple(sorted(kept)) == tuple(sorted(codes)), f"history has {kept}"
    if codes and world.server.assigned:
        assert world.server.status() == codes[-1]


def _check_starts(story: Story, world: World) -> None:
    starts = len(world.runner.actions)
    if not world.fate.kills:
        assert starts == story.starts, f"started {starts} times"
    elif story.once_more:
        assert starts >= story.starts, f"started {starts} times"
    elif story.vanish:
        assert starts <= story.max_tries, f"started {starts} times"
    else:
        right = starts == story.starts or (codes_of(world), starts) in story.tolerates
        assert right, f"started {starts} times"
    wanted = bool(story.offer.get("postcmd")) and starts > 0
    begun = world.runner.began.count(POST) + len(world.power.asked)
    assert begun <= 1, f"the post command was begun {begun} times"
    assert begun == wanted or world.fate.kills, "the post command was forgotten"
    assert not world.runner.too_soon, f"begun before the restart: {world.runner.too_soon}"


def _check_disk(world: World) -> None:
    """Nothing stays but history, and what an agent knows of itself and its server."""
    left = {str(path.relative_to(world.state)) for path in world.state.rglob("*") if path.is_file()}
    strange = {name for name in left if not name.startswith("history/")}
    strange -= {"identity.json", "server.json"}
    if not len(world.computer.spool):  # what a power cut left of it takes no room
        strange.discard("events.jsonl")
    assert not strange, f"stays on the disk: {sorted(strange)}"
    assert not [name for name in left if name.endswith(".part")], f"unfinished: {sorted(left)}"


def _check_answers(world: World) -> None:
    """Our server knows what users said as history does, and each of it once."""
    if world.fate.end is not End.KILL:
        return
    kept = [
        f"{each['who'] or 'the user'} {SAID[Reply(each['reply'])]}"
        for entry in world.computer.history.read_all()
        for each in entry["answers"]
    ]
    words = tuple(SAID.values())
    reasons = [each.reason.partition(": nobody")[0] for each in world.server.events]
    told = [each for each in reasons if each.endswith(words) and not each.startswith("ended")]
    assert sorted(kept) == sorted(told), f"told {told}, kept {kept}"


def _check_events(story: Story, world: World) -> None:
    """Our server heard of each end once, where no power cut may have taken the events along."""
    if not world.server.ours:
        assert world.server.events == []
        return
    ends = [
        each
        for each in world.server.events
        if each.state == State.DONE and not each.reason.startswith(POST)  # a note on what came then
    ]
    told = {(each.package, each.attempt) for each in ends}
    assert len(told) == len(ends), f"told of an end twice: {ends}"
    if world.fate.end is End.KILL:
        assert len(ends) == len(codes_of(world)), f"not told of every end: {ends}"
