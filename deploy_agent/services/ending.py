"""Brings ended packages on their way out: history, post command, report, removal.

Each step is tried again until it has happened, and none waits for another that may take long: a
report goes out while a restart is pending or a post command runs, and what cannot be reported
keeps no post command back.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from deploy_agent.domain import policy
from deploy_agent.domain.errors import DefiniteError, TransientError
from deploy_agent.domain.standing import Hold, hold_of
from deploy_agent.domain.state import ACTED, ENDED, State
from deploy_agent.machine.clock import Clock
from deploy_agent.services.package import Package
from deploy_agent.services.packages import Packages
from deploy_agent.services.post import PostCommands
from deploy_agent.services.reporting import Reporter
from deploy_agent.services.waiting import For, Patience, Wait
from deploy_agent.wire.replies import DownloadSettings

log = logging.getLogger(__name__)


class Endings:
    """What happens to packages that have a result.

    Attributes:
        failures: tries to report in a row that failed.
        reported: the results that the server took in this life, as (package id, code).
    """

    def __init__(
        self,
        packages: Packages,
        reporter: Reporter,
        post: PostCommands,
        clock: Clock,
        *,
        patience: Patience,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """See to ends.

        Args:
            packages: what is on this computer.
            reporter: tells the server.
            post: carries out post commands.
            clock: tells the time.
            patience: how much to wait.
            jitter: numbers from 0 to 1.
        """
        self._packages = packages
        self._reporter = reporter
        self._post = post
        self._clock = clock
        self._patience = patience
        self._jitter = jitter
        self._report_at: datetime | None = None
        self.failures = 0
        self.reported: list[tuple[str, str]] = []

    def finish(self, settings: DownloadSettings) -> None:
        """Bring every ended package as far as it goes.

        Raises:
            StoreError: the state cannot be written.
        """
        for package in self._packages.of(*ENDED):
            self._reporter.enter(package)
            # One at a time, as actions.
            if self._post.is_due(package) and self._hold() is None:
                self._post.begin(package, settings)
            if self._to_report(package) and self._may_report():
                self._report(package)
            if self._post.is_over(package) and self._reporter.remove(package):
                self._packages.forget(package)

    def runs_post_command(self, package: Package) -> bool:
        """Whether the package's post command is a command line that is not known to have ended."""
        post = package.record.post
        return package.record.ended and post is not None and post.waits and not post.restart

    def attend(self, package: Package, timeout_s: float | None) -> bool:
        """Wait for the end of a post command that runs; whether it has ended."""
        return self._post.attend(package, timeout_s)

    def unreported(self) -> list[Package]:
        """Return every package whose result the server does not have yet."""
        return [each for each in self._packages.of(State.DONE) if self._to_report(each)]

    def try_now(self) -> None:
        """Report at the next chance, whatever the last one came to."""
        self._report_at = None

    def wait(self) -> Wait | None:
        """Return how long reports are left alone, None where none is."""
        if self._report_at is None or not self.unreported():
            return None
        left = (self._report_at - self._clock.now()).total_seconds()
        return Wait(max(0.0, left), For.ANSWER, "the server has to be told results")

    def _hold(self) -> Hold | None:
        return hold_of(package.record for package in self._packages.of(*ACTED))

    @staticmethod
    def _to_report(package: Package) -> bool:
        return package.state is State.DONE and not package.record.orphan

    def _may_report(self) -> bool:
        return self._report_at is None or self._report_at <= self._clock.now()

    def _report(self, package: Package) -> None:
        try:
            self._reporter.send(package)
        except (TransientError, DefiniteError) as error:
            self.failures += 1
            delay = 0.0
            if self._patience.latencies:
                delay = policy.backoff_s(self.failures, self._jitter(), _asked(error))
            self._report_at = self._clock.now() + timedelta(seconds=delay)
            log.warning("package %s: its result is kept until it is sent: %s", package.id, error)
        else:
            self.failures = 0
            self._report_at = None
            if package.record.result is not None:
                self.reported.append((package.id, package.record.result.code))


def _asked(error: TransientError | DefiniteError) -> float | None:
    return error.retry_after_s if isinstance(error, TransientError) else None
