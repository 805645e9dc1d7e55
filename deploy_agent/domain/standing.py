"""Where a package stands in this moment, and why it waits, in words. Pure.

The plan asks it whose turn it can be; `status` and the log tell people the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from deploy_agent.domain.plan import Readiness, can_ever_move
from deploy_agent.domain.policy import (
    RETRY_AFTER_MAX_S,
    RETRY_CODE_MAX_S,
    is_pause,
    scheduled_at,
)
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
        asks: it waits for nothing but a user's answer.
    """

    readiness: Readiness
    why: str
    until: datetime | None = None
    asks: bool = False


class Hold(NamedTuple):
    """What keeps every action of a computer back.

    Attributes:
        why: for people.
        brief: it ends by itself, and a question to a user may stand meanwhile.
    """

    why: str
    brief: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a package's standing depends on, beside the package.

    Attributes:
        now: UTC.
        settings: the newest from the server; None before the first contact.
        somebody_there: whether a user is logged in.
        to_utc: turns a naive local time into UTC.
        hold: tells what keeps actions of this computer back, None for nothing.
        asked: id of the package of which a user is being asked, '' for none.
    """

    now: datetime
    settings: DownloadSettings | None
    somebody_there: Callable[[], bool]
    to_utc: Callable[[datetime], datetime]
    hold: Callable[[], Hold | None] = lambda: None
    asked: str = ""


def hold_of(records: Iterable[PackageRecord]) -> Hold | None:
    """Return what keeps actions back on a computer with these packages, None for nothing."""
    for record in records:
        if record.restarts:
            why = f"waits for a restart of the computer, which package {record.package_id} wants"
            return Hold(why, brief=False)
        if record.state is State.CONFIRMING:
            why = f"waits until a user has confirmed the end of package {record.package_id}"
            return Hold(why, brief=False)
        posts = record.post is not None and record.post.waits
        if record.state is State.RUNNING or posts:
            what = "post command" if posts else "action"
            why = f"waits for the end of package {record.package_id}, whose {what} runs"
            return Hold(why, brief=True)
    return None


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
    if record.state is State.CONFIRMING:
        return _confirming(record, around)
    if around.settings is None or not around.settings.on:
        return Standing(Readiness.WAITS, "deployment is switched off for this computer")
    if record.retry_at is not None and is_pause(record.retry_at, around.now, RETRY_AFTER_MAX_S):
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
    why = f"ended with {_code(record)}"
    if record.state is State.DONE:
        why += "; the server has to be told"
    if record.restarts:
        why += "; waits for a restart of the computer"
    return Standing(Readiness.WAITS, why)


def _confirming(record: PackageRecord, around: Surroundings) -> Standing:
    why = f"ended with {_code(record)}, which a user has to confirm"
    again = _asked_again(record, around.now)
    return again or Standing(Readiness.WAITS, why, asks=True)


def _gate(record: PackageRecord, info: InfoFile, around: Surroundings) -> Standing:
    """What an unpacked package still waits for."""
    if record.act_at is not None and is_pause(record.act_at, around.now, RETRY_CODE_MAX_S):
        code = record.retry_result.exit_code if record.retry_result else None
        why = f"its action ended with the retry code {code}; next try at {_clock(record.act_at)}"
        return Standing(Readiness.WAITS, why, record.act_at)
    due = scheduled_at(record.offer.schedule, around.to_utc)
    if due is not None and due > around.now:
        return Standing(Readiness.WAITS, f"scheduled for {record.offer.schedule}", due)
    hold = around.hold()
    if hold is not None:
        asks = hold.brief and around.asked == record.package_id
        return Standing(Readiness.WAITS, hold.why, asks=asks)
    if info.notification is not None and not record.consented:
        return _user(record, around)
    return Standing(Readiness.MOVES, "ready to act")


def _user(record: PackageRecord, around: Surroundings) -> Standing:
    """What a package waits for that may not act without the user's consent."""
    again = _asked_again(record, around.now)
    if again is not None:
        return again
    # While the question stands it does not matter who is there: a log-off is no consent.
    if around.asked == record.package_id or around.somebody_there():
        return Standing(Readiness.WAITS, "waits for a user's answer", asks=True)
    return Standing(Readiness.MOVES, "ready to act, nobody is logged in")


def _moving(record: PackageRecord, info: InfoFile, missing: int) -> Standing:
    if missing and record.state is State.DOWNLOADING:
        why = f"{info.fragments - missing} of {info.fragments} fragments are here"
        return Standing(Readiness.MOVES, f"{why}, priority {info.priority}")
    return Standing(Readiness.MOVES, f"complete, acts at its next turn, priority {info.priority}")


def _code(record: PackageRecord) -> str:
    return record.result.code if record.result else ""


def _asked_again(record: PackageRecord, now: datetime) -> Standing | None:
    """Return that the user is left alone for a while, None where that is over."""
    last = record.answers[-1] if record.answers else None
    # A clock that was put back must not make the while longer than it is.
    if record.ask_at is None or last is None or not last.at <= now < record.ask_at:
        return None
    why = f"{last}; asked again at {_clock(record.ask_at)}"
    return Standing(Readiness.WAITS, why, record.ask_at)


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
