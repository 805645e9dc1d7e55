"""What one package costs does not grow with how many there are: counted, not timed."""

import cProfile
import pstats
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from deploy_agent.domain.state import State
from deploy_agent.services.agent import Agent
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.info import Notification
from deploy_agent.wire.replies import DownloadSettings
from tests.support.computer import Computer

FEW, MANY = 10, 80


def waiting(folder: Path, count: int) -> tuple[Computer, Agent]:
    """A computer whose server has ``count`` packages for next year, some for its users."""
    pc = Computer(folder / str(count))
    pc.server.settings = DownloadSettings(frag_latency_s=0, cycle_latency_s=1, period_length=2)
    for number in range(count):
        notification = Notification("May I?") if number % 10 == 0 else None
        package_id = str(1_800_000_000 + number)
        pc.server.publish(package_id, fragments=0, notification=notification)
        pc.server.assign(package_id, schedule="2027/01/01 10:00")
    return pc, pc.agent(Patience())


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def steps(pc: Computer, agent: Agent) -> None:
    """Let it work until everything waits for its schedule."""
    while any(each.state is not State.UNPACKED for each in agent.packages):
        wait = agent.step(pc.clock.now() + timedelta(hours=1))
        assert wait is not None
        pc.clock.advance(seconds=wait.seconds)


def test_a_package_costs_the_same_among_many(tmp_path: Path) -> None:
    costs: dict[str, list[float]] = {}
    for count in (FEW, MANY):
        pc, agent = waiting(tmp_path, count)
        for what, work in {
            "first contact": agent.poll,
            "work": partial(steps, pc, agent),
            "later contact": agent.poll,
            "a look at the clock": agent.step,
        }.items():
            costs.setdefault(what, []).append(calls(work) / count)
    for what, (few, many) in costs.items():
        assert many < 1.3 * few, f"{what}: {few:.0f} calls each of {FEW}, {many:.0f} of {MANY}"
