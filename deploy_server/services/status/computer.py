"""One computer: its packages with the reason why each is not done yet, and its history."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.reason import OVERDUE_AFTER
from deploy_server.domain.telling import Told
from deploy_server.services.events import last_of_computer
from deploy_server.services.status import reasons
from deploy_server.services.status.views import Deployment, HistoryRow
from deploy_server.storage.models import Assignment, Computer, Report


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a computer makes contact.

    Attributes:
        last: its last contact, None for never.
        every: how often it is expected.
        due: when the next one is expected, None where it never made any.
        overdue: several did not come.
    """

    last: datetime | None
    every: timedelta
    due: datetime | None
    overdue: bool


def contact_rhythm(session: Session, computer_id: int, *, now: datetime) -> Rhythm | None:
    """Return when a computer makes contact; None where there is no such computer."""
    computer = session.get(Computer, computer_id)
    if computer is None:
        return None
    every = reasons.known(session, computer, now).contact_every
    last = computer.last_contact
    if last is None:
        return Rhythm(None, every, None, overdue=False)
    return Rhythm(last, every, last + every, now - last > every * OVERDUE_AFTER)


def computer_deployments(session: Session, computer_id: int, *, now: datetime) -> list[Deployment]:
    """Return the packages of a computer, those that are not done first."""
    computer = session.get(Computer, computer_id)
    if computer is None:
        return []
    about = reasons.known(session, computer, now)
    rows = reasons.assigned(session, Assignment.computer_id == computer_id)
    first = reasons.goes_first(rows, computer)
    told = last_of_computer(session, computer_id)
    found = []
    here: list[reasons.AssignedRow | reasons.PendingRow] = [*rows]
    here += reasons.pending(session, about)
    for row in here:
        word = told.get((row[1].id, row[0].attempt))
        found.append(_deployment(row, reasons.why(about, row, word, first), word))
    # Not done before done; among each, what changed last comes first.
    found.sort(key=lambda each: each.since, reverse=True)
    return sorted(found, key=lambda each: each.status_class >= ResultClass.SUCCESS)


def computer_history(session: Session, device_id: str, *, limit: int = 200) -> list[HistoryRow]:
    """Return the results of a computer that arrived, newest first."""
    rows = session.scalars(
        select(Report).where(Report.device_id == device_id).order_by(Report.id.desc()).limit(limit)
    )
    return [
        HistoryRow(
            at=row.at,
            package=row.package_id,
            package_name=row.package_name,
            device_id=row.device_id,
            computer_name=row.computer_name,
            code=row.code,
            result_class=ResultClass(row.result_class),
            attempt=row.attempt,
            counted=row.counted,
            note=row.note,
        )
        for row in rows
    ]


def _deployment(
    row: reasons.AssignedRow | reasons.PendingRow, sentence: str, told: Told | None
) -> Deployment:
    given, package, activation, group = row
    code, result_class, since = reasons.state_of(given)
    return Deployment(
        package=package.id,
        name=package.name,
        status=code,
        status_class=result_class,
        since=since,
        reason=sentence,
        activation=f"A{activation.id}",
        group=group.name if group else "",
        attempt=given.attempt,
        force=given.force,
        schedule=given.schedule,
        postcmd=given.postcmd,
        assigned_at=given.assigned_at,
        assigned_by=given.assigned_by,
        told=told,
    )
