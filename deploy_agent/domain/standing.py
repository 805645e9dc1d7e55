"""Where a package stands in this moment, and why it waits, in words. Pure.

The plan asks it whose turn it can be; `status` and the log tell people the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from deploy_agent.domain.plan import Readiness, can_ever_move
from deploy_agent.domain.policy import scheduled_at
from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import State
from deploy_agent.wire.info import InfoFile
from deploy_agent.wire.replies import DownloadSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """What a package can do now.

    Attributes:
        readiness: for the plan.
        why: for people; begins in lower case, no full stop.
        until: when that changes by itself, UTC; None where time alone changes nothing.
    """

    readiness: Readiness
    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a package's standing depends on, beside the package.

    Attributes:
        now: UTC.
        settings: the newest from the server; None before the first contact.
        somebody_there: whether a user is logged in.
        to_utc: turns a naive local time into UTC.
    """

    now: datetime
    settings: DownloadSettings | None
    somebody_there: Callable[[], bool]
    to_utc: Callable[[datetime], datetime]


def standing(
    record: PackageRecord, info: InfoFile | None, missing: int, around: Surroundings
) -> Standing:
    """Return where a package stands.

    Args:
        record: as saved.
        info: its info file, None while there is none.
        missing: how many of its fragments are not on the disk.
        around: the rest of the world.
    """
    if record.ended:
        return _ended(record)
    if record.state is State.RUNNING:
        return Standing(Readiness.WAITS, "its action runs")
    if around.settings is None or not around.settings.on:
        return Standing(Readiness.WAITS, "deployment is switched off for this computer")
    if record.retry_at is not None and record.retry_at > around.now:
        why = f"{record.problem}; tried again at {_clock(record.retry_at)}"
        return Standing(Readiness.BACKS_OFF, why, record.retry_at)
    if record.needs_info or info is None:
        problem = f", last time: {record.problem}" if record.problem else ""
        return Standing(Readiness.WAITS, f"its info file has to be read{problem}")
    if not can_ever_move(info.priority, around.settings):
        length = around.settings.period_length
        why = f"its priority {info.priority} is above the period's length of {length} cycles"
        return Standing(Readiness.WAITS, why)
    if record.state is State.UNPACKED:
        return _gate(record, info, around)
    return _moving(record, info, missing)


def _ended(record: PackageRecord) -> Standing:
    code = record.result.code if record.result else ""
    why = f"ended with {code}" + (
        "; the server has to be told" if record.state is State.DONE else ""
    )
    return Standing(Readiness.WAITS, why)


def _gate(record: PackageRecord, info: InfoFile, around: Surroundings) -> Standing:
    """What an unpacked package still waits for."""
    if record.act_at is not None and record.act_at > around.now:
        code = record.retry_result.exit_code if record.retry_result else None
        why = f"its action ended with the retry code {code}; next try at {_clock(record.act_at)}"
        return Standing(Readiness.WAITS, why, record.act_at)
    due = scheduled_at(record.offer.schedule, around.to_utc)
    if due is not None and due > around.now:
        return Standing(Readiness.WAITS, f"scheduled for {record.offer.schedule}", due)
    if info.notification is not None and around.somebody_there():
        return Standing(
            Readiness.WAITS,
            "the user has to be asked, which this version cannot; it acts when nobody is logged in",
        )
    return Standing(Readiness.MOVES, "ready to act")


def _moving(record: PackageRecord, info: InfoFile, missing: int) -> Standing:
    if missing and record.state is State.DOWNLOADING:
        why = f"{info.fragments - missing} of {info.fragments} fragments are here"
        return Standing(Readiness.MOVES, f"{why}, priority {info.priority}")
    return Standing(Readiness.MOVES, f"complete, acts at its next turn, priority {info.priority}")


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
