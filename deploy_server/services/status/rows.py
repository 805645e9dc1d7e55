"""The rows that every count and list stands on: assignments, and members of groups without one."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Row, and_, not_, or_, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound
from deploy_server.services.status.views import Perimeter
from deploy_server.storage.models import Assignment, Computer, Group, GroupAssignment, Package
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


def pending_by_group(
    session: Session, package: Package, through: Sequence[Through], now: datetime
) -> list[Clause]:
    """Return, for each group assignment, the condition of the members that wait without a row.

    A computer that is in several of the groups counts for the first one only.
    """
    groups = Searcher(session, now).groups
    rows = select(Assignment.computer_id).where(Assignment.package_id == package.id)
    without_row = and_(Computer.id.not_in(rows), suits(package))
    members = [groups.by_id([group.id]) for _, group in through]
    return [
        and_(without_row, each, not_(or_(*members[:number]))) if number else and_(without_row, each)
        for number, each in enumerate(members)
    ]
