"""One contact, then periods until nothing can move: what `deploy-agent once` does."""

from dataclasses import dataclass

from deploy_agent.machine.clock import Clock
from deploy_agent.services.agent import Agent
from deploy_agent.services.waiting import For

REPORTS_MAX = 3  # tries to report in a row, before the server counts as out of reach

ENDED = 0
UNREACHABLE = 1
WAITING = 3


@dataclass(frozen=True, slots=True)
class Once:
    """What is left when nothing can move any more.

    Attributes:
        ended: packages whose result the server took, each with it, in that order.
        waiting: packages without a result, each with what it waits for.
        unreported: packages whose result the server does not have.
    """

    ended: tuple[tuple[str, str], ...]
    waiting: tuple[tuple[str, str], ...]
    unreported: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """Return the exit status of the process. Source: contract.md 3."""
        if self.unreported:
            return UNREACHABLE
        return WAITING if self.waiting else ENDED


def run_once(agent: Agent, clock: Clock, *, wait: bool = True) -> Once:
    """Contact the server and work until nothing can move.

    Args:
        agent: one that holds the lock.
        clock: sleeps.
        wait: sleep when the agent waits; otherwise go on at once.

    Raises:
        TransientError, DefiniteError: the server cannot be reached or trusted.
        StoreError: the state cannot be written.
    """
    agent.poll()
    try:
        _work(agent, clock, wait=wait)
    finally:
        agent.close()  # nobody would hear an answer any more
    agent.tell_all()
    return Once(
        ended=tuple(agent.endings.reported),
        waiting=tuple((package.id, found.why) for package, found in agent.standings()),
        unreported=tuple(package.id for package in agent.endings.unreported()),
    )


def _work(agent: Agent, clock: Clock, *, wait: bool) -> None:
    while True:
        pause = agent.step()
        if pause is None or pause.what is For.TIME or agent.endings.failures >= REPORTS_MAX:
            return
        if not wait and pause.what is For.USER and pause.seconds > 0:
            return
        if wait:
            clock.sleep(pause.seconds)
