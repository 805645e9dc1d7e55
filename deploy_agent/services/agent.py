"""Composes contact, fetching, installing and reporting; decides nothing that a rule could.

`once` and the daemon drive the same two methods: `poll`, and `step`, which does what can be done
now and says how long to wait. Neither ever sleeps.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from deploy_agent.domain import policy
from deploy_agent.domain.errors import Expired
from deploy_agent.domain.plan import (
    Moved,
    Pause,
    Period,
    Readiness,
    Why,
    pause_seconds,
    plan_period,
)
from deploy_agent.domain.standing import Standing
from deploy_agent.domain.state import ENDED, State
from deploy_agent.machine.clock import Clock
from deploy_agent.services.asking import LOOK_S, Asking, Pauses
from deploy_agent.services.contact import Contact
from deploy_agent.services.ending import Endings
from deploy_agent.services.events import Events
from deploy_agent.services.fetching import Fetcher
from deploy_agent.services.installing import Installer
from deploy_agent.services.package import Package
from deploy_agent.services.packages import Packages
from deploy_agent.services.standings import Standings
from deploy_agent.services.view import View
from deploy_agent.services.waiting import PATIENT, For, Patience, Wait
from deploy_agent.wire.replies import DownloadSettings

PERIOD_MIN_S = 60.0  # before a user who gave no answer is asked again

log = logging.getLogger(__name__)


class Agent:
    """Everything that one agent does, in the order of the data's way.

    Attributes:
        packages: what is on this computer.
        contact: talks to the server.
        endings: what becomes of packages that have a result.
        asking: asks users.
    """

    def __init__(
        self,
        packages: Packages,
        contact: Contact,
        fetcher: Fetcher,
        installer: Installer,
        endings: Endings,
        asking: Asking,
        events: Events,
        clock: Clock,
        *,
        to_utc: Callable[[datetime], datetime],
        patience: Patience = PATIENT,
    ) -> None:
        """Compose an agent.

        Args:
            packages: what is on this computer.
            contact: talks to the server.
            fetcher: brings files.
            installer: takes packages from their last fragment to their result.
            endings: takes them from there to the server and off the disk.
            asking: asks users.
            events: tells our server what happens until then.
            clock: tells the time.
            to_utc: turns a naive local time into UTC.
            patience: how much to wait.
        """
        self.packages = packages
        self.contact = contact
        self.endings = endings
        self.asking = asking
        self._fetcher = fetcher
        self._installer = installer
        self._events = events
        self._clock = clock
        self._patience = patience
        self._standings = Standings(
            packages, asking, clock, settings=self.settings, to_utc=to_utc, patience=patience
        )
        self._period: Period | None = None
        self._answer: Moved | None = None
        self._pause: tuple[Why, datetime] | None = None
        self._said: dict[str, str] = {}

    # What others ask.

    def start(self) -> None:
        """Take over what the disk has. The lock has to be held."""
        self._events.start()
        self.packages.load(self._clock.now(), forgive=self._patience.silences is not None)
        self.contact.drop_cancelled()

    def poll(self) -> None:
        """Contact the server: results first, then PROLOG and what follows from it.

        Raises:
            TransientError, DefiniteError: there is no answer, or none that can be trusted.
            StoreError: the state cannot be written.
        """
        self.endings.try_now()
        # What ran while no agent did has its result by now, or may have to run again: both are
        # said before the server is asked.
        self._attend(self._clock.now())
        self._finish_ended()
        self.contact.poll()
        self.endings.try_now()
        self._finish_ended()
        self._fetch_infos()

    def step(self, until: datetime | None = None) -> Wait | None:
        """Do what can be done now.

        Args:
            until: return by then, as far as that can be chosen; None for never.

        Returns:
            For how long there is nothing to do; None when only the server, a user or an
            administrator can change that.

        Raises:
            StoreError: the state cannot be written.
        """
        wait = self._work(until)
        self._tell()
        return wait

    def tell_all(self) -> None:
        """Send every event that the server takes, now."""
        self._events.deliver_all()

    def _tell(self, *, busy: bool = False) -> None:
        if not self.endings.unreported():  # results first
            self._events.deliver(busy=busy)

    def _work(self, until: datetime | None) -> Wait | None:
        while True:
            self._finish_ended()
            self._tell(busy=True)
            wait = self._attend(until)
            if self._ask():
                continue
            wait = wait or self._pausing()
            if wait is not None:
                return self._or_sooner(wait)
            if until is not None and self._clock.now() >= until:
                return Wait(0, For.PACE, "it is time for a contact")
            if self._period is None and not self._begin_period():
                self._finish_ended()
                return self._idle()
            self._advance_period()

    def standings(self) -> list[tuple[Package, Standing]]:
        """Return every package that has no result, with what it waits for."""
        return self._standings.all()

    def close(self) -> None:
        """Take away what users see; the agent ends."""
        self.asking.close()

    def settings(self) -> DownloadSettings:
        """Return the newest settings; switched off before the first contact."""
        settings = self.contact.memory.settings or DownloadSettings(on=False)
        if self._patience.latencies:
            return settings
        return _unpaced(settings)

    def may_move(self, package_id: str) -> bool:
        """Whether a package can move now."""
        package = self.packages.get(package_id)
        return package is not None and self._standings.may_move(package)

    # Periods.

    def _begin_period(self) -> bool:
        """Prepare a period; whether there is anything for it to do."""
        self._expire()
        if not self.settings().on:
            return False
        refused = self._fetch_infos()
        moves = any(each.readiness is Readiness.MOVES for _, each in self.standings())
        # A refused info file rests, and is tried again before the next period all the same.
        wanted = refused or any(map(self._standings.may_ask_for_info, self.packages))
        if not moves and not wanted:
            return False
        self._period = plan_period(View(self))
        self._answer = None
        return True

    def _fetch_infos(self) -> bool:
        """Try once for every info file that is needed.

        Returns:
            Whether one was refused.
        """
        refused = False
        for package in self._standings.unfinished():
            if self._standings.may_ask_for_info(package):
                self._fetcher.fetch_info(package)
                refused = refused or self._standings.wants_info(package)
        return refused

    def _advance_period(self) -> None:
        """Take one step of the period."""
        if self._period is None:
            return
        answer, self._answer = self._answer, None
        try:
            step = self._period.send(answer)
        except StopIteration:
            self._period = None
            return
        if isinstance(step, Pause):
            self._pause = (step.why, self._clock.now())
        else:
            self._answer = self._move(step.package_id)

    def _move(self, package_id: str) -> Moved:
        """One move: a fragment, or, when none is missing, all the way to the action."""
        package = self.packages.get(package_id)
        assert package is not None, "only a package that can move gets a turn"
        number = package.next_missing() if package.state is State.DOWNLOADING else None
        if number is not None:
            return self._fetcher.fetch_fragment(package, number)
        self._installer.prepare(package)
        if package.record.reread and not package.record.ended:
            self._fetcher.fetch_info(package)
            return Moved(used_network=True)
        if package.state is State.UNPACKED and self.may_move(package_id):
            self._installer.act(package, self.settings())
        return Moved()

    def _pausing(self) -> Wait | None:
        """Return what is left of a pause, by the latencies of now."""
        if self._pause is None:
            return None
        why, began = self._pause
        settings = self.settings()
        passed = (self._clock.now() - began).total_seconds()
        # A clock that was put back must not make a pause longer than it is.
        left = pause_seconds(why, settings) - max(0.0, passed)
        if left > 0 and settings.on and self._patience.latencies:
            return Wait(left, For.PACE, why.value)
        self._pause = None
        return None

    def _expire(self) -> None:
        """End what was not ready in time."""
        now = self._clock.now()
        days = self.settings().timeout_days
        for package in self._standings.unfinished():
            if not policy.is_expired(package.record, days, now):
                continue
            if package.record.retry_result is not None:
                package.end(replace(package.record.retry_result, ended_at=now))
            else:
                why = package.record.problem or "it was not ready in time"
                package.fail(Expired(f"offered more than {days} days ago: {why}"), now)

    # Users, actions and ends.

    def _ask(self) -> bool:
        """Ask users, and act at once where one has just said so; whether an answer came."""
        asked = self.asking.asked
        package = self.asking.step(self._standings.ask(), self._pauses())
        if package is not None and self._standings.may_move(package):
            self._installer.act(package, self.settings())
        return bool(asked) and not self.asking.asked

    def _pauses(self) -> Pauses:
        """Return when users are asked again."""
        memory, settings = self.contact.memory, self.settings()
        minutes = memory.contact_minutes or 60 * (memory.prolog_freq_h or 1)
        period_s = settings.period_length * settings.cycle_latency_s + settings.period_latency_s
        return Pauses(timedelta(minutes=minutes), timedelta(seconds=max(PERIOD_MIN_S, period_s)))

    def _attend(self, until: datetime | None) -> Wait | None:
        """Wait for actions and post commands that run; nobody else moves meanwhile."""
        while (package := self._running()) is not None:
            if package.state is State.RUNNING:
                ended, what = self._installer.attend(package, self._no_longer_than(until)), "action"
            else:
                ended = self.endings.attend(package, self._no_longer_than(until))
                what = "post command"
            if not ended:
                return Wait(0, For.PACE, f"the {what} of package {package.id} runs")
            self._finish_ended()  # which may begin a post command
        return None

    def _running(self) -> Package | None:
        """Return a package whose action or post command is not known to have ended."""
        for package in self.packages.of(State.RUNNING, *ENDED):
            if package.state is State.RUNNING or self.endings.runs_post_command(package):
                return package
        return None

    def _no_longer_than(self, until: datetime | None) -> float | None:
        """Return how long to wait for an action at most: until anything else has to be done."""
        waits = [None if self.endings.unreported() else self._events.due_in_s(busy=True)]
        if until is not None:
            waits.append(max(0.0, (until - self._clock.now()).total_seconds()))
        if self.asking.asked:
            waits.append(LOOK_S)
        report = self.endings.wait()
        if report is not None:
            waits.append(report.seconds)
        return min((each for each in waits if each is not None), default=None)

    def _finish_ended(self) -> None:
        """Bring every ended package on its way out as far as it goes."""
        self.endings.finish(self.settings())

    # Waiting.

    def _idle(self) -> Wait | None:
        """Return what is waited for when nothing can move."""
        waits = [wait for wait in map(self._wait_of, self.standings()) if wait is not None]
        waits += [wait for wait in (self.endings.wait(), self.asking.wait()) if wait is not None]
        return min(waits, key=lambda wait: (wait.what is For.TIME, wait.seconds), default=None)

    def _or_sooner(self, wait: Wait) -> Wait:
        """Return `wait`, shortened to when a user has to be looked after."""
        asked = self.asking.wait()
        return wait if asked is None or wait.seconds <= asked.seconds else asked

    def _wait_of(self, each: tuple[Package, Standing]) -> Wait | None:
        package, found = each
        if self._said.get(package.id) != found.why:
            self._said[package.id] = found.why
            log.info("package %s waits: %s", package.id, found.why)
            self._events.waits(package, found.why)
        if found.until is None:
            return None
        left = max(0.0, (found.until - self._clock.now()).total_seconds())
        what = For.ANSWER if found.readiness is Readiness.BACKS_OFF else For.TIME
        return Wait(left, what, f"package {package.id}: {found.why}")


@lru_cache(maxsize=1)
def _unpaced(settings: DownloadSettings) -> DownloadSettings:
    # Asked for dozens of times for each fragment.
    return replace(settings, frag_latency_s=0, cycle_latency_s=0, period_latency_s=0)
