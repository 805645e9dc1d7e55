"""The agent is killed at every moment of its work, singly and in pairs, and nobody can tell.

The first story runs with every moment and some pairs, the others with every third moment; all
moments and all pairs of every story, tens of thousands of lives, are one command:

    TRANCHE_ALL_KILLS=1 python -m pytest tests/faults/test_kills.py -s
"""

import itertools
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.record import PackageRecord, Reply
from deploy_agent.domain.state import Event, Reload
from deploy_agent.machine.runner import Job
from deploy_agent.machine.store import run_folder
from deploy_agent.services import installing, post
from deploy_agent.services.package import Package
from deploy_agent.wire.info import Notification
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action
from tests.support.kills import Lived, Story, check, live

FAILED = "ERR_EXIT_CODE_3"
ASKS = Notification("May I?", can_abort=True)
STORIES = [
    Story("a package of two fragments", {"fragments": 2}),
    Story("without a file", {"fragments": 0}),
    Story("that fails", {"fragments": 0}, exit_codes=(3,), code=FAILED),
    Story("with a retry code", {"fragments": 2, "retry_codes": (75,)}, exit_codes=(75, 0)),
    Story("with a bad digest", {"fragments": 2}, bad_digest=True, code="ERR_BAD_DIGEST"),
    Story("with answers lost", {"fragments": 0}, lost_answers=2),
    Story("whose runner dies", {"fragments": 0}, vanish=1, code="ERR_DONE_FAILED"),
    Story("whose runner dies, two tries", {"fragments": 0}, vanish=1, max_tries=2),
    Story(
        "whose runner dies thrice, three tries",
        {"fragments": 0},
        vanish=3,
        max_tries=3,
        code="ERR_DONE_FAILED",
    ),
    Story("that restarts the computer", {"fragments": 0}, postcmd="REBOOT"),
    Story("that fails and switches off", {"fragments": 0}, (3,), postcmd="SHUTDOWN", code=FAILED),
    Story("with a post command", {"fragments": 0}, postcmd="logger done"),
    Story("whose end is confirmed", {"fragments": 0, "done_text": "Done?"}, says=Reply.DONE),
    Story(
        "that asks, asks again and restarts",
        {"fragments": 2, "notification": ASKS, "done_text": "Done?"},
        postcmd="REBOOT",
        says=Reply.NOW,
    ),
    Story(
        "that a user cancels",
        {"fragments": 0, "notification": ASKS},
        postcmd="REBOOT",
        says=Reply.CANCEL,
        code="ERR_ABORTED",
    ),
    Story("that stores", {"fragments": 2, "action": Action.STORE, "target": "/x"}, vanish=2),
]
PAIRS_PER_STORY = 12
pytestmark = pytest.mark.slow

ALL = bool(os.environ.get("TRANCHE_ALL_KILLS"))


@pytest.fixture
def folders() -> Iterator[Iterator[Path]]:
    """Any number of empty folders, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield (Path(folder) / str(number) for number in itertools.count())


def lives_of(story: Story, count: int) -> Iterator[tuple[int, ...]]:
    """The moments at which each life is killed: none, one, or a pair."""
    step = 1 if ALL or story is STORIES[0] else 3
    yield ()
    yield from ((moment,) for moment in range(1, count + 1, step))
    pairs = list(itertools.combinations(range(1, count + 9), 2))
    if not ALL:
        pairs = random.Random(story.name).sample(pairs, PAIRS_PER_STORY)
    yield from pairs


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_nobody_can_tell_that_the_agent_was_killed(story: Story, folders: Iterator[Path]) -> None:
    moments = live(story, next(folders)).fate.moments
    tried = 0
    for kills in lives_of(story, len(moments)):
        lived = live(story, next(folders), kills)
        tried += 1
        try:
            check(lived)
        except AssertionError as error:
            killed = [lived.fate.moments[kill - 1] for kill in sorted(kills)]
            raise AssertionError(f"{story.name}, killed {killed}: {error}") from error
    print(f"{story.name}: {len(moments)} moments, {tried} lives")  # noqa: T201
    assert tried > len(moments) / 3


# The harness has to find something where something is wrong.


def test_it_notices_a_post_command_that_is_begun_before_its_intent_is_saved(
    folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(self: post.PostCommands, package: Package, settings: DownloadSettings) -> None:
        saved: list[PackageRecord] = []
        save, package.save = package.save, saved.append  # type: ignore[method-assign, assignment]
        try:
            begin_rightly(self, package, settings)
        finally:
            package.save = save  # type: ignore[method-assign]
        package.save(saved[-1])

    begin_rightly = post.PostCommands.begin
    story = next(each for each in STORIES if each.postcmd == "REBOOT")
    assert violations(story, folders, "restart") == []
    monkeypatch.setattr(post.PostCommands, "begin", begin)
    assert "the post command was carried out 2 times" in violations(story, folders, "restart")


def violations(story: Story, folders: Iterator[Path], where: str = "the start") -> list[str]:
    moments = live(story, next(folders)).fate.moments
    found = []
    for moment in [each for each in range(1, len(moments) + 1) if where in moments[each - 1]]:
        try:
            check(live(story, next(folders), (moment,)))
        except AssertionError as error:
            found.append(str(error).splitlines()[0])
    return found


def test_it_notices_an_intent_that_is_saved_after_the_start(
    folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(self: installing.Installer, package: Package, settings: DownloadSettings) -> None:
        number = package.record.runs + 1
        folder = package.store.path(package.id, run_folder(number))
        package.store.disk.make_folder(folder)
        info = package.info
        assert info is not None
        self._runner.start(Job(info.action, info.target, folder, self._install_path), folder)
        package.apply(Event.BEGIN, runs=number, exec_tries=package.record.exec_tries + 1)

    assert violations(STORIES[1], folders) == []
    monkeypatch.setattr(installing.Installer, "act", act)
    assert "started 2 times" in violations(STORIES[1], folders)


def test_it_notices_that_a_saved_state_is_not_understood(
    folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    story = STORIES[6]
    assert violations(story, folders) == []
    monkeypatch.setattr(installing, "on_reload", lambda state, **facts: Reload.AGAIN)
    assert "ended as SUCCESS" in violations(story, folders)


def test_a_life_without_a_kill_is_one_life(folders: Iterator[Path]) -> None:
    lived: Lived = live(STORIES[0], next(folders))
    assert lived.lives == 2
    assert lived.starts == 1
