"""Where every package on this computer stands now: domain/standing.py with the real facts."""

from collections.abc import Callable
from datetime import datetime
from functools import cache

from deploy_agent.domain.plan import Readiness
from deploy_agent.domain.policy import RETRY_AFTER_MAX_S, is_pause
from deploy_agent.domain.standing import Standing, Surroundings, hold_of, standing
from deploy_agent.domain.state import ACTED, State
from deploy_agent.machine.clock import Clock
from deploy_agent.services.asking import Asking
from deploy_agent.services.package import Package
from deploy_agent.services.packages import Packages
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.replies import DownloadSettings


class Standings:
    """What packages can do, and what they wait for."""

    def __init__(
        self,
        packages: Packages,
        asking: Asking,
        clock: Clock,
        *,
        settings: Callable[[], DownloadSettings],
        to_utc: Callable[[datetime], datetime],
        patience: Patience,
    ) -> None:
        """Look at packages.

        Args:
            packages: what is on this computer.
            asking: knows its users.
            clock: tells the time.
            settings: the newest.
            to_utc: turns a naive local time into UTC.
            patience: how much to wait.
        """
        self._packages = packages
        self._asking = asking
        self._clock = clock
        self._settings = settings
        self._to_utc = to_utc
        self._patience = patience

    def unfinished(self) -> list[Package]:
        """Return every package that has no final result."""
        return [each for each in self._packages if not each.record.ended]

    def all(self) -> list[tuple[Package, Standing]]:
        """Return every package that has no final result, with what it waits for."""
        around = self._surroundings()
        return [(each, self._of(each, around)) for each in self.unfinished()]

    def may_move(self, package: Package) -> bool:
        """Whether a package can move now."""
        if package.record.ended:
            return False
        return self._of(package, self._surroundings()).readiness is Readiness.MOVES

    def ask(self) -> list[Package]:
        """Return the packages that wait for nothing but a user, in the order of asking."""
        able = self._packages.asking()
        if not able:
            return []
        around = self._surroundings()
        return sorted((each for each in able if self._of(each, around).asks), key=_turn)

    def may_ask_for_info(self, package: Package) -> bool:
        """Whether the package may ask for its info file now; it keeps periods going until then."""
        record, now = package.record, self._clock.now()
        return (
            self._settings().on
            and not record.ended
            and package.needs_info
            and not is_pause(record.retry_at, now, RETRY_AFTER_MAX_S)
            and not self._gave_up(package)
        )

    def wants_info(self, package: Package) -> bool:
        """Whether the package's info file is still missing, though whoever was asked answered."""
        record = package.record
        return not record.ended and package.needs_info and not record.failures

    def _of(self, package: Package, around: Surroundings) -> Standing:
        missing = package.missing if package.state is State.DOWNLOADING else 0
        found = standing(package.record, package.info, missing, around)
        if self._gave_up(package) and found.readiness is not Readiness.WAITS:
            why = f"no answer {package.silences} times in a row: {package.record.problem}"
            return Standing(Readiness.WAITS, why)
        return found

    def _gave_up(self, package: Package) -> bool:
        most = self._patience.silences
        return most is not None and package.silences >= most

    def _surroundings(self) -> Surroundings:
        # Both take their time, and are the same for every package of one look.
        return Surroundings(
            now=self._clock.now(),
            settings=self._settings(),
            somebody_there=cache(self._asking.somebody_there),
            to_utc=_remembering(self._to_utc),
            hold=cache(lambda: hold_of(each.record for each in self._packages.of(*ACTED))),
            asked=self._asking.asked,
        )


def _remembering(to_utc: Callable[[datetime], datetime]) -> Callable[[datetime], datetime]:
    """Return `to_utc` for one look at all packages, many of which have the same schedule."""
    known: dict[tuple[datetime, int], datetime] = {}

    def remembered(naive: datetime) -> datetime:
        key = naive, naive.fold  # which two times that are equal may differ in
        if key not in known:
            known[key] = to_utc(naive)
        return known[key]

    return remembered


def _turn(package: Package) -> tuple[bool, int, str]:
    priority = package.info.priority if package.info is not None else 0
    return package.state is not State.CONFIRMING, priority, package.id
