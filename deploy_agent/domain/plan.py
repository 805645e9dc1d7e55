"""Periods and cycles: whose turn it is, and how long to wait in between. Pure.

The rule, of which every line is tested (contract.md 4, Moves):

* In cycle i a package of priority p > 0 moves when i mod p = 0, once.
* While a priority-0 package can move or tries again after a failed fetch, only those move, each
  cycle, without CYCLE_LATENCY; after a failed fetch it counts, and is at least 1 s.
* FRAG_LATENCY after each move that used the network, CYCLE_LATENCY after a cycle, PERIOD_LATENCY
  after a period; 0 is a value. What the server says now counts now, ON=0 too.
* A new offer joins at the next period. A package that waits (schedule, user) holds nobody back.

Within a cycle the order is (priority, id); OCS's is random.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from deploy_agent.wire.replies import DownloadSettings

AFTER_FAILURE_MIN_S = 1.0


class Readiness(Enum):
    """What a package can do in this moment."""

    MOVES = "moves"
    BACKS_OFF = "backs off"  # a fetch failed; it will be tried again
    WAITS = "waits"  # for its schedule, the user, its info file


@dataclass(frozen=True, slots=True)
class Planned:
    """An unfinished package as the plan sees it.

    Attributes:
        package_id: digits.
        priority: PRI; None while the info file is not here, so that it only keeps periods going.
        readiness: what it can do now.
    """

    package_id: str
    priority: int | None
    readiness: Readiness = Readiness.MOVES


class View(Protocol):
    """What the plan looks at, again before every step; it answers for that moment."""

    def settings(self) -> DownloadSettings:
        """Return the newest settings that the server sent."""

    def packages(self) -> Sequence[Planned]:
        """Return every unfinished package."""

    def may_move(self, package_id: str) -> bool:
        """Whether a package can still move."""


@dataclass(frozen=True, slots=True)
class Move:
    """It is this package's turn."""

    package_id: str


class Why(Enum):
    """What a pause is for."""

    FRAGMENT = "FRAG_LATENCY"
    CYCLE = "CYCLE_LATENCY"
    PERIOD = "PERIOD_LATENCY"
    FAILURE = "CYCLE_LATENCY after a failed fetch"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nobody moves for a while.

    Attributes:
        seconds: more than 0.
        why: which setting it comes from.
    """

    seconds: float
    why: Why


@dataclass(frozen=True, slots=True)
class Moved:
    """How a move went; the answer to `Move`.

    Attributes:
        used_network: a fragment or its list was asked for.
        failed: and it did not come.
    """

    used_network: bool = False
    failed: bool = False


Period = Generator[Move | Pause, Moved | None, None]


def pause_seconds(why: Why, settings: DownloadSettings) -> float:
    """Return how long a pause lasts under `settings`."""
    if why is Why.FRAGMENT:
        return settings.frag_latency_s
    if why is Why.PERIOD:
        return settings.period_latency_s
    if why is Why.FAILURE:
        return max(AFTER_FAILURE_MIN_S, settings.cycle_latency_s)
    return settings.cycle_latency_s


def can_ever_move(priority: int, settings: DownloadSettings) -> bool:
    """Whether some cycle of a period is this priority's; one above PERIOD_LENGTH has none."""
    return priority <= settings.period_length


def plan_period(view: View) -> Period:
    """Yield the moves and pauses of one period.

    Each `Move` is answered with `Moved` through `send`. The period ends early when deployment is
    switched off or none of its packages is left.

    Args:
        view: the packages and settings as they are at any time.
    """
    members = frozenset(each.package_id for each in view.packages())
    left = _left(members, view)
    cycle = 1
    while cycle <= view.settings().period_length:
        why = yield from _cycle(cycle, left, view)
        # To look at thousands of packages takes time: once for each cycle, and after a pause.
        left = _left(members, view)
        if not view.settings().on or not left:
            return
        if (yield from _pause(why, view)):
            left = _left(members, view)
        cycle += 1
    yield from _pause(Why.PERIOD, view)


def _cycle(
    cycle: int, packages: list[Planned], view: View
) -> Generator[Move | Pause, Moved | None, Why | None]:
    """Yield the moves of one cycle; return what the pause after it is for."""
    urgent = [p for p in packages if p.priority == 0 and p.readiness is not Readiness.WAITS]
    turns = urgent or [p for p in packages if p.priority and cycle % p.priority == 0]
    failed = all(p.readiness is Readiness.BACKS_OFF for p in urgent)
    for package in sorted(turns, key=lambda p: (p.priority, p.package_id)):
        if not view.settings().on or not view.may_move(package.package_id):
            continue
        moved = yield Move(package.package_id)
        if moved is not None and moved.used_network:
            failed = failed or moved.failed
            yield from _pause(Why.FRAGMENT, view)
    if urgent:
        return Why.FAILURE if failed else None
    return Why.CYCLE


def _left(members: frozenset[str], view: View) -> list[Planned]:
    return [each for each in view.packages() if each.package_id in members]


def _pause(why: Why | None, view: View) -> Generator[Pause, None, bool]:
    """Yield a pause where there is one; returns whether there was."""
    settings = view.settings()
    if why is not None and settings.on:
        seconds = pause_seconds(why, settings)
        if seconds > 0:
            yield Pause(seconds, why)
            return True
    return False
