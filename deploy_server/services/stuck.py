"""What has been open for so long that somebody should look: told and silent, or never told.

Members of groups who were not in contact since the group was given its package have no row of it;
they wait as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.services.overview import MISSED_CONTACTS
from deploy_server.services.settings import get_setting
from deploy_server.services.status import computer_deployments
from deploy_server.services.status.rows import through_groups, waiting_members
from deploy_server.storage.models import Assignment, Computer, GroupAssignment, Package
from deploy_server.storage.search import within

Perimeter = frozenset[str] | None
Clause = ColumnElement[bool]
_Part = Select[*tuple[Any, ...]]

#: Told for longer than this, and nothing came back.
PATIENCE = timedelta(days=7)


class Kind(StrEnum):
    """Why something is stuck, for addresses; `SENTENCES` has it for people."""

    OUT_OF_REACH = "out-of-reach"
    LOST = "lost"
    SILENT = "silent"


SENTENCES = {
    Kind.OUT_OF_REACH: "wait for computers that are overdue",
    Kind.LOST: "were told, and their computers are overdue since",
    Kind.SILENT: f"were told over {PATIENCE.days} days ago and say nothing",
}


@dataclass(frozen=True, slots=True)
class StuckRow:
    """A package that is stuck on a computer, with the reason in a sentence."""

    computer_id: int
    computer_name: str
    device_id: str
    package_id: int
    package_name: str
    status: str
    since: datetime
    last_contact: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class StuckPage:
    """A page of them, the oldest first."""

    rows: tuple[StuckRow, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


def stuck_counts(
    session: Session, *, now: datetime, perimeter: Perimeter = None
) -> dict[Kind, int]:
    """Return how many packages on computers are stuck, by why; kinds without any are left out."""
    numbers = {kind: _count(session, _parts(session, kind, now, perimeter)) for kind in Kind}
    return {kind: number for kind, number in numbers.items() if number}


def stuck_page(
    session: Session,
    kind: Kind,
    *,
    now: datetime,
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 20,
    total: int | None = None,
) -> StuckPage:
    """Return the rows behind a count of `stuck_counts`, the oldest first, with their reasons.

    Args:
        session: only reads.
        kind: why they are stuck.
        now: UTC.
        perimeter: tags.
        page: from 1.
        page_size: rows of a full page.
        total: the count, where it is known.
    """
    parts = _parts(session, kind, now, perimeter)
    start = (page - 1) * page_size
    shown = _first_with_row(session, parts, start, page_size)
    if shown is None:
        shown = _between(union_all(*parts) if len(parts) > 1 else parts[0], start, page_size)
    rows = session.execute(_described(shown)).all()
    reasons = _reasons(session, [row[0] for row in rows], now)
    listed = tuple(_row(row, reasons) for row in rows)
    total = _count(session, parts) if total is None else total
    return StuckPage(listed, total, page, page_size)


def _between(statement: Any, start: int, size: int) -> Subquery:
    # Sorted in the index; what a row shows is read for those of the page alone.
    found = statement.subquery()
    order = found.c.since, found.c.computer_id, found.c.row_id, found.c.given_id
    return select(found).order_by(*order).limit(size).offset(start).subquery()


def _first_with_row(
    session: Session, parts: Sequence[_Part], start: int, size: int
) -> Subquery | None:
    """Return the page where it ends before any group was given anything, else None.

    Members without a row stand in the list at the moment of their group's assignment, and finding
    them is most of what a page costs.
    """
    if len(parts) == 1:
        return None
    earliest = session.scalar(select(func.min(GroupAssignment.assigned_at)))
    with_row = _between(parts[0], start, size)
    number, latest = session.execute(select(func.count(), func.max(with_row.c.since))).one()
    return with_row if earliest and number == size and latest < earliest else None


def _row(row: Any, reasons: Mapping[tuple[int, int], str]) -> StuckRow:
    values = row._asdict()
    place = values["computer_id"], values["package_id"]
    return StuckRow(**values, reason=reasons.get(place, ""))


def _described(shown: Subquery) -> Select[*tuple[Any, ...]]:
    row, given = shown.c.row_id, shown.c.given_id
    package_id = func.coalesce(Assignment.package_id, GroupAssignment.package_id)
    return (
        select(
            Computer.id.label("computer_id"),
            Computer.name.label("computer_name"),
            Computer.device_id,
            Package.id.label("package_id"),
            Package.name.label("package_name"),
            func.coalesce(Assignment.status, WAITING).label("status"),
            shown.c.since,
            Computer.last_contact,
        )
        .join_from(shown, Computer, Computer.id == shown.c.computer_id)
        .outerjoin(Assignment, Assignment.id == row)
        .outerjoin(GroupAssignment, GroupAssignment.id == given)
        .join(Package, Package.id == package_id)
        .order_by(shown.c.since, Computer.id, row, given)
    )


def _count(session: Session, parts: Sequence[_Part]) -> int:
    counted = (select(func.count()).select_from(each.subquery()) for each in parts)
    return sum(session.scalar(each) or 0 for each in counted)


def _reasons(
    session: Session, computer_ids: Sequence[int], now: datetime
) -> dict[tuple[int, int], str]:
    return {
        (computer_id, each.package): each.reason
        for computer_id in dict.fromkeys(computer_ids)
        for each in computer_deployments(session, computer_id, now=now)
    }


def _parts(session: Session, kind: Kind, now: datetime, perimeter: Perimeter) -> list[_Part]:
    """Return what is stuck: since, computer_id, and one of row_id and given_id."""
    hours = MISSED_CONTACTS * int(get_setting(session, "PROLOG_FREQ").value)
    overdue = now - timedelta(hours=hours)
    silent = or_(Computer.last_contact.is_(None), Computer.last_contact < overdue)
    parts = [_with_row(kind, now, overdue, silent, within(perimeter))]
    if kind is Kind.OUT_OF_REACH:
        parts += _without_row(session, now, overdue, [silent, *within(perimeter)])
    return parts


def _with_row(
    kind: Kind, now: datetime, overdue: datetime, silent: Clause, inside: Sequence[Clause]
) -> _Part:
    # Sets of computers that every row is looked up in: joined, each row would cost a computer.
    unheard = select(Computer.id).where(silent)
    open_class, since, contact = {
        Kind.OUT_OF_REACH: (ResultClass.WAITING, overdue, Assignment.computer_id.in_(unheard)),
        Kind.LOST: (ResultClass.NOTIFIED, overdue, Assignment.computer_id.in_(unheard)),
        Kind.SILENT: (
            ResultClass.NOTIFIED,
            now - PATIENCE,
            Assignment.computer_id.not_in(unheard),
        ),
    }[kind]
    found = select(
        Assignment.since,
        Assignment.computer_id,
        Assignment.id.label("row_id"),
        cast(null(), Integer).label("given_id"),
    ).where(
        Assignment.status_class == literal(int(open_class), literal_execute=True),
        Assignment.status_class < literal(int(ResultClass.SUCCESS), literal_execute=True),
        Assignment.since < since,
        Assignment.cleared_at.is_(None),
        contact,
    )
    if not inside:
        return found
    return found.where(Assignment.computer_id.in_(select(Computer.id).where(*inside)))


def _without_row(
    session: Session, now: datetime, overdue: datetime, conditions: Sequence[Clause]
) -> list[_Part]:
    """Return the members of groups who should have heard of a package and have no row of it."""
    given = select(GroupAssignment.package_id).where(GroupAssignment.assigned_at < overdue)
    packages = session.scalars(
        select(Package).where(Package.id.in_(given), Package.deleted_at.is_(None))
    ).all()
    through = through_groups(session, [each.id for each in packages])
    members = [
        waiting_members(session, package, through[package.id], now, *conditions)
        for package in packages
    ]
    return [
        select(
            GroupAssignment.assigned_at.label("since"),
            each.c.computer_id,
            cast(null(), BigInteger).label("row_id"),
            each.c.given_id,
        )
        .join_from(each, GroupAssignment, GroupAssignment.id == each.c.given_id)
        .where(GroupAssignment.assigned_at < overdue)
        for each in members
    ]
