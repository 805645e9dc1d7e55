"""The packages a computer is offered at a contact, and the rows that say so.

Rows of the computer itself come first. A package of a group gets a row of the computer at the first
contact (DOWNLOAD_GROUPS_TRACE_EVENTS), or is offered under the group's own attempt without one.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.replies import PackageOffer
from deploy_agent.wire.result import NOTIFIED, SUCCESS_ALREADY_IN_HISTORY, ResultClass
from deploy_server.domain.offering import Decision, Device, decide, offer
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.contact.candidates import Item, hold_shared, own_items, shared_items
from deploy_server.storage.allocation import allocate
from deploy_server.storage.models import Assignment, Package, Report
from deploy_server.storage.quick import Prepared

# Of the package as it is when the row is written.
_REVISION = select(Package.revision).where(Package.id == Assignment.package_id).scalar_subquery()
_ROW = update(Assignment).where(Assignment.id == bindparam("row"))
_NOTIFY = Prepared(
    _ROW.values(
        status=NOTIFIED,
        status_class=int(ResultClass.NOTIFIED),
        since=bindparam("at"),
        notified_at=bindparam("at"),
        offered_revision=_REVISION,
    )
)
_AGAIN = Prepared(_ROW.values(offered_revision=_REVISION))


class MustWrite(Exception):
    """A contact that was only to be looked at changes something."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A computer that is in contact now.

    Attributes:
        computer_id: its row.
        name: for the history of results.
        device: what offers depend on.
        groups: the ids of its groups; None where groups are switched off.
        traced: packages of groups get rows.
        now: UTC.
        caller: for the activity log.
        may_write: whether rows may be changed; where they must be and may not, it is `MustWrite`.
    """

    computer_id: int
    name: str
    device: Device
    groups: Collection[int] | None
    traced: bool
    now: datetime
    caller: Caller
    may_write: bool

    def writes(self) -> None:
        """Return where rows may be changed.

        Raises:
            MustWrite: they may not.
        """
        if not self.may_write:
            raise MustWrite


def collect_offers(session: Session, contact: Contact) -> tuple[PackageOffer, ...]:
    """Return what the computer is offered; what it is told for the first time is NOTIFIED.

    Raises:
        MustWrite: this changes rows, and may not; nothing was changed and nothing noted.
    """
    if contact.may_write and contact.groups:
        hold_shared(session, contact.groups)
    items = own_items(session, contact.computer_id, may_write=contact.may_write)
    own = _withdraw(session, contact, items)
    shared = []
    if contact.groups:
        shared = shared_items(session, contact.computer_id, contact.groups)
    history = _history(contact, [*own, *shared])
    decided = {
        item.candidate.package_id: decide(item.candidate, contact.device, history)
        for item in [*own, *shared]
    }
    offered = _of(own, decided, Decision.OFFER)
    _settle(session, contact, _of(own, decided, Decision.IN_HISTORY))
    _notify(session, contact, offered)
    if contact.traced:
        offered += _trace(session, contact, shared, decided)
    else:
        offered += _untraced(session, contact, _of(shared, decided, Decision.OFFER))
    return tuple(offer(item.candidate, contact.device) for item in offered)


def _of(items: Iterable[Item], decided: dict[int, Decision], wanted: Decision) -> list[Item]:
    return [item for item in items if decided[item.candidate.package_id] is wanted]


def _withdraw(session: Session, contact: Contact, items: list[Item]) -> list[Item]:
    """Remove rows of groups that the computer has left before it was told of them."""
    if contact.groups is None:
        return items
    left = [
        item
        for item in items
        if item.is_waiting and item.group_id is not None and item.group_id not in contact.groups
    ]
    if not left:
        return items
    contact.writes()
    session.execute(delete(Assignment).where(Assignment.id.in_([item.row_id for item in left])))
    for item in left:
        contact.caller.note(Activity.WITHDRAWN, f"{item.candidate.package_id} left the group")
    return [item for item in items if item not in left]


def _history(contact: Contact, items: list[Item]) -> frozenset[int]:
    """Return which of the packages the agent's history has; our agents are not asked."""
    if contact.device.is_ours:
        return frozenset()
    known = (item.candidate for item in items if item.in_history)
    return frozenset(each.package_id for each in known if not each.force)


