"""Events arrive: each once, those that are about something here, a few of each attempt."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import BindParameter, Table, bindparam, delete, func, insert, select
from sqlalchemy.orm import Session

from deploy_agent.wire.events import CANCELLED, OVER, PackageEvent
from deploy_agent.wire.terms import PACKAGE_ID_MAX
from deploy_server.services import withdrawing
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.contact.seen import mark_seen
from deploy_server.storage.models import (
    AgentEvent,
    Assignment,
    Computer,
    GroupAssignment,
    Withdrawal,
)
from deploy_server.storage.quick import execute

#: How many events of an attempt are kept, the last ones.
KEPT = 12

Place = tuple[int, int]  # package id, attempt

# Locked, so that two messages of one computer take turns.
_COMPUTER = (
    select(Computer.id)
    .where(Computer.device_id == bindparam("device_id"))
    .with_for_update(key_share=True)
)

# Made once: agents tell two or three times of each package, and to make these costs most of it.
_MINE: BindParameter[int] = bindparam("computer_id")
_ASKED: BindParameter[list[int]] = bindparam("packages", expanding=True)
_OWN = select(Assignment.package_id, Assignment.attempt).where(
    Assignment.computer_id == _MINE, Assignment.package_id.in_(_ASKED)
)
_SHARED = select(GroupAssignment.package_id, GroupAssignment.attempt).where(
    GroupAssignment.package_id.in_(_ASKED)
)
_WITHDRAWN = select(Withdrawal.package_id, Withdrawal.attempt).where(
    Withdrawal.computer_id == _MINE, Withdrawal.package_id.in_(_ASKED)
)
_KNOWN = select(AgentEvent.event_id).where(
    AgentEvent.computer_id == _MINE,
    AgentEvent.event_id.in_(bindparam("event_ids", expanding=True)),
)
_INSERT = insert(cast(Table, AgentEvent.__table__))
_TOO_MANY = (
    select(AgentEvent.package_id, AgentEvent.attempt)
    .where(AgentEvent.computer_id == _MINE, AgentEvent.package_id.in_(_ASKED))
    .group_by(AgentEvent.package_id, AgentEvent.attempt)
    .having(func.count() > KEPT)
)


def take_events(
    session: Session,
    device_id: str,
    events: Sequence[PackageEvent],
    *,
    now: datetime,
    caller: Caller,
) -> list[str]:
    """Keep the events that are about an attempt that the computer has, or had taken back.

    Args:
        session: not committed here.
        device_id: of the computer.
        events: in the order in which they happened.
        now: UTC.
        caller: who sent them.

    Returns:
        The ids of all of them: what is of no use here must not be sent again either.
    """
    accepted = list(dict.fromkeys(each.event_id for each in events))
    computer_id = execute(session, _COMPUTER, {"device_id": device_id}).scalar()
    if computer_id is None:
        caller.note(Activity.UNKNOWN_COMPUTER, f"{len(events)} events")
        return accepted
    mark_seen(session, computer_id, now, caller.user_agent)
    places = _places(events)
    withdrawn = _withdrawn(session, computer_id, places)
    kept = places & (withdrawn | _given(session, computer_id, places))
    fresh = _fresh(session, computer_id, [each for each in events if _place(each) in kept])
    if fresh:
        rows = [_row(computer_id, each, now) for each in fresh]
        session.connection().execute(_INSERT, rows)
        _trim(session, computer_id, {_place(each) for each in fresh})
    for each in fresh:
        if _place(each) in withdrawn:
            _say(session, computer_id, each, now)
    caller.note(Activity.EVENTS, f"{len(events)} sent, {len(fresh)} kept")
    return accepted


def _place(event: PackageEvent) -> Place:
    """Return which package and attempt it is about; -1 stands for none."""
    package = int(event.package)
    known = event.attempt is not None and package <= PACKAGE_ID_MAX
    return (package, event.attempt) if known and event.attempt is not None else (-1, -1)


def _places(events: Iterable[PackageEvent]) -> set[Place]:
    return {_place(each) for each in events} - {(-1, -1)}


def _given(session: Session, computer_id: int, places: set[Place]) -> set[Place]:
    """Return what computer and groups have under way or ended, as far as it is asked for."""
    asked = _asked(computer_id, places)
    shared = {"packages": asked["packages"]}
    rows = [*execute(session, _OWN, asked), *execute(session, _SHARED, shared)]
    return {(row[0], row[1]) for row in rows}


def _withdrawn(session: Session, computer_id: int, places: set[Place]) -> set[Place]:
    rows = execute(session, _WITHDRAWN, _asked(computer_id, places))
    return {(row[0], row[1]) for row in rows} & places


def _asked(computer_id: int, places: set[Place]) -> dict[str, object]:
    return {"computer_id": computer_id, "packages": sorted({package for package, _ in places})}


def _fresh(
    session: Session, computer_id: int, events: Sequence[PackageEvent]
) -> list[PackageEvent]:
    """Return the events that are new, in order; of each attempt no more than are kept.

    What stands before a known one was here before, and has made room for later ones.
    """
    ids = sorted({each.event_id for each in events})
    asked = {"computer_id": computer_id, "event_ids": ids}
    known = set(execute(session, _KNOWN, asked).scalars())
    found: dict[Place, list[PackageEvent]] = {}
    for each in events:
        mine = found.setdefault(_place(each), [])
        if each.event_id in known:
            mine.clear()
        else:
            mine.append(each)
    # Of what is sent twice in one message the last one counts.
    once = {each.event_id: each for mine in found.values() for each in mine[-KEPT:]}
    return list(once.values())


def _row(computer_id: int, event: PackageEvent, now: datetime) -> dict[str, object]:
    package, attempt = _place(event)
    return {
        "computer_id": computer_id,
        "package_id": package,
        "attempt": attempt,
        "event_id": event.event_id,
        "received_at": now,
        "at": event.at,
        "state": event.state,
        "reason": event.reason,
        "done": event.done,
        "total": event.total,
        "exit_code": event.exit_code,
        "output": event.output,
        "truncated": event.truncated,
    }


def _trim(session: Session, computer_id: int, places: set[Place]) -> None:
    """Remove the oldest events of attempts that have more than are kept."""
    mine = AgentEvent.computer_id == computer_id
    for package, attempt in execute(session, _TOO_MANY, _asked(computer_id, places)).all():
        here = (mine, AgentEvent.package_id == package, AgentEvent.attempt == attempt)
        oldest_kept = session.scalar(
            select(AgentEvent.id)
            .where(*here)
            .order_by(AgentEvent.id.desc())
            .offset(KEPT - 1)
            .limit(1)
        )
        session.execute(delete(AgentEvent).where(*here, AgentEvent.id < oldest_kept))


def _say(session: Session, computer_id: int, event: PackageEvent, now: datetime) -> None:
    """Take an event as the agent's word for what was taken back."""
    if event.state == CANCELLED:
        word = withdrawing.STOPPED
    elif event.state in OVER:
        word = withdrawing.FINISHED
    elif event.state in ("RUNNING", "CONFIRMING"):
        word = withdrawing.RUNNING
    else:
        return
    package, attempt = _place(event)
    withdrawing.say(session, computer_id, package, attempt, word, now)
