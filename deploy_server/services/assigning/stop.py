"""Stopping a package: nobody begins it any more who has not begun yet.

Whoever waits is not told; our agents that were told are told to drop it, and say whether they had
begun; OCS's agents cannot be told. Groups lose their assignments, so nobody gets it later either.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services import audit, status, withdrawing
from deploy_server.services.assigning.assign import rowcount
from deploy_server.services.assigning.targets import find_package
from deploy_server.services.assigning.unassign import keep_out
from deploy_server.services.assigning.views import Perimeter
from deploy_server.storage.models import Assignment, Computer, GroupAssignment
from deploy_server.storage.search import within

_OPEN = (ResultClass.WAITING, ResultClass.NOTIFIED)


@dataclass(frozen=True, slots=True)
class Stop:
    """Whom stopping a package reaches.

    Attributes:
        waiting: computers that were not told of it.
        told: computers whose agent was told, and is told to drop it.
        beyond: computers whose agent was told, and cannot be told anything else.
        groups: groups that have it assigned; with tags they keep it for everybody else.
    """

    waiting: int
    told: int
    beyond: int
    groups: int

    @property
    def total(self) -> int:
        """How many computers."""
        return self.waiting + self.told + self.beyond


def preview_stop(
    session: Session, package_id: int, *, now: datetime, perimeter: Perimeter = None
) -> Stop:
    """Return whom `stop` would reach now.

    Raises:
        NotFound: no such package.
    """
    package = find_package(session, str(package_id))
    counts = status.package_status(session, package.id, now=now, perimeter=perimeter).by_class
    notified = select(func.count()).select_from(Assignment)
    told = session.scalar(
        notified.join(Computer, Computer.id == Assignment.computer_id).where(
            *_rows(package.id, perimeter),
            Assignment.status_class == ResultClass.NOTIFIED,
            withdrawing.can_be_told(),
        )
    )
    groups = session.scalar(select(func.count()).where(GroupAssignment.package_id == package.id))
    return Stop(
        waiting=counts[ResultClass.WAITING],
        told=told or 0,
        beyond=counts[ResultClass.NOTIFIED] - (told or 0),
        groups=groups or 0,
    )


def stop(
    session: Session,
    package_id: int,
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> Stop:
    """Take a package back from every computer that has not ended it.

    Args:
        session: not committed here.
        package_id: which.
        actor: who stops it.
        now: UTC.
        perimeter: tags; groups then keep their assignments, for computers outside it.

    Returns:
        Whom it reached.

    Raises:
        NotFound: no such package.
    """
    reached = preview_stop(session, package_id, now=now, perimeter=perimeter)
    shared = GroupAssignment.package_id == package_id
    if perimeter is None:
        session.execute(delete(GroupAssignment).where(shared))
    else:
        mine = and_(Computer.id > 0, *within(perimeter))
        package = find_package(session, str(package_id))
        for given in session.scalars(select(GroupAssignment).where(shared)).all():
            keep_out(session, package, given, mine, now)
    conditions = [*_rows(package_id, perimeter), Assignment.status_class.in_(_OPEN)]
    withdrawing.remember(session, conditions, actor=actor, now=now)
    cleared = session.execute(
        update(Assignment)
        .where(*conditions)
        .values(cleared_at=now)
        .execution_options(synchronize_session=False)
    )
    after = {
        "waiting": reached.waiting,
        "told_to_drop": reached.told,
        "beyond_reach": reached.beyond,
        "groups": reached.groups if perimeter is None else 0,
        "rows": rowcount(cleared),
    }
    audit.record(session, "package.stop", str(package_id), now=now, actor=actor, after=after)
    return reached


def _rows(package_id: int, perimeter: Perimeter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        Assignment.package_id == package_id,
        Assignment.cleared_at.is_(None),
    ]
    inside = within(perimeter)
    if inside:
        found.append(Assignment.computer_id.in_(select(Computer.id).where(*inside)))
    return found