def _settle(session: Session, contact: Contact, items: list[Item]) -> None:
    """End rows whose package is in the agent's history, as OCS's server does."""
    if not items:
        return
    contact.writes()
    session.execute(
        update(Assignment)
        .where(Assignment.id.in_([item.row_id for item in items]))
        .values(
            status=SUCCESS_ALREADY_IN_HISTORY, status_class=ResultClass.SUCCESS, since=contact.now
        )
    )
    _report(session, contact, items)


def _report(session: Session, contact: Contact, items: list[Item]) -> None:
    rows = [
        {
            "at": contact.now,
            "device_id": contact.caller.device_id,
            "computer_name": contact.name,
            "package_id": item.candidate.package_id,
            "package_name": item.package_name,
            "revision": item.candidate.revision,
            "attempt": item.candidate.attempt,
            "code": SUCCESS_ALREADY_IN_HISTORY,
            "result_class": ResultClass.SUCCESS,
            "assigned_by": item.assigned_by,
            "assigned_at": item.assigned_at,
            "note": "written by the server: the agent's history has it",
        }
        for item in items
    ]
    session.execute(insert(Report), rows)
    for item in items:
        contact.caller.note(Activity.IN_HISTORY, str(item.candidate.package_id))


def _notify(session: Session, contact: Contact, items: list[Item]) -> None:
    """Write down that the computer is told, and of which revision."""
    new = [item for item in items if item.is_waiting]
    again = [
        item.row_id
        for item in items
        if not item.is_waiting and item.offered_revision != item.candidate.revision
    ]
    if not new and not again:
        return
    contact.writes()
    for item in new:
        _NOTIFY.run(session, {"row": item.row_id, "at": contact.now})
    for row_id in again:
        _AGAIN.run(session, {"row": row_id})
    for item in new:
        contact.caller.note(Activity.OFFERED, str(item.candidate.package_id))


def _trace(
    session: Session, contact: Contact, items: list[Item], decided: dict[int, Decision]
) -> list[Item]:
    """Give packages of groups their rows; returns those that are offered."""
    offered = _of(items, decided, Decision.OFFER)
    in_history = _of(items, decided, Decision.IN_HISTORY)
    if not offered and not in_history:
        return []
    contact.writes()
    attempt = allocate(session, "attempt", int(contact.now.timestamp()))
    offered = [_with_attempt(item, attempt) for item in offered]
    in_history = [_with_attempt(item, attempt) for item in in_history]
    for item in offered:
        _write(session, contact, item, NOTIFIED, ResultClass.NOTIFIED)
        contact.caller.note(Activity.OFFERED, str(item.candidate.package_id))
    for item in in_history:
        _write(session, contact, item, SUCCESS_ALREADY_IN_HISTORY, ResultClass.SUCCESS)
    if in_history:
        _report(session, contact, in_history)
    return offered


def _with_attempt(item: Item, attempt: int | None) -> Item:
    return replace(item, candidate=replace(item.candidate, attempt=attempt))


def _write(
    session: Session, contact: Contact, item: Item, status: str, status_class: ResultClass
) -> None:
    values: dict[str, Any] = {
        "activation_id": item.activation_id,
        "group_id": item.group_id,
        "attempt": item.candidate.attempt,
        "status": status,
        "status_class": status_class,
        "since": contact.now,
        "force": item.candidate.force,
        "schedule": item.candidate.schedule,
        "postcmd": item.candidate.postcmd,
        "assigned_at": item.assigned_at,
        "assigned_by": item.assigned_by,
        "notified_at": contact.now if status == NOTIFIED else None,
        "offered_revision": item.candidate.revision,
        "cleared_at": None,
    }
    if item.row_id is not None:
        session.execute(update(Assignment).where(Assignment.id == item.row_id).values(values))
        return
    # Somebody who assigns it to this computer at this moment wins; the face tries again.
    place = {"computer_id": contact.computer_id, "package_id": item.candidate.package_id}
    session.execute(insert(Assignment).values(values | place))


def _untraced(session: Session, contact: Contact, items: list[Item]) -> list[Item]:
    """Return the packages of groups without those that ended under this assignment already."""
    if not items:
        return []
    ended = session.execute(
        select(Report.package_id, func.max(Report.at))
        .where(
            Report.device_id == contact.caller.device_id,
            Report.package_id.in_([item.candidate.package_id for item in items]),
        )
        .group_by(Report.package_id)
    )
    last: dict[int, datetime] = {row[0]: row[1] for row in ended}
    return [
        _with_attempt(item, item.group_attempt)
        for item in items
        if item.candidate.package_id not in last
        or last[item.candidate.package_id] < item.assigned_at
    ]
