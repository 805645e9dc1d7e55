"""The daemon: contacts with jitter, and work in between; the only importer of apscheduler.

Two jobs on one thread, so that nothing of the agent ever runs twice at a time: `contact` polls the
server, `work` does what can be done now and comes back when there is more. An idle daemon wakes
once a minute, to notice a clock that was set or a computer that slept.
"""

import logging
import os
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Protocol

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

from deploy_agent.config import AgentConfig
from deploy_agent.domain.errors import DefiniteError, LocalError, TransientError
from deploy_agent.machine.clock import Clock, SystemClock
from deploy_agent.machine.memory import Memory
from deploy_agent.services.agent import Agent
from deploy_agent.services.setup import StateFiles, make_agent
from deploy_agent.services.waiting import Wait

TICK_S = 60.0  # an idle daemon looks at the clock this often
JITTER = 0.1  # of an interval, to both sides
STARTUP_S = 10.0  # a fleet that gets its power back does not come as one
RETRY_FIRST_S = 60.0
BROKEN = 70  # EX_SOFTWARE: a fault of ours; whoever supervises the daemon starts it again

log = logging.getLogger(__name__)


class Scheduler(Protocol):
    """What the daemon needs of APScheduler."""

    def at(self, time: datetime, name: str, job: Callable[[], None]) -> None:
        """Run `job` at `time`, instead of the one of this name that was planned."""

    def stop(self) -> None:
        """Run nothing any more."""


class Daemon:
    """Plans the agent's contacts and its work.

    Attributes:
        exit_status: of the process, once it stops by itself.
    """

    def __init__(
        self,
        agent: Agent,
        scheduler: Scheduler,
        clock: Clock,
        *,
        interval_min: int,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Drive `agent`.

        Args:
            agent: holds the lock.
            scheduler: runs jobs.
            clock: tells the time.
            interval_min: minutes between contacts, until the server has said.
            jitter: numbers from 0 to 1.
        """
        self._agent = agent
        self._scheduler = scheduler
        self._clock = clock
        self._interval_min = interval_min
        self._jitter = jitter
        self._failures = 0
        self._planned_at = self._next_contact = clock.now()
        self.exit_status = 0

    def begin(self) -> None:
        """Plan the first contact and the work that an earlier agent left.

        Where the state folder holds packages of our server, the contact comes first: the folder
        may be an old one, restored, and they may have ended. Work follows every contact, also one
        that nobody answers.
        """
        self._agent.asking.wake = self._wake
        if self._agent.contact.asks_first():
            self._plan_contact(STARTUP_S * self._jitter())
            return
        self._plan_contact(self._first_delay())
        self._plan_work(0)

    def contact(self) -> None:
        """Poll the server and plan the next contact."""
        self._guarded(self._contact)

    def work(self) -> None:
        """Do what can be done and plan the next work."""
        self._guarded(self._work)

    def _wake(self) -> None:
        """A user has answered; called from another thread."""
        self._scheduler.at(self._clock.now(), "wake", self.work)

    def _contact(self) -> None:
        try:
            self._agent.poll()
        except (TransientError, DefiniteError) as error:
            self._failures += 1
            delay = self._delay_after_failure(error)
            log.warning("no contact: %s; next try in %.0f s", error, delay)
        else:
            self._failures = 0
            delay = self._interval_s() * (1 - JITTER + 2 * JITTER * self._jitter())
            log.info("next contact in %.0f min", delay / 60)
        self._plan_contact(delay)
        self._plan_work(0)

    def _work(self) -> None:
        now = self._clock.now()
        if now < self._planned_at - timedelta(seconds=STARTUP_S):
            log.info("the clock was put back; contacting the server now")
            self._plan_contact(0)
        wait: Wait | None = self._agent.step(self._next_contact)
        self._plan_work(TICK_S if wait is None else min(TICK_S, wait.seconds))

    def _first_delay(self) -> float:
        """Return how long after the start the first contact is."""
        memory: Memory = self._agent.contact.memory
        if memory.contacted_at is None:
            return 0.0
        soon = STARTUP_S * self._jitter()
        if memory.inventory_on_startup:
            return soon
        due = memory.contacted_at + timedelta(seconds=self._interval_s())
        left = (due - self._clock.now()).total_seconds()
        return max(soon, min(left, self._interval_s()))

    def _interval_s(self) -> float:
        memory = self._agent.contact.memory
        hours = memory.prolog_freq_h
        known = memory.contact_minutes or (60 * hours if hours else None)
        return 60.0 * (known or self._interval_min)

    def _delay_after_failure(self, error: TransientError | DefiniteError) -> float:
        full = min(self._interval_s(), RETRY_FIRST_S * 2.0 ** min(self._failures - 1, 20))
        asked = error.retry_after_s if isinstance(error, TransientError) else None
        return max(full * (0.5 + 0.5 * self._jitter()), min(asked or 0.0, 24 * 3600.0))

    def _plan_contact(self, delay_s: float) -> None:
        self._planned_at = self._clock.now()
        self._next_contact = self._planned_at + timedelta(seconds=delay_s)
        self._scheduler.at(self._next_contact, "contact", self.contact)

    def _plan_work(self, delay_s: float) -> None:
        self._scheduler.at(self._clock.now() + timedelta(seconds=delay_s), "work", self.work)

    def _guarded(self, job: Callable[[], None]) -> None:
        """Run a job; what it cannot go on after stops the daemon."""
        try:
            job()
        except LocalError as error:
            log.error("the agent stops: %s", error)
            self.exit_status = error.exit_status
            self._scheduler.stop()
        except Exception:  # ours to mend; the state is good at any line, so a new start is safe
            log.exception("the agent stops because of a fault of its own")
            self.exit_status = BROKEN
            self._scheduler.stop()


class OneThread:
    """APScheduler with one thread."""

    def __init__(self) -> None:
        self._scheduler = BlockingScheduler(
            executors={"default": ThreadPoolExecutor(max_workers=1)},
            # A job plans its next run while it runs; by default that one would be dropped, with a
            # warning, and nothing would happen before the next contact. There is one thread, so
            # what is handed to it waits its turn.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1000},
            timezone=UTC,
        )

    def at(self, time: datetime, name: str, job: Callable[[], None]) -> None:
        """Run `job` at `time`."""
        self._scheduler.add_job(job, "date", run_date=time, id=name, replace_existing=True)

    def run(self) -> None:
        """Run jobs until `stop`."""
        self._scheduler.start()

    def stop(self) -> None:
        """Return from `run`."""
        self._scheduler.shutdown(wait=False)


def serve(config: AgentConfig) -> int:
    """Be the daemon until a signal ends it; return the exit status.

    Raises:
        LocalError: the configuration, the state or the lock; it did not start.
    """
    files = StateFiles(config.state)
    with files.lock():
        clock = SystemClock()
        scheduler = OneThread()
        agent = make_agent(config)
        daemon = Daemon(agent, scheduler, clock, interval_min=config.contact_interval_min)
        signal.signal(signal.SIGTERM, _stop)
        daemon.begin()
        log.info("the agent runs for %s at %s", agent.contact.identity.device_id, config.server)
        try:
            scheduler.run()
        except (KeyboardInterrupt, SystemExit):
            log.info("the agent stops; what it was doing goes on at its next start")
        logging.shutdown()
        # The worker may be in the middle of a download or wait for an action that outlives us.
        # Every line of it may be the last, so nobody has to wait for it.
        os._exit(daemon.exit_status)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
