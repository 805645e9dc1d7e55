"""The way back from clearing: rows that were cleared at one moment count and are offered again.

Only where that is the whole truth: those who waited were told nothing, so they wait again with the
options and the attempt that they had; those who succeeded are counted again. Whoever was told of
the package is not brought back, because its agent may have dropped it, or reported meanwhile.
"""

from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import Conflict
from deploy_server.services import audit
from deploy_server.services.assigning.assign import rowcount
from deploy_server.services.assigning.targets import find_package
from deploy_server.services.assigning.views import Perimeter
from deploy_server.storage.models import Activation, Assignment, Computer, GroupAssignment
from deploy_server.storage.search import within

Cleared = Literal["waiting", "success"]


def bring_back(
    session: Session,
    package_id: int,
    cleared_at: datetime,
    what: Cleared,
    *,
    rows: int,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Take back that rows of a package were cleared at `cleared_at`.

    What came through a group that has lost the package since, or through an activation that has
    ended, does not wait again.

    Args:
        session: not committed here.
        package_id: of which package.
        cleared_at: to the second.
        what: rows that waited, or rows that succeeded.
        rows: how many that cleared; more of that second are of something else that was done.
        actor: who does it.
        now: UTC.
        perimeter: tags.

    Returns:
        On how many computers.

    Raises:
        NotFound: no such package.
        Conflict: nothing of it is left to bring back, or it cannot be told from something else.
    """
    find_package(session, str(package_id))
    cleared = _cleared(package_id, cleared_at, what, perimeter)
    there = session.scalar(select(func.count()).select_from(Assignment).where(*cleared)) or 0
    if there > rows:
        raise Conflict(
            "that cannot be brought back by itself: more than that was taken back from this"
            " package in the same second",
            "Deploy the package again to those that shall have it",
        )
    changed = rowcount(
        session.execute(
            update(Assignment)
            .where(*cleared, *_offered(what))
            .values(cleared_at=None)
            .execution_options(synchronize_session=False)
        )
    )
    if not changed:
        raise Conflict(
            "nothing of that can be brought back: it was deployed again meanwhile, or deactivated",
            "Look at the package's results",
        )
    after = {"what": what, "cleared_at": cleared_at, "computers": changed}
    audit.record(session, "package.bring_back", str(package_id), now=now, actor=actor, after=after)
    return changed


def _cleared(
    package_id: int, cleared_at: datetime, what: Cleared, perimeter: Perimeter
) -> list[ColumnElement[bool]]:
    """Return the conditions of what was cleared, and was not given anew since."""
    conditions: list[ColumnElement[bool]] = [
        Assignment.package_id == package_id,
        Assignment.cleared_at == cleared_at,
        Assignment.status_class == ResultClass[what.upper()],
    ]
    if inside := within(perimeter):
        mine = select(Computer.id).where(*inside)
        conditions.append(Assignment.computer_id.in_(mine))
    return conditions


def _offered(what: Cleared) -> list[ColumnElement[bool]]:
    """Return the conditions of what can wait again."""
    if what != "waiting":
        return []
    alive = select(Activation.id).where(Activation.ended_at.is_(None))
    shared = exists().where(
        and_(
            GroupAssignment.group_id == Assignment.group_id,
            GroupAssignment.package_id == Assignment.package_id,
        )
    )
    return [Assignment.activation_id.in_(alive), or_(Assignment.group_id.is_(None), shared)]
