"""What may be offered to a computer: its own open rows, and what its groups have."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import NOTIFIED, WAITING, ResultClass
from deploy_server.domain.assigning import starts_again
from deploy_server.domain.offering import Candidate
from deploy_server.storage.models import (
    Activation,
    Assignment,
    DownloadHistory,
    GroupAssignment,
    Package,
)
from deploy_server.storage.quick import Locking, execute


@dataclass(frozen=True, slots=True)
class Item:
    """A candidate with where it comes from.

    Attributes:
        candidate: the package.
        package_name: for the history of results.
        row_id: of its assignment; None where there is none yet.
        is_waiting: nobody was told of it under this attempt.
        offered_revision: of the package when it was last offered.
        group_id: the group it comes from, None for an assignment to the computer.
        activation_id: which activation.
        group_attempt: of the group's assignment, None for an assignment to the computer.
        assigned_at: when.
        assigned_by: by whom.
        in_history: the agent's own history has it.
    """

    candidate: Candidate
    package_name: str
    row_id: int | None
    is_waiting: bool
    offered_revision: int | None
    group_id: int | None
    activation_id: int
    group_attempt: int | None
    assigned_at: datetime
    assigned_by: str
    in_history: bool


_IN_HISTORY = (
    exists()
    .where(
        DownloadHistory.computer_id == bindparam("computer"),
        DownloadHistory.package_id == Package.id,
    )
    .correlate(Package)
    .label("in_history")
)


def _columns(source: type[Assignment] | type[GroupAssignment]) -> list[Any]:
    return [
        Package.id.label("package_id"),
        Package.name.label("package_name"),
        Package.os,
        Package.digest_algorithm,
        Package.digest_encoding,
        Package.revision,
        Activation.info_url,
        Activation.fragment_url,
        source.attempt,
        source.force,
        source.schedule,
        source.postcmd,
        source.group_id,
        source.activation_id,
        source.assigned_at,
        source.assigned_by,
        _IN_HISTORY,
    ]


def _select(source: type[Assignment] | type[GroupAssignment], *more: Any) -> Select[Any]:
    return (
        select(*_columns(source), *more)
        .select_from(source)
        .join(Package, Package.id == source.package_id)
        .join(Activation, Activation.id == source.activation_id)
        .where(Package.deleted_at.is_(None), Activation.ended_at.is_(None))
    )


_OWN = Locking(
    _select(
        Assignment, Assignment.id.label("row_id"), Assignment.status, Assignment.offered_revision
    )
    .where(
        Assignment.computer_id == bindparam("computer"),
        Assignment.cleared_at.is_(None),
        or_(
            Assignment.status_class == ResultClass.WAITING,
            Assignment.status_class == ResultClass.NOTIFIED,
        ),
        or_(Assignment.status == WAITING, Assignment.status == NOTIFIED),
    )
    .order_by(Package.priority, Package.id),
    # A new assignment at this moment is seen before or after, never half.
    Assignment,
)
_SHARED = (
    _select(
        GroupAssignment,
        Assignment.id.label("row_id"),
        Assignment.attempt.label("row_attempt"),
        Assignment.status_class.label("row_class"),
        Assignment.offered_revision,
        Assignment.cleared_at,
    )
    .outerjoin(
        Assignment,
        and_(
            Assignment.package_id == GroupAssignment.package_id,
            Assignment.computer_id == bindparam("computer"),
        ),
    )
    .where(GroupAssignment.group_id.in_(bindparam("groups", expanding=True)))
    .order_by(GroupAssignment.assigned_at, GroupAssignment.id)
)


# Their keys: what refers to them waits for nobody, and who takes them away waits for this.
_HELD = (
    select(GroupAssignment.id)
    .where(GroupAssignment.group_id.in_(bindparam("groups", expanding=True)))
    .order_by(GroupAssignment.id)
    .with_for_update(read=True, key_share=True)
)


def hold_shared(session: Session, groups: Collection[int]) -> None:
    """Let nobody take away what groups have before this contact is over.

    Whoever stops a package would not meet the row that this contact writes for it, and the computer
    would be told of what was stopped. Comes before the computer's own rows, as it does there.
    """
    execute(session, _HELD, {"groups": sorted(groups)})


def own_items(session: Session, computer_id: int, *, may_write: bool) -> list[Item]:
    """Return the computer's rows that are not done, in the order of offers.

    Args:
        session: reads only.
        computer_id: whose.
        may_write: the rows are about to be changed, so nobody else may.
    """
    rows = _OWN.all(session, {"computer": computer_id}, may_write=may_write)
    return [
        _item(row, row.attempt, row.status == WAITING, row.offered_revision, None) for row in rows
    ]


def shared_items(session: Session, computer_id: int, groups: Collection[int]) -> list[Item]:
    """Return what groups have for the computer, each package once, without what has a row.

    A row that is done or cleared gives way to a later assignment of the group.
    """
    found: dict[int, Item] = {}
    for row in execute(session, _SHARED, {"computer": computer_id, "groups": sorted(groups)}):
        if row.package_id not in found and _is_due(row):
            found[row.package_id] = _item(row, None, True, None, row.attempt)
    return list(found.values())


def _is_due(row: Row[Any]) -> bool:
    if row.row_id is None:
        return True
    return row.attempt > row.row_attempt and starts_again(
        ResultClass(row.row_class),
        row.cleared_at is not None,
        row.force,
        row.offered_revision,
        row.revision,
    )


def _item(
    row: Row[Any], attempt: int | None, waiting: bool, offered: int | None, group: int | None
) -> Item:
    candidate = Candidate(
        package_id=row.package_id,
        os=row.os,
        algorithm=row.digest_algorithm,
        encoding=row.digest_encoding,
        revision=row.revision,
        info_url=row.info_url,
        fragment_url=row.fragment_url,
        attempt=attempt,
        force=row.force,
        schedule=row.schedule,
        postcmd=row.postcmd,
    )
    return Item(
        candidate=candidate,
        package_name=row.package_name,
        row_id=row.row_id,
        is_waiting=waiting,
        offered_revision=offered,
        group_id=row.group_id,
        activation_id=row.activation_id,
        group_attempt=group,
        assigned_at=row.assigned_at,
        assigned_by=row.assigned_by,
        in_history=bool(row.in_history),
    )
