"""Real agents are killed with SIGKILL at every moment of their work, and nobody can tell.

Each is a process of the program itself, on a real state folder, before a server's sockets and with
real runners; only what it does is counted from outside, so that it dies at a known moment.

    python -m pytest tests/faults/test_lives.py

With TRANCHE_ALL_KILLS=1 it is every moment, and 300 pairs.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fork_server import Agents
from tests.support.lives import Tried
from tests.support.real_lives import (
    Deployment,
    RealLife,
    Site,
    wait_for_no_runner,
)

pytestmark = pytest.mark.slow

DEPLOYMENTS = {
    "an archive": Deployment({"fragments": 3}),
    "a command that fails": Deployment({"fragments": 0}, exit_code=3, code="ERR_EXIT_CODE_3"),
    "a post command": Deployment({"fragments": 0}, {"postcmd": "echo post >> {traces}"}),
}
ALL = bool(os.environ.get("TRANCHE_ALL_KILLS"))
SINGLE, PAIRS = (9999, 300) if ALL else (84, 18)  # lives of each
AGENTS = 20 if ALL else 1  # ends for each moment of a runner
NEVER, WORKING = 9999, 30  # so many moments are those of an agent whose action runs


def ways_of(name: str, moments: list[str]) -> list[tuple[int, ...]]:
    """When agents die: moments all over the first one's life, and some of its heir's too."""
    chance = random.Random(name)
    count = len(moments)
    step = max(1.0, count / SINGLE)
    single = [(int(number * step) + 1,) for number in range(min(SINGLE, count))]
    pairs = [(chance.randint(1, count), chance.randint(1, count // 2)) for _ in range(PAIRS)]
    return [*single, (moments.index("after spawn") + 1,), *pairs]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_nobody_can_tell_how_often_a_real_agent_died(
    name: str, site: Site, agents: Agents, tried: Tried, folders: Iterator[Path]
) -> None:
    what = DEPLOYMENTS[name]
    whole = RealLife(agents, site, next(folders))
    whole.tell(what, ())
    outlived = 0
    for kills in ways_of(name, whole.moments):
        tried.life("with real processes", len(kills))
        life = RealLife(agents, site, next(folders))
        try:
            life.tell(what, kills)
        except AssertionError as error:
            where = [whole.moments[kill - 1] for kill in kills if kill <= len(whole.moments)]
            raise AssertionError(f"killed {where}: {error}") from error
        outlived += life.outlived
    assert outlived > 0, "no agent died while its action ran"
    wait_for_no_runner(life.folder.parent)


@pytest.mark.parametrize(
    ("name", "with_agent"), [("an archive", False), ("a post command", True)], ids=lambda each: each
)
def test_nobody_can_tell_that_a_runner_died(
    name: str,
    *,
    with_agent: bool,
    site: Site,
    agents: Agents,
    tried: Tried,
    folders: Iterator[Path],
) -> None:
    """Its action alive or not; its agent lives, or dies too, before it or after."""
    what = DEPLOYMENTS[name]
    whole = RealLife(agents, site, next(folders))
    whole.tell(what, (), runner_dies=NEVER)
    assert {"after take_job", "after Popen", "before await_end", "after write"} < {*whole.of_runner}
    chance = random.Random(name)
    first = whole.moments.index("before prepare") + 1
    step, times = (2 - ALL, AGENTS) if with_agent else (1, 1)
    for dies in range(1, len(whole.of_runner) + 1, step):
        for _ in range(times):
            kills = (chance.randint(first, first + WORKING),) if with_agent else ()
            tried.life("with real processes", len(kills) + 1)
            life = RealLife(agents, site, next(folders))
            try:
                life.tell(what, kills, runner_dies=dies)
            except AssertionError as error:
                where = [whole.moments[kill - 1] for kill in kills], whole.of_runner[dies - 1]
                raise AssertionError(f"killed {where}: {error}") from error
    wait_for_no_runner(life.folder.parent)
