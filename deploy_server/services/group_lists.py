"""What the pages of groups list: the groups, what they are given, and who was set by hand."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services import groups
from deploy_server.services.groups import GroupRow, Perimeter
from deploy_server.storage.models import (
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    GroupMember,
    Package,
)
from deploy_server.storage.search import Searcher, search_clause, within
from deploy_server.storage.suitability import suits
from deploy_server.storage.types import fold

#: Computers set by hand that a page shows.
BY_HAND_MAX = 200


@dataclass(frozen=True, slots=True)
class GroupPage:
    """A page of groups.

    Attributes:
        rows: by name.
        total: how many the filter leaves.
        unfiltered: how many there are.
        page: from 1.
        page_size: rows of a full page.
    """

    rows: tuple[GroupRow, ...]
    total: int
    unfiltered: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


@dataclass(frozen=True, slots=True)
class GroupPackage:
    """A package that a group is given, and how far its members are.

    Attributes:
        assignment: to the group.
        package: itself.
        by_class: members inside the perimeter in each class; whom it does not suit is in none.
    """

    assignment: GroupAssignment
    package: Package
    by_class: dict[ResultClass, int]

    @property
    def total(self) -> int:
        """How many members it is for."""
        return sum(self.by_class.values())

    @property
    def waiting(self) -> int:
        """How many members were not told of it yet."""
        return self.by_class[ResultClass.WAITING]

    @property
    def shares(self) -> tuple[tuple[str, int, int], ...]:
        """For each class, as people read them: its name, how many, and how many percent."""
        whole = max(1, self.total)
        return tuple(
            (which.name.lower(), self.by_class[which], round(100 * self.by_class[which] / whole))
            for which in (
                ResultClass.SUCCESS,
                ResultClass.ERROR,
                ResultClass.NOTIFIED,
                ResultClass.WAITING,
            )
        )


@dataclass(frozen=True, slots=True)
class ByHand:
    """A computer that somebody put in or keeps out.

    Attributes:
        computer_id: its row.
        name: or its device id.
        kept_out: else it was put in.
        at: when.
        by: who.
    """

    computer_id: int
    name: str
    kept_out: bool
    at: datetime
    by: str


def group_page(
    session: Session,
    *,
    query: str = "",
    now: datetime,
    perimeter: Perimeter = None,
    visible_only: bool = False,
    page: int = 1,
    page_size: int = 50,
) -> GroupPage:
    """Return a page of groups with their member counts; only those of the page are counted.

    Args:
        session: only reads.
        query: part of a name, description or expression; '' is all groups.
        now: UTC.
        perimeter: tags; members outside are not counted.
        visible_only: leave out those that operators do not see.
        page: from 1.
        page_size: rows of a full page.
    """
    every = groups.group_names(session, visible_only=visible_only)
    wanted = fold(query)
    found = [
        each
        for each in every
        if any(wanted in fold(text) for text in (each.name, each.description, each.expression))
    ]
    page = min(page, max(1, -(-len(found) // page_size)))  # some may have been deleted
    shown = found[(page - 1) * page_size : page * page_size]
    rows = groups.with_members(session, shown, now=now, perimeter=perimeter)
    return GroupPage(tuple(rows), len(found), len(every), page, page_size)


def group_packages(
    session: Session, group_id: int, *, now: datetime, perimeter: Perimeter = None
) -> list[GroupPackage]:
    """Return what the group is given, newest first; every number is that of a search's result."""
    rows = session.execute(
        select(GroupAssignment, Package)
        .join(Package, Package.id == GroupAssignment.package_id)
        .where(GroupAssignment.group_id == group_id, Package.deleted_at.is_(None))
        .order_by(GroupAssignment.assigned_at.desc(), GroupAssignment.id.desc())
    ).all()
    if not rows:
        return []
    members = [Searcher(session, now).groups.by_id([group_id]), *within(perimeter)]
    inside = select(Computer.id).where(*members)
    counts: dict[int, Counter[ResultClass]] = defaultdict(Counter)
    told = session.execute(
        select(Assignment.package_id, Assignment.status_class, func.count())
        .where(
            Assignment.package_id.in_([package.id for _, package in rows]),
            Assignment.cleared_at.is_(None),
            Assignment.computer_id.in_(inside),
        )
        .group_by(Assignment.package_id, Assignment.status_class)
    )
    for package_id, status_class, number in told:
        counts[package_id][ResultClass(status_class)] += number
    for _, package in rows:
        known = select(Assignment.computer_id).where(Assignment.package_id == package.id)
        without_row = (*members, suits(package), Computer.id.not_in(known))
        waiting = session.scalar(select(func.count()).select_from(Computer).where(*without_row))
        counts[package.id][ResultClass.WAITING] += waiting or 0
    return [
        GroupPackage(given, package, {each: counts[package.id][each] for each in ResultClass})
        for given, package in rows
    ]


def set_by_hand(session: Session, group: Group, *, perimeter: Perimeter = None) -> Sequence[ByHand]:
    """Return who is kept out and, of a dynamic group, who was put in; newest first."""
    statement = (
        select(GroupMember, Computer.name, Computer.device_id)
        .join(Computer, Computer.id == GroupMember.computer_id)
        .where(GroupMember.group_id == group.id, *within(perimeter))
        .order_by(GroupMember.added_at.desc(), Computer.name_key, Computer.id)
        .limit(BY_HAND_MAX)
    )
    if group.kind == "static":
        statement = statement.where(GroupMember.kind == "exclude")
    return [
        ByHand(
            computer_id=row.computer_id,
            name=name or device_id,
            kept_out=row.kind == "exclude",
            at=row.added_at,
            by=row.added_by,
        )
        for row, name, device_id in session.execute(statement)
    ]


def kept_out(
    session: Session, group_id: int, device_ids: Collection[str], *, perimeter: Perimeter = None
) -> list[str]:
    """Return the device ids of those, of these, that somebody keeps out of a group by hand."""
    found = session.scalars(
        select(Computer.device_id)
        .join(GroupMember, GroupMember.computer_id == Computer.id)
        .where(GroupMember.group_id == group_id, GroupMember.kind == "exclude", *within(perimeter))
        .order_by(Computer.name_key, Computer.id)
    )
    wanted = set(device_ids)
    return [each for each in found if each in wanted]


def expression_reach(session: Session, expression: str, *, now: datetime) -> int:
    """Return how many computers an expression finds now.

    Raises:
        SearchError: it cannot be read.
    """
    clause = search_clause(session, expression, now)
    return session.scalar(select(func.count()).select_from(Computer).where(clause)) or 0
