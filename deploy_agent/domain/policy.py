"""What to do with an offer, when to try again, when a package is over. Pure: time is an argument.

Source: contract.md 4 (Faults, Extension) and 5; house.md 4.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import lru_cache

from deploy_agent.domain.record import Fault, PackageRecord
from deploy_agent.domain.state import BEFORE_ACTION, State
from deploy_agent.wire.replies import PackageOffer

FAULTS_MAX = 5  # definite answers in a row that end a package
BACKOFF_FIRST_S = 2.0
BACKOFF_MAX_S = 15 * 60.0
REFUSED_FIRST_S = 5.0
RETRY_AFTER_MAX_S = 24 * 3600.0
RETRY_CODE_FIRST_S = 5 * 60
RETRY_CODE_MAX_S = 60 * 60

_SCHEDULE = "%Y/%m/%d %H:%M"
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class Verdict(Enum):
    """What an offer means for what is on the disk."""

    NEW = auto()  # begin
    KNOWN = auto()  # the same offer again; take over its locations and times
    BUSY = auto()  # an older attempt has to be ended and reported first
    ANSWERED = auto()  # this attempt ended already: send its result again
    ALREADY = auto()  # history has the package
    CANCELLED = auto()  # the server took this attempt back before; it never begins


@dataclass(frozen=True, slots=True)
class Past:
    """What history says about one package.

    Attributes:
        ended: whether this very attempt has ended.
        cancelled: whether the server took this very attempt back before it began.
        revisions: of every success; None where the server named none.
    """

    ended: bool = False
    cancelled: bool = False
    revisions: tuple[int | None, ...] = ()


def judge_offer(offer: PackageOffer, record: PackageRecord | None, past: Past) -> Verdict:
    """Return what to do with `offer`.

    Args:
        offer: from a PROLOG reply.
        record: what the disk has of this package, None when nothing.
        past: what history has of it.
    """
    if record is not None and record.state is not State.REPORTED:
        if offer.attempt is None or offer.attempt == record.offer.attempt:
            return Verdict.KNOWN
        if record.state not in BEFORE_ACTION:
            return Verdict.BUSY
    if record is not None and record.restarts:
        return Verdict.BUSY  # its record is what remembers that the computer has to restart
    if past.cancelled:
        return Verdict.CANCELLED
    if past.ended:
        return Verdict.ANSWERED
    if not offer.force and in_history(past.revisions, offer.revision):
        return Verdict.ALREADY
    return Verdict.NEW


def in_history(revisions: Iterable[int | None], offered: int | None) -> bool:
    """Whether a success stands against an offer of revision `offered`.

    A higher revision than any that succeeded is never held back. Where the server of that time
    named none, it was the first.
    """
    return any(offered is None or (each or 1) >= offered for each in revisions)


def must_reread(offer: PackageOffer, info_revision: int | None, state: State) -> bool:
    """Whether the info file on disk may be of another revision than the one offered."""
    return (
        offer.revision is not None
        and state in BEFORE_ACTION
        and state is not State.OFFERED
        and offer.revision != info_revision
    )


def count_fault(
    faults: Mapping[str, Fault], name: str, *, wrong_bytes: bool
) -> tuple[dict[str, Fault], bool]:
    """Count a definite answer for file `name`.

    Returns:
        The new counters, and whether this one ends the package.
    """
    count = faults[name].count + 1 if name in faults else 1
    return {**faults, name: Fault(count, wrong_bytes)}, count >= FAULTS_MAX


def without_fault(faults: Mapping[str, Fault], name: str) -> dict[str, Fault]:
    """Return `faults` after file `name` came."""
    return {key: fault for key, fault in faults.items() if key != name}


def backoff_s(failures: int, jitter: float, retry_after_s: float | None = None) -> float:
    """Return how long to leave a silent server alone.

    Args:
        failures: in a row, at least 1.
        jitter: from 0 to 1, so that a fleet does not come back as one.
        retry_after_s: what the server asked for; obeyed up to a day.
    """
    full = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 30))
    own = full * (0.5 + 0.5 * jitter)
    return max(own, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))


def refused_rest_s(count: int) -> float:
    """Return how long an info file is left alone that was refused.

    It is tried before each period, and where every latency is 0 periods last no time: all five
    chances would go within the second in which somebody copies files to the server. Together the
    rests are 75 s. Under the seed's latencies, and at contacts, tries are farther apart than any.

    Args:
        count: refusals in a row, at least 1.
    """
    return REFUSED_FIRST_S * 2.0 ** (min(count, FAULTS_MAX) - 1)


def is_pause(until: datetime | None, now: datetime, longest_s: float) -> bool:
    """Whether a pause still lasts.

    Args:
        until: when it ends; None for no pause.
        now: UTC.
        longest_s: what no pause of this kind takes; an end beyond it was set by a clock that was
            wrong at that time.
    """
    return until is not None and now < until <= now + timedelta(seconds=longest_s)


def retry_code_delay(retries: int) -> timedelta:
    """Return how long a package rests after its `retries`-th retry code in a row."""
    return timedelta(seconds=min(RETRY_CODE_MAX_S, RETRY_CODE_FIRST_S * 2 ** min(retries - 1, 30)))


def is_expired(record: PackageRecord, timeout_days: int, now: datetime) -> bool:
    """Whether DOWNLOAD_TIMEOUT ends the package: not ready in time, or out of retries."""
    may_expire = record.state in BEFORE_ACTION and (
        record.state is not State.UNPACKED or record.retry_result is not None or record.reread
    )
    return may_expire and now - record.since >= timedelta(days=timeout_days)


def scheduled_at(text: str, to_utc: Callable[[datetime], datetime]) -> datetime | None:
    """Return when SCHEDULE says, UTC; None where it says nothing that can be read.

    A local time that does not exist is the next that does, one that exists twice is the first.

    Args:
        text: 'YYYY/MM/DD HH:MM', local.
        to_utc: turns a naive local time, with its fold, into UTC.
    """
    local = _local(text)
    if local is None:
        return None
    try:
        # In the gap of a clock that is put forward the two readings change places. The next time
        # that exists is the first minute on which they agree again.
        while to_utc(local) > to_utc(local.replace(fold=1)):
            local += timedelta(minutes=1)
        return to_utc(local).astimezone(UTC)
    except (OverflowError, ValueError, OSError):  # beyond the calendar: long ago, or never
        return _NEVER if local.year >= 1970 else None


# Each look at what waits asks again, and the same text always means the same.
@lru_cache(maxsize=4096)
def _local(text: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), _SCHEDULE)  # noqa: DTZ007 - local on purpose
    except ValueError:
        return None


def renew(record: PackageRecord | None, offer: PackageOffer, now: datetime) -> PackageRecord:
    """Return the record with which a new assignment begins.

    Files that an earlier one left are looked at when the info file has come; the number of the
    last run goes on, so that no outcome is taken for another's.
    """
    fresh = PackageRecord(offer=offer, since=now)
    return fresh if record is None else replace(fresh, runs=record.runs)
