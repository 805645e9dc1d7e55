"""Composes contact, fetching, installing and reporting; decides nothing that a rule could.

`once` and the daemon drive the same two methods: `poll`, and `step`, which does what can be done
now and says how long to wait. Neither ever sleeps.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from deploy_agent.domain import policy
from deploy_agent.domain.errors import DefiniteError, Expired, TransientError
from deploy_agent.domain.plan import (
    Moved,
    Pause,
    Period,
    Readiness,
    Why,
    pause_seconds,
    plan_period,
)
from deploy_agent.domain.standing import Standing, Surroundings, standing
from deploy_agent.domain.state import State
from deploy_agent.machine.clock import Clock
from deploy_agent.services.contact import Contact
from deploy_agent.services.events import Events
from deploy_agent.services.fetching import Fetcher
from deploy_agent.services.installing import Installer
from deploy_agent.services.package import Package
from deploy_agent.services.packages import Packages
from deploy_agent.services.reporting import Reporter
from deploy_agent.services.view import View
from deploy_agent.services.waiting import PATIENT, For, Patience, Wait
from deploy_agent.wire.replies import DownloadSettings

log = logging.getLogger(__name__)


class Agent:
    """Everything that one agent does, in the order of the data's way.

    Attributes:
        packages: what is on this computer.
        contact: talks to the server.
        report_failures: tries to report in a row that failed.
        reported: the results that the server took in this life, as (package id, code).
    """

    def __init__(
        self,
        packages: Packages,
        contact: Contact,
        fetcher: Fetcher,
        installer: Installer,
        reporter: Reporter,
        events: Events,
        clock: Clock,
        *,
        somebody_there: Callable[[], bool],
        to_utc: Callable[[datetime], datetime],
        patience: Patience = PATIENT,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Compose an agent.

        Args:
            packages: what is on this computer.
            contact: talks to the server.
            fetcher: brings files.
            installer: takes packages from their last fragment to their result.
            reporter: tells the server how packages ended.
            events: tells our server what happens until then.
            clock: tells the time.
            somebody_there: whether a user is logged in.
            to_utc: turns a naive local time into UTC.
            patience: how much to wait.
            jitter: numbers from 0 to 1.
        """
        self.packages = packages
        self.contact = contact
        self._fetcher = fetcher
        self._installer = installer
        self._reporter = reporter
        self._events = events
        self._clock = clock
        self._somebody_there = somebody_there
        self._to_utc = to_utc
        self._patience = patience
        self._jitter = jitter
        self._period: Period | None = None
        self._answer: Moved | None = None
        self._pause: tuple[Why, datetime] | None = None
        self._report_at: datetime | None = None
        self._said: dict[str, str] = {}
        self.report_failures = 0
        self.reported: list[tuple[str, str]] = []

    # What others ask.

    def start(self) -> None:
        """Take over what the disk has. The lock has to be held."""
        self.packages.load(self._clock.now(), forgive=self._patience.silences is not None)
        self.contact.drop_cancelled()

    def poll(self) -> None:
        """Contact the server: results first, then PROLOG and what follows from it.

        Raises:
            TransientError, DefiniteError: there is no answer, or none that can be trusted.
            StoreError: the state cannot be written.
        """
        self._report_at = None
        self._finish_ended()
        self.contact.poll()
        self._report_at = None
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
        if not self.unreported():  # results first
            self._events.deliver(busy=busy)

    def _work(self, until: datetime | None) -> Wait | None:
        while True:
            self._finish_ended()
            self._tell(busy=True)
            wait = self._attend(until) or self._pausing()
            if wait is not None:
                return wait
            if until is not None and self._clock.now() >= until:
                return Wait(0, For.PACE, "it is time for a contact")
            if self._period is None and not self._begin_period():
                self._finish_ended()
                return self._idle()
            self._advance_period()

    def standings(self) -> list[tuple[Package, Standing]]:
        """Return every package that has no result, with what it waits for."""
        around = self._surroundings()
        return [(each, self._standing(each, around)) for each in self._unfinished()]

    def unreported(self) -> list[Package]:
        """Return every package whose result the server does not have yet."""
        return [each for each in self.packages if self._to_report(each)]

    def settings(self) -> DownloadSettings:
        """Return the newest settings; switched off before the first contact."""
        settings = self.contact.memory.settings or DownloadSettings(on=False)
        if self._patience.latencies:
            return settings
        return replace(settings, frag_latency_s=0, cycle_latency_s=0, period_latency_s=0)

    def may_move(self, package_id: str) -> bool:
        """Whether a package can move now."""
        package = self.packages.get(package_id)
        if package is None or package.record.ended:
            return False
        return self._standing(package, self._surroundings()).readiness is Readiness.MOVES

    # Periods.

    def _begin_period(self) -> bool:
        """Prepare a period; whether there is anything for it to do."""
        self._expire()
        if not self.settings().on:
            return False
        self._fetch_infos()
        moves = any(each.readiness is Readiness.MOVES for _, each in self.standings())
        if not moves and not any(map(self._may_ask_for_info, self._unfinished())):
            return False
        self._period = plan_period(View(self))
        self._answer = None
        return True

    def _fetch_infos(self) -> None:
        """Try once for every info file that is needed."""
        for package in self._unfinished():
            if self._may_ask_for_info(package):
                self._fetcher.fetch_info(package)

    def _may_ask_for_info(self, package: Package) -> bool:
        """Whether the package may ask for its info file now; it keeps periods going until then."""
        return (
            self.settings().on
            and not package.record.ended
            and package.needs_info
            and not self._backs_off(package)
            and not self._gave_up(package)
        )

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
        for package in self._unfinished():
            if not policy.is_expired(package.record, days, now):
                continue
            if package.record.retry_result is not None:
                package.end(replace(package.record.retry_result, ended_at=now))
            else:
                why = package.record.problem or "it was not ready in time"
                package.fail(Expired(f"offered more than {days} days ago: {why}"), now)

    # Actions and ends.

    def _attend(self, until: datetime | None) -> Wait | None:
        """Wait for actions that run; nobody else moves meanwhile."""
        for package in self.packages:
            if package.state is not State.RUNNING:
                continue
            if not self._installer.attend(package, self._no_longer_than(until)):
                return Wait(0, For.PACE, f"the action of package {package.id} runs")
            self._finish_ended()
        return None

    def _no_longer_than(self, until: datetime | None) -> float | None:
        """Return how long to wait for an action at most: until a contact, or until events go."""
        waits = [None if self.unreported() else self._events.due_in_s(busy=True)]
        if until is not None:
            waits.append(max(0.0, (until - self._clock.now()).total_seconds()))
        return min((each for each in waits if each is not None), default=None)

    def _finish_ended(self) -> None:
        """Bring every ended package on its way out as far as it goes."""
        for package in self.packages:
            if not package.record.ended:
                continue
            self._reporter.enter(package)
            if self._to_report(package) and self._may_report():
                self._report(package)
            if self._reporter.remove(package):
                self.packages.forget(package)

    @staticmethod
    def _to_report(package: Package) -> bool:
        return package.state is State.DONE and not package.record.orphan

    def _may_report(self) -> bool:
        return self._report_at is None or self._report_at <= self._clock.now()

    def _report(self, package: Package) -> None:
        try:
            self._reporter.send(package)
        except (TransientError, DefiniteError) as error:
            self.report_failures += 1
            delay = 0.0
            if self._patience.latencies:
                delay = policy.backoff_s(self.report_failures, self._jitter(), _asked(error))
            self._report_at = self._clock.now() + timedelta(seconds=delay)
            log.warning("package %s: its result is kept until it is sent: %s", package.id, error)
        else:
            self.report_failures = 0
            self._report_at = None
            if package.record.result is not None:
                self.reported.append((package.id, package.record.result.code))

    # Waiting.

    def _idle(self) -> Wait | None:
        """Return what is waited for when nothing can move."""
        waits = [wait for wait in map(self._wait_of, self.standings()) if wait is not None]
        if self.unreported() and self._report_at is not None:
            left = (self._report_at - self._clock.now()).total_seconds()
            waits.append(Wait(max(0.0, left), For.ANSWER, "the server has to be told results"))
        return min(waits, key=lambda wait: (wait.what is For.TIME, wait.seconds), default=None)

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

    def _standing(self, package: Package, around: Surroundings) -> Standing:
        missing = package.missing if package.state is State.DOWNLOADING else 0
        found = standing(package.record, package.info, missing, around)
        if self._gave_up(package) and found.readiness is not Readiness.WAITS:
            why = f"no answer {package.silences} times in a row: {package.record.problem}"
            return Standing(Readiness.WAITS, why)
        return found

    def _gave_up(self, package: Package) -> bool:
        most = self._patience.silences
        return most is not None and package.silences >= most

    def _backs_off(self, package: Package) -> bool:
        at = package.record.retry_at
        return at is not None and at > self._clock.now()

    def _unfinished(self) -> list[Package]:
        return [each for each in self.packages if not each.record.ended]

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            now=self._clock.now(),
            settings=self.settings(),
            somebody_there=self._somebody_there,
            to_utc=self._to_utc,
        )


def _asked(error: TransientError | DefiniteError) -> float | None:
    return error.retry_after_s if isinstance(error, TransientError) else None
