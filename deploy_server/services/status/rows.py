"""The rows that every count and list stands on: assignments, and members of groups without one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound
from deploy_server.services.status.views import Perimeter
from deploy_server.storage.models import (
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    GroupMember,
    Package,
)
from deploy_server.storage.search import Searcher, within
from deploy_server.storage.suitability import suits

Clause = ColumnElement[bool]


def find_package(session: Session, package_id: int) -> Package:
    """Return a package, deleted ones too.

    Raises:
        NotFound: no such package.
    """
    package = session.get(Package, package_id)
    if package is None:
        raise NotFound(f"there is no package {package_id}", "Find it: deploy-server package list")
    return package


def counted(package_ids: Sequence[int], perimeter: Perimeter) -> list[Clause]:
    """Return the conditions of the assignments that count."""
    conditions: list[Clause] = [
        Assignment.package_id.in_(package_ids),
        Assignment.cleared_at.is_(None),
    ]
    inside = within(perimeter)
    if inside:
        conditions.append(Assignment.computer_id.in_(select(Computer.id).where(*inside)))
    return conditions


Through = Row[GroupAssignment, Group]


def through_groups(session: Session, package_ids: Sequence[int]) -> dict[int, list[Through]]:
    """Return the group assignments of packages, oldest first."""
    rows = session.execute(
        select(GroupAssignment, Group)
        .join(Group, Group.id == GroupAssignment.group_id)
        .where(GroupAssignment.package_id.in_(package_ids))
        .order_by(GroupAssignment.id)
    ).all()
    found: dict[int, list[Through]] = {}
    for row in rows:
        found.setdefault(row[0].package_id, []).append(row)
    return found


def waiting_members(
    session: Session,
    package: Package,
    through: Sequence[Through],
    now: datetime,
    *conditions: Clause,
) -> Subquery:
    """Return the members of groups that wait for the package and have no row.

    Columns: `computer_id`, and `given_id` of the group assignment. A computer that is in several of
    the groups counts for the first one only. One statement, however many groups there are.

    Args:
        session: reads the groups.
        package: is not deleted.
        through: its group assignments, oldest first.
        now: what durations count from.
        conditions: over Computer.
    """
    row = and_(Assignment.computer_id == Computer.id, Assignment.package_id == package.id)
    # First, and by itself: mostly it leaves few to be looked up in groups, which costs more.
    # Joined, because SQLite takes twice as long for NOT EXISTS.
    without = (
        select(Computer.id)
        .outerjoin(Assignment, row)
        .where(Assignment.computer_id.is_(None), suits(package), *conditions)
        .cte("without_row", nesting=True)
        .prefix_with("MATERIALIZED")
    )
    statement, given = _given(session, through, now)
    return statement.join(without, without.c.id == Computer.id).where(given.is_not(None)).subquery()


def _given(
    session: Session, through: Sequence[Through], now: datetime
) -> tuple[Select[*tuple[Any, ...]], ColumnElement[int | None]]:
    """Return a SELECT of computers with the first group assignment of each, and that column."""
    groups = Searcher(session, now, counting=True).groups
    static = _first_static([given.id for given, group in through if group.kind == "static"])
    first: ColumnElement[Any] = static.c.given_id
    dynamic = [
        (and_(or_(first.is_(None), first > given.id), groups.by_id([group.id])), literal(given.id))
        for given, group in through
        if group.kind == "dynamic"
    ]
    if dynamic:
        first = case(*dynamic, else_=first)
    statement = select(Computer.id.label("computer_id"), first.label("given_id")).join(
        static, static.c.computer_id == Computer.id, isouter=bool(dynamic)
    )
    return statement, first


def _first_static(given_ids: Sequence[int]) -> Subquery:
    return (
        select(GroupMember.computer_id, func.min(GroupAssignment.id).label("given_id"))
        .join(GroupAssignment, GroupAssignment.group_id == GroupMember.group_id)
        .where(GroupAssignment.id.in_(given_ids), GroupMember.kind == "include")
        .group_by(GroupMember.computer_id)
        .subquery()
    )
