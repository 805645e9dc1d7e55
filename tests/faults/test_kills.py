"""The agent is killed at every moment of its work, singly and in pairs, and nobody can tell.

Real services on a real state folder, in one process; server, runner, users and power are a test's.
A life ends by SIGKILL at every moment of every story, and by a power cut, which takes along what
was not synced, at every third one; some lives end twice. That is more than 10,000 lives:

    python -m pytest tests/faults/test_kills.py

With TRANCHE_ALL_KILLS=1 it is every moment in every way, and 500 pairs of each story.
"""

import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from deploy_agent.domain.state import Event, Reload
from deploy_agent.machine import disk, trees
from deploy_agent.machine.runner import Job
from deploy_agent.machine.store import run_folder
from deploy_agent.services import installing
from deploy_agent.services.package import Package
from deploy_agent.wire.replies import DownloadSettings
from tests.faults.stories import STORIES, story_named
from tests.support.fate import End, LosingDisk
from tests.support.kills import Story, check, live
from tests.support.lives import Tried

ALL = bool(os.environ.get("TRANCHE_ALL_KILLS"))
PAIRS = 500 if ALL else 30
pytestmark = pytest.mark.slow

Way = tuple[tuple[int, ...], End]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Leave out what takes time and changes nothing: threads, mounts, log lines."""
    monkeypatch.setattr(installing, "gently", lambda work: work())
    monkeypatch.setattr(trees, "_MOUNTS", tmp_path / "none")
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def ways_of(story: Story, count: int) -> Iterator[Way]:
    """When and how each life ends."""
    for end in End:
        yield (), end
        step = 1 if ALL or end is End.KILL else 3
        yield from (((moment,), end) for moment in range(1, count + 1, step))
    chance = random.Random(story.name)
    for _ in range(PAIRS):
        first, second = sorted(chance.sample(range(1, count + 9), 2))
        yield (first, second), chance.choice(list(End))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_nobody_can_tell_how_often_the_agent_died(
    story: Story, folders: Iterator[Path], tried: Tried
) -> None:
    moments = live(story, next(folders)).fate.moments
    for kills, end in ways_of(story, len(moments)):
        tried.life("in one process", len(kills))
        lived = live(story, next(folders), kills, end)
        try:
            check(lived)
        except AssertionError as error:
            where = f"{story.name}, {end.value} {lived.fate.killed}"
            raise AssertionError(f"{where}: {error}") from error
        shutil.rmtree(lived.world.state)  # memory is small in some containers


def test_every_kind_of_deed_is_a_moment(folders: Iterator[Path]) -> None:
    """So that a new write or message without a moment of its own is noticed."""
    seen: Counter[str] = Counter()
    for story in STORIES:
        seen.update(live(story, next(folders)).fate.moments)
    for deed in (
        *("record.json", "server.json", "identity.json", "info", "fragments.sha256"),
        *("package", "1800000001-2"),
    ):
        for moment in ("before create {}.part", "after sync {}.part", "before rename {}"):
            assert seen[moment.format(deed)], moment.format(deed)
    for deed in (
        *("preparing a run", "withdrawing a run"),
        *("a message", "events", "the start of true", "the start of post command"),
        *("asking to restart", "append events.jsonl", "remove 1800000001"),
    ):
        assert seen[f"before {deed}"], deed
        assert seen[f"after {deed}"], deed
    for deed in ("now", "later", "cancel", "done"):
        assert seen[f"after the answer {deed}"], deed
    assert seen["while it runs"]
    assert seen["before GET info"]


# The harness has to find something where something is wrong.


def violations(story: Story, folders: Iterator[Path], end: End = End.KILL) -> set[str]:
    """What single deaths of a story bring about."""
    found = set()
    for moment in range(1, len(live(story, next(folders), (), end).fate.moments) + 1):
        try:
            check(live(story, next(folders), (moment,), end))
        except AssertionError as error:
            found.add(str(error).splitlines()[0])
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
        job = Job(info.action, info.target, folder, self._install_path)
        self._runner.prepare(job, folder)
        self._runner.start(job, folder)
        package.apply(Event.BEGIN, runs=number, exec_tries=package.record.exec_tries + 1)

    story = story_named("without a file")
    assert violations(story, folders) == set()
    monkeypatch.setattr(installing.Installer, "act", act)
    assert "started 2 times" in violations(story, folders)


def test_it_notices_that_a_saved_state_is_not_understood(
    folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    story = story_named("whose runner dies")
    assert violations(story, folders) == set()
    monkeypatch.setattr(installing, "on_reload", lambda state, **facts: Reload.AGAIN)
    with pytest.raises(AssertionError, match=r"ended as \('SUCCESS',\)"):
        check(live(story, next(folders)))


def test_it_notices_a_file_that_is_not_synced(
    folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(self: LosingDisk, file: BinaryIO) -> None:
        file.flush()

    story = story_named("without a file")
    assert violations(story, folders, End.CUT) == set()
    monkeypatch.setattr(LosingDisk, "sync", sync)
    assert violations(story, folders) == set(), "a kill alone takes nothing along"
    assert violations(story, folders, End.CUT)


def test_it_notices_a_name_that_is_not_synced(
    folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(self: LosingDisk, source: Path, target: Path) -> None:
        source.replace(target)

    story = story_named("without a file")
    monkeypatch.setattr(disk.Disk, "rename", rename)
    assert violations(story, folders) == set(), "a kill alone takes nothing along"
    assert violations(story, folders, End.BAD_CUT)


def test_a_life_without_a_kill_is_one_life(folders: Iterator[Path]) -> None:
    lived = live(story_named("a package of two fragments"), next(folders))
    assert lived.lives == 2
