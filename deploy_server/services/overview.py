"""What the first page says: who is in contact, what is under way, what failed and why.

Each count of computers comes with the expression that lists the same computers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from deploy_agent.wire import terms
from deploy_agent.wire.result import ResultClass
from deploy_server.services.computers import count_computers
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import Assignment, Computer, Counter, Package
from deploy_server.storage.types import fold

Perimeter = frozenset[str] | None

#: A computer is overdue when this many contacts in a row did not come.
MISSED_CONTACTS = 3


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of computers, and the expression that finds them."""

    count: int
    expression: str


@dataclass(frozen=True, slots=True)
class Contacts:
    """How the fleet keeps in touch.

    Attributes:
        in_contact: heard of within `hours`.
        overdue: not heard of for longer.
        never: known, and never heard of.
        legacy: whose agent has no way to prove who it is (security.md 3): every one but ours.
        hours: the time that `MISSED_CONTACTS` contacts take.
    """

    in_contact: Counted
    overdue: Counted
    never: Counted
    legacy: Counted
    hours: int


@dataclass(frozen=True, slots=True)
class FailedCode:
    """A result code of failures, and how many computers it stands on."""

    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A package that failed on a computer."""

    computer_id: int
    computer_name: str
    device_id: str
    package_id: int
    package_name: str
    code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class FailurePage:
    """A page of failures, newest first."""

    rows: tuple[Failure, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


def contacts(session: Session, *, now: datetime, perimeter: Perimeter = None) -> Contacts:
    """Return how many computers are in contact, overdue, and were never heard of."""

    def counted(expression: str) -> Counted:
        count = count_computers(session, expression, now=now, perimeter=perimeter)
        return Counted(count, expression)

    hours = MISSED_CONTACTS * int(get_setting(session, "PROLOG_FREQ").value)
    return Contacts(
        in_contact=counted(f"last_contact <= {hours}h"),
        overdue=counted(f"last_contact > {hours}h"),
        never=counted("last_contact is empty"),
        legacy=counted(f'agent is not empty and agent !~ "{terms.OUR_AGENT_MARK}"'),
        hours=hours,
    )


def packages_in_progress(
    session: Session, *, perimeter: Perimeter = None, limit: int = 8
) -> list[int]:
    """Return the packages that computers still have to finish, last built first.

    Finds one open row of each package instead of looking at all of them: those are hundreds of
    thousands where a package waits for a whole fleet.
    """
    open_row = (
        select(Assignment.id)
        .where(
            Assignment.package_id == Package.id,
            Assignment.cleared_at.is_(None),
            Assignment.status_class.in_((ResultClass.WAITING, ResultClass.NOTIFIED)),
            *_inside(perimeter),
        )
        .exists()
    )
    statement = (
        select(Package.id)
        .where(Package.deleted_at.is_(None), open_row)
        .order_by(Package.id.desc())
        .limit(limit)
    )
    return list(session.scalars(statement))


def failures_by_code(
    session: Session, *, since: datetime, perimeter: Perimeter = None
) -> list[FailedCode]:
    """Return the codes of what failed since then, the most frequent first."""
    statement = (
        select(Assignment.status, func.count())
        .where(*_failed(since), *_inside(perimeter))
        .group_by(Assignment.status)
        .order_by(func.count().desc(), Assignment.status)
    )
    return [FailedCode(code, count) for code, count in session.execute(statement)]


def failures(
    session: Session,
    *,
    since: datetime,
    code: str = "",
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 50,
) -> FailurePage:
    """Return what failed since then, with `code` or any: the rows behind `failures_by_code`."""
    conditions = [*_failed(since), *_inside(perimeter)]
    if code:
        conditions.append(Assignment.status == code)
    total = session.scalar(select(func.count()).select_from(Assignment).where(*conditions))
    statement = (
        select(
            Computer.id,
            Computer.name,
            Computer.device_id,
            Package.id,
            Package.name,
            Assignment.status,
            Assignment.since,
        )
        .select_from(Assignment)
        .join(Computer)
        .join(Package, Package.id == Assignment.package_id)
        .where(*conditions)
        .order_by(Assignment.since.desc(), Assignment.id.desc())
        .limit(page_size)
        .offset((page - 1) * page_size)
    )
    rows = tuple(Failure(*row) for row in session.execute(statement))
    return FailurePage(rows, total or 0, page, page_size)


def counters(session: Session, names: Sequence[str]) -> dict[str, Counter]:
    """Return those of the named counters that anything was counted in."""
    rows = session.scalars(select(Counter).where(Counter.name.in_(names), Counter.value > 0))
    return {row.name: row for row in rows}


def _failed(since: datetime) -> list[ColumnElement[bool]]:
    return [
        Assignment.status_class == ResultClass.ERROR,
        Assignment.since >= since,
        Assignment.cleared_at.is_(None),
    ]


def _inside(perimeter: Perimeter) -> list[ColumnElement[bool]]:
    """The condition that the computer carries one of the tags."""
    if perimeter is None:
        return []
    keys = [fold(tag) for tag in perimeter]
    return [Assignment.computer_id.in_(select(Computer.id).where(Computer.tag_key.in_(keys)))]
