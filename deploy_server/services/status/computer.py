"""One computer: its packages with the reason why each is not done yet, and its history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.domain.assigning import AgentKind, why_not
from deploy_server.domain.reason import OVERDUE_AFTER, Situation, reason
from deploy_server.domain.settings import Effective
from deploy_server.domain.telling import Told
from deploy_server.services.events import last_of_computer
from deploy_server.services.settings import load_effective
from deploy_server.services.status.views import Deployment, HistoryRow
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    Package,
    Report,
)

_Given = Assignment | GroupAssignment


@dataclass(frozen=True, slots=True)
class _Known:
    """What every reason of one computer needs."""

    computer: Computer
    effective: Effective
    now: datetime
    told: Mapping[tuple[int, int], Told]
    first: tuple[int, str] | None = None  # the package with priority 0 that is under way

    @property
    def contact_every(self) -> timedelta:
        if AgentKind.of(self.computer.agent) is AgentKind.OURS:
            return timedelta(minutes=self.effective.number("CONTACT_MINUTES"))
        return timedelta(hours=self.effective.number("PROLOG_FREQ"))


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
    effective = load_effective(session, computer_id, groups_of(session, computer_id, now))
    every = _Known(computer, effective, now, {}).contact_every
    last = computer.last_contact
    if last is None:
        return Rhythm(None, every, None, overdue=False)
    return Rhythm(last, every, last + every, now - last > every * OVERDUE_AFTER)


def computer_deployments(session: Session, computer_id: int, *, now: datetime) -> list[Deployment]:
    """Return the packages of a computer, those that are not done first."""
    computer = session.get(Computer, computer_id)
    if computer is None:
        return []
    groups = groups_of(session, computer_id, now)
    effective = load_effective(session, computer_id, groups)
    rows = _rows(session, computer_id)
    told = last_of_computer(session, computer_id)
    known = _Known(computer, effective, now, told, _goes_first(rows, computer))
    found = [_deployment(known, row, row[0].status, row[0].since) for row in rows]
    found += [
        _deployment(known, row, WAITING, row[0].assigned_at)
        for row in _pending(session, computer, list(groups))
    ]
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


def _rows(
    session: Session, computer_id: int
) -> list[Row[Assignment, Package, Activation, Group | None]]:
    statement = (
        select(Assignment, Package, Activation, Group)
        .join(Package, Package.id == Assignment.package_id)
        .join(Activation, Activation.id == Assignment.activation_id)
        .outerjoin(Group, Group.id == Assignment.group_id)
        .where(Assignment.computer_id == computer_id, Assignment.cleared_at.is_(None))
    )
    return list(session.execute(statement))


def _pending(
    session: Session, computer: Computer, group_ids: list[int]
) -> list[Row[GroupAssignment, Package, Activation, Group]]:
    """Return what the computer's groups have for it that has no row yet, each package once."""
    mine = select(Assignment.package_id).where(Assignment.computer_id == computer.id)
    statement = (
        select(GroupAssignment, Package, Activation, Group)
        .join(Package, Package.id == GroupAssignment.package_id)
        .join(Activation, Activation.id == GroupAssignment.activation_id)
        .join(Group, Group.id == GroupAssignment.group_id)
        .where(
            GroupAssignment.group_id.in_(group_ids),
            Package.deleted_at.is_(None),
            Package.id.not_in(mine),
        )
        .order_by(GroupAssignment.id)
    )
    found: dict[int, Row[GroupAssignment, Package, Activation, Group]] = {}
    for row in session.execute(statement):
        if _unsuitable(row[1], computer) is None:
            found.setdefault(row[1].id, row)
    return list(found.values())


def _goes_first(
    rows: Sequence[Row[Assignment, Package, Activation, Group | None]], computer: Computer
) -> tuple[int, str] | None:
    """Return the package with priority 0 that the agent was told of and has not ended.

    One that waits for a time holds nobody back (contract.md 4, Moves).
    """
    for given, package, activation, _ in rows:
        moves = given.status_class == ResultClass.NOTIFIED and not given.schedule
        alive = activation.ended_at is None and _unsuitable(package, computer) is None
        if package.priority == 0 and moves and alive:
            return package.id, package.name
    return None


def _unsuitable(package: Package, computer: Computer) -> str | None:
    return why_not(
        package.os,
        package.digest_algorithm,
        package.digest_encoding,
        computer.os_family,
        computer.agent,
    )


def _deployment(
    known: _Known,
    row: Row[Assignment, Package, Activation, Group | None]
    | Row[GroupAssignment, Package, Activation, Group],
    status: str,
    since: datetime,
) -> Deployment:
    given, package, activation, group = row
    result_class = (
        ResultClass(given.status_class) if isinstance(given, Assignment) else ResultClass.WAITING
    )
    return Deployment(
        package=package.id,
        name=package.name,
        status=status,
        status_class=result_class,
        since=since,
        reason=_reason(known, given, package, activation, status, since),
        activation=f"A{activation.id}",
        group=group.name if group else "",
        attempt=given.attempt,
        force=given.force,
        schedule=given.schedule,
        postcmd=given.postcmd,
        assigned_at=given.assigned_at,
        assigned_by=given.assigned_by,
        told=known.told.get((package.id, given.attempt)),
    )


def _reason(
    known: _Known,
    given: _Given,
    package: Package,
    activation: Activation,
    status: str,
    since: datetime,
) -> str:
    situation = Situation(
        status=status,
        since=since,
        priority=package.priority,
        schedule=given.schedule,
        activation=f"A{activation.id}",
        activation_ended=activation.ended_at is not None,
        system_known=known.computer.os_family != "",
        package_os=package.os,
        unsuitable=_unsuitable(package, known.computer),
        last_contact=known.computer.last_contact,
        contact_every=known.contact_every,
        deployment_on=known.effective.is_on("DOWNLOAD"),
        inventories_on=known.effective.number("FREQUENCY") != -1,
        period_length=known.effective.number("DOWNLOAD_PERIOD_LENGTH"),
        told=known.told.get((package.id, given.attempt)),
        behind=known.first[1] if known.first and package.priority > 0 else "",
        asks_user="notify_text" in package.options,
    )
    return reason(situation, known.now)
