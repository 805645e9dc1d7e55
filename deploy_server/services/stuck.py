"""What has been open for so long that somebody should look: told and silent, or never told.

Looks at the rows of computers; members of groups that were never in contact have none yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, literal, or_, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services.overview import MISSED_CONTACTS
from deploy_server.services.settings import get_setting
from deploy_server.services.status import computer_deployments
from deploy_server.storage.models import Assignment, Computer, Package
from deploy_server.storage.search import within

Perimeter = frozenset[str] | None

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
    found = {}
    for kind in Kind:
        number = session.scalar(
            select(func.count())
            .select_from(Assignment)
            .where(*_conditions(session, kind, now, perimeter))
        )
        if number:
            found[kind] = number
    return found


def stuck_page(
    session: Session,
    kind: Kind,
    *,
    now: datetime,
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 20,
) -> StuckPage:
    """Return the rows behind a count of `stuck_counts`, the oldest first, with their reasons."""
    conditions = _conditions(session, kind, now, perimeter)
    total = session.scalar(select(func.count()).select_from(Assignment).where(*conditions))
    rows = session.execute(
        select(
            Computer.id,
            Computer.name,
            Computer.device_id,
            Package.id,
            Package.name,
            Assignment.status,
            Assignment.since,
            Computer.last_contact,
        )
        .select_from(Assignment)
        .join(Computer, Computer.id == Assignment.computer_id)
        .join(Package, Package.id == Assignment.package_id)
        .where(*conditions)
        .order_by(Assignment.since, Assignment.id)
        .limit(page_size)
        .offset((page - 1) * page_size)
    ).all()
    reasons = _reasons(session, [row[0] for row in rows], now)
    found = tuple(StuckRow(*row, reason=reasons.get((row[0], row[3]), "")) for row in rows)
    return StuckPage(found, total or 0, page, page_size)


def _reasons(
    session: Session, computer_ids: Sequence[int], now: datetime
) -> dict[tuple[int, int], str]:
    return {
        (computer_id, each.package): each.reason
        for computer_id in dict.fromkeys(computer_ids)
        for each in computer_deployments(session, computer_id, now=now)
    }


def _conditions(
    session: Session, kind: Kind, now: datetime, perimeter: Perimeter
) -> list[ColumnElement[bool]]:
    hours = MISSED_CONTACTS * int(get_setting(session, "PROLOG_FREQ").value)
    overdue = now - timedelta(hours=hours)
    silent = or_(Computer.last_contact.is_(None), Computer.last_contact < overdue)
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
    found: list[ColumnElement[bool]] = [
        Assignment.status_class == literal(int(open_class), literal_execute=True),
        Assignment.status_class < literal(int(ResultClass.SUCCESS), literal_execute=True),
        Assignment.since < since,
        Assignment.cleared_at.is_(None),
        contact,
    ]
    inside = within(perimeter)
    if inside:
        found.append(Assignment.computer_id.in_(select(Computer.id).where(*inside)))
    return found
