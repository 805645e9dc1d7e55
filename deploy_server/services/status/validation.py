"""Clearing what is settled out of the counters; nothing here touches history."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Select, Subquery, insert, literal, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.services import audit
from deploy_server.services.status.rows import (
    counted,
    find_package,
    through_groups,
    waiting_members,
)
from deploy_server.services.status.views import Perimeter, Validation
from deploy_server.storage.models import Assignment, GroupAssignment
from deploy_server.storage.search import within
from deploy_server.storage.types import Key, UtcDateTime

_CLASSES = {
    "success": (ResultClass.SUCCESS,),
    "not_notified": (ResultClass.WAITING,),
    "all": tuple(ResultClass),
}


def validate(
    session: Session,
    package_id: int,
    what: Validation,
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Clear rows that succeeded, withdraw those that wait, or clear every row.

    What is cleared stays in history and is not offered again through a group: its row stays, with
    the time at which it was cleared. Members of groups that wait without a row get such a row.

    Returns:
        How many computers.

    Raises:
        NotFound: no such package.
    """
    find_package(session, package_id)
    classes = _CLASSES[what]
    number = 0
    if ResultClass.WAITING in classes:
        number += _keep_from_groups(session, package_id, now, perimeter)
    cleared = session.execute(
        update(Assignment)
        .where(*counted([package_id], perimeter), Assignment.status_class.in_(classes))
        .values(cleared_at=now)
        .execution_options(synchronize_session=False)
    )
    number += _rowcount(cleared)
    after = {"what": what, "cleared": number}
    target = str(package_id)
    audit.record(session, "package.validate", target, now=now, actor=actor, after=after)
    return number


def _keep_from_groups(
    session: Session, package_id: int, now: datetime, perimeter: Perimeter
) -> int:
    """Make cleared rows for members of groups that wait without a row."""
    package = find_package(session, package_id)
    through = through_groups(session, [package_id]).get(package_id, [])
    if package.deleted_at is not None or not through:
        return 0
    found = waiting_members(session, package, through, now, *within(perimeter))
    members = _cleared_members(found, now)
    made = session.execute(
        insert(Assignment.__table__).from_select(  # type: ignore[arg-type]
            [each.name for each in members.selected_columns], members
        ),
        execution_options={"preserve_rowcount": True},
    )
    return _rowcount(made)


def _cleared_members(members: Subquery, now: datetime) -> Select[*tuple[Any, ...]]:
    given = GroupAssignment
    values: dict[str, Any] = {
        "package_id": given.package_id,
        "activation_id": given.activation_id,
        "group_id": given.group_id,
        "attempt": given.attempt,
        "status": literal(WAITING, Key()),
        "status_class": literal(int(ResultClass.WAITING)),
        "since": given.assigned_at,
        "force": given.force,
        "schedule": given.schedule,
        "postcmd": given.postcmd,
        "assigned_at": given.assigned_at,
        "assigned_by": given.assigned_by,
        "cleared_at": literal(now, UtcDateTime()),
    }
    columns = [value.label(name) for name, value in values.items()]
    return select(members.c.computer_id.label("computer_id"), *columns).join_from(
        members, given, given.id == members.c.given_id
    )


def _rowcount(result: Any) -> int:
    return cast("CursorResult[Any]", result).rowcount
