"""Why packages are not done on computers, and what their results mean: a sentence for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, or_, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.domain.assigning import AgentKind, why_not
from deploy_server.domain.reason import Situation, reason
from deploy_server.domain.settings import Effective
from deploy_server.domain.telling import Told
from deploy_server.services.settings import load_effective
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    Package,
)

Given = Assignment | GroupAssignment

#: An assignment with everything that a page says of it.
AssignedRow = Row[Assignment, Package, Activation, Group | None]

#: What a group has for a computer that has no row of it yet.
PendingRow = Row[GroupAssignment, Package, Activation, Group]


@dataclass(frozen=True, slots=True)
class Known:
    """What every reason of one computer needs.

    Attributes:
        computer: its row.
        groups: the groups it is in, id and name.
        effective: its settings.
        now: UTC.
    """

    computer: Computer
    groups: Mapping[int, str]
    effective: Effective
    now: datetime

    @property
    def contact_every(self) -> timedelta:
        """How often the computer is expected."""
        if AgentKind.of(self.computer.agent) is AgentKind.OURS:
            return timedelta(minutes=self.effective.number("CONTACT_MINUTES"))
        return timedelta(hours=self.effective.number("PROLOG_FREQ"))


def known(session: Session, computer: Computer, now: datetime) -> Known:
    """Return what the reasons of a computer need."""
    groups = groups_of(session, computer.id, now)
    return Known(computer, groups, load_effective(session, computer.id, groups), now)


def why(
    about: Known,
    row: AssignedRow | PendingRow,
    told: Told | None,
    first: tuple[int, str] | None,
) -> str:
    """Return one sentence, without a full stop.

    Args:
        about: the computer.
        row: the package there.
        told: what our agent said last of this attempt, None where it said nothing.
        first: what `goes_first` there.
    """
    given, package, activation, _ = row
    status, _, since = state_of(given)
    situation = Situation(
        status=status,
        since=since,
        priority=package.priority,
        schedule=given.schedule,
        activation=f"A{activation.id}",
        activation_ended=activation.ended_at is not None,
        system_known=about.computer.os_family != "",
        package_os=package.os,
        unsuitable=unsuitable(package, about.computer),
        last_contact=about.computer.last_contact,
        contact_every=about.contact_every,
        deployment_on=about.effective.is_on("DOWNLOAD"),
        inventories_on=about.effective.number("FREQUENCY") != -1,
        period_length=about.effective.number("DOWNLOAD_PERIOD_LENGTH"),
        told=told,
        behind=first[1] if first and package.priority > 0 else "",
        asks_user="notify_text" in package.options,
    )
    return reason(situation, about.now)


def state_of(given: Given) -> tuple[str, ResultClass, datetime]:
    """Return the status, its class, and since when: a member of a group, since that got it."""
    if isinstance(given, Assignment):
        return given.status, ResultClass(given.status_class), given.since
    return WAITING, ResultClass.WAITING, given.assigned_at


def assigned(session: Session, *conditions: ColumnElement[bool]) -> list[AssignedRow]:
    """Return the assignments that count, with their packages, activations and groups."""
    statement = (
        select(Assignment, Package, Activation, Group)
        .join(Package, Package.id == Assignment.package_id)
        .join(Activation, Activation.id == Assignment.activation_id)
        .outerjoin(Group, Group.id == Assignment.group_id)
        .where(Assignment.cleared_at.is_(None), *conditions)
    )
    return list(session.execute(statement))


def pending(session: Session, about: Known) -> list[PendingRow]:
    """Return what a computer's groups have for it that has no row yet, each package once."""
    mine = select(Assignment.package_id).where(Assignment.computer_id == about.computer.id)
    statement = (
        select(GroupAssignment, Package, Activation, Group)
        .join(Package, Package.id == GroupAssignment.package_id)
        .join(Activation, Activation.id == GroupAssignment.activation_id)
        .join(Group, Group.id == GroupAssignment.group_id)
        .where(
            GroupAssignment.group_id.in_(list(about.groups)),
            Package.deleted_at.is_(None),
            Package.id.not_in(mine),
        )
        .order_by(GroupAssignment.id)
    )
    found: dict[int, PendingRow] = {}
    for row in session.execute(statement):
        if unsuitable(row[1], about.computer) is None:
            found.setdefault(row[1].id, row)
    return list(found.values())


def goes_first(rows: Sequence[AssignedRow], computer: Computer) -> tuple[int, str] | None:
    """Return the package with priority 0 that the agent was told of and has not ended.

    One that waits for a time holds nobody back (contract.md 4, Moves).
    """
    for given, package, activation, _ in rows:
        moves = given.status_class == ResultClass.NOTIFIED and not given.schedule
        alive = activation.ended_at is None and unsuitable(package, computer) is None
        if package.priority == 0 and moves and alive:
            return package.id, package.name
    return None


def unsuitable(package: Package, computer: Computer) -> str | None:
    """Return why a package does not suit a computer, None where it does."""
    return why_not(
        package.os,
        package.digest_algorithm,
        package.digest_encoding,
        computer.os_family,
        computer.agent,
    )


def reasons(
    session: Session, package_id: int, computers: Mapping[int, Told | None], *, now: datetime
) -> dict[int, str]:
    """Return the sentence of a package on each of some computers: those of a page.

    Args:
        session: reads only.
        package_id: the package.
        computers: their ids, with what our agent said last of the attempt that counts.
        now: UTC.
    """
    firsts = and_(Package.priority == 0, Assignment.status_class == ResultClass.NOTIFIED)
    matters = or_(Assignment.package_id == package_id, firsts)
    by_computer: dict[int, list[AssignedRow]] = {}
    for row in assigned(session, Assignment.computer_id.in_(list(computers)), matters):
        by_computer.setdefault(row[0].computer_id, []).append(row)
    found = {}
    for computer in session.scalars(select(Computer).where(Computer.id.in_(list(computers)))):
        rows = by_computer.get(computer.id, [])
        about = known(session, computer, now)
        here: list[AssignedRow | PendingRow] = [row for row in rows if row[1].id == package_id]
        here = here or [row for row in pending(session, about) if row[1].id == package_id]
        if here:
            told = computers[computer.id]
            found[computer.id] = why(about, here[0], told, goes_first(rows, computer))
    return found
