"""Groups of computers: static by hand, dynamic by an expression, with exceptions by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import Conflict, Forbidden, NotFound, SpecError
from deploy_server.domain.group import (
    check_description,
    check_expression,
    check_name,
    check_visible,
)
from deploy_server.services import audit
from deploy_server.services.computers import ComputerPage, computer_ids, page_of
from deploy_server.services.group_counts import count_dynamic, count_static
from deploy_server.storage.models import Assignment, Computer, Group, GroupMember, Setting
from deploy_server.storage.search import Searcher, within
from deploy_server.storage.types import fold
from deploy_server.storage.upsert import insert_or_update

Perimeter = frozenset[str] | None

_BATCH = 500  # ids in one statement; every database takes that many parameters


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as lists show it.

    Attributes:
        id: its row.
        name: unique without case.
        description: for people.
        kind: `static` or `dynamic`.
        expression: of a dynamic one.
        visible: operators may put their computers into it.
        members: how many, inside the perimeter.
        created_at: when.
        created_by: who.
    """

    id: int
    name: str
    description: str
    kind: str
    expression: str
    visible: bool
    members: int
    created_at: datetime
    created_by: str


def list_groups(
    session: Session, *, now: datetime, perimeter: Perimeter = None, visible_only: bool = False
) -> list[GroupRow]:
    """Return the groups by name, with their member counts."""
    groups = group_names(session, visible_only=visible_only)
    return with_members(session, groups, now=now, perimeter=perimeter)


def with_members(
    session: Session, groups: Sequence[Group], *, now: datetime, perimeter: Perimeter = None
) -> list[GroupRow]:
    """Return groups with their member counts."""
    dynamic = [each.id for each in groups if each.kind == "dynamic"]
    numbers = count_static(session, perimeter) | count_dynamic(session, dynamic, now, perimeter)
    return [_row(group, numbers.get(group.id, 0)) for group in groups]


def group_names(session: Session, *, visible_only: bool = False) -> Sequence[Group]:
    """Return the groups by name, uncounted: to choose one of them."""
    statement = select(Group).order_by(Group.name_key)
    return session.scalars(statement.where(Group.visible) if visible_only else statement).all()


def get_group(
    session: Session, name: str, *, now: datetime, perimeter: Perimeter = None
) -> GroupRow:
    """Return one group; `name` without case.

    Raises:
        NotFound: no such group.
    """
    group = _find(session, name)
    return _row(group, _count(session, _members(session, group, now), perimeter))


def group_members(
    session: Session,
    name: str,
    *,
    now: datetime,
    perimeter: Perimeter = None,
    sort: str = "name",
    descending: bool = False,
    page: int = 1,
    page_size: int = 50,
) -> ComputerPage:
    """Return a page of the group's members.

    Raises:
        NotFound: no such group.
    """
    clause = _members(session, _find(session, name), now)
    return page_of(
        session,
        [clause, *within(perimeter)],
        sort=sort,
        descending=descending,
        page=page,
        page_size=page_size,
    )


def add_group(
    session: Session,
    name: str,
    *,
    expression: str | None = None,
    description: str = "",
    visible: bool = False,
    actor: str,
    now: datetime,
) -> GroupRow:
    """Make a group: static, or dynamic where there is an expression.

    Raises:
        SpecError: field `name`, `visible` or `expression`.
        Conflict: the name is taken.
    """
    group = Group(
        name=_check_free(session, check_name(name)),
        name_key=fold(name.strip()),
        description=check_description(description),
        kind="static" if expression is None else "dynamic",
        expression=check_expression(expression),
        visible=check_visible(visible, expression is not None),
        created_at=now,
        created_by=actor,
    )
    with session.begin_nested():
        session.add(group)
        session.flush()
        clause = _members(session, group, now)
    audit.record(session, "group.add", group.name, now=now, actor=actor, after=_said(group))
    return _row(group, _count(session, clause, None))


def edit_group(
    session: Session,
    name: str,
    *,
    new_name: str | None = None,
    expression: str | None = None,
    description: str | None = None,
    visible: bool | None = None,
    now: datetime,
) -> GroupRow:
    """Change a group; None leaves a field as it is.

    Raises:
        NotFound: no such group.
        SpecError: as `add_group`.
        Conflict: the new name is taken.
    """
    group = _find(session, name)
    before = _said(group)
    dynamic = group.kind == "dynamic"
    if expression is not None and not dynamic:
        raise SpecError(
            "expression", f"{group.name} is a static group", "Make a dynamic group instead"
        )
    with session.begin_nested():
        if new_name is not None:
            group.name = _check_free(session, check_name(new_name), group.id)
            group.name_key = fold(group.name)
        if expression is not None:
            group.expression = check_expression(expression)
        if description is not None:
            group.description = check_description(description)
        if visible is not None:
            group.visible = check_visible(visible, dynamic)
        session.flush()
        clause = _members(session, group, now)
    after = _said(group)
    if after != before:
        audit.record(session, "group.edit", before["name"], now=now, before=before, after=after)
    return _row(group, _count(session, clause, None))


def delete_group(session: Session, name: str, *, now: datetime) -> None:
    """Remove a group with its settings and assignments; what members were told of goes on.

    Raises:
        NotFound: no such group.
    """
    group = _find(session, name)
    session.execute(delete(Assignment).where(*_waiting_through(group)))
    session.execute(delete(Setting).where(Setting.scope == "group", Setting.scope_id == group.id))
    before = _said(group)
    session.execute(delete(Group).where(Group.id == group.id))
    audit.record(session, "group.delete", before["name"], now=now, before=before)


def include(
    session: Session,
    name: str,
    device_ids: Sequence[str],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Put computers into a group by hand; returns how many were not in it that way before.

    Raises:
        NotFound: no such group, or a computer outside the perimeter.
        Forbidden: with a perimeter, where the group is not visible.
    """
    group = _changeable(session, name, perimeter)
    ids = computer_ids(session, device_ids, perimeter)
    changed = _say_by_hand(session, group, ids, "include", actor, now)
    after = audit.named(device_ids)
    audit.record(session, "group.include", group.name, now=now, actor=actor, after=after)
    return changed


def exclude(
    session: Session,
    name: str,
    device_ids: Sequence[str],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Keep computers out of a group, whatever its expression says.

    Raises:
        As `include`.
    """
    group = _changeable(session, name, perimeter)
    ids = computer_ids(session, device_ids, perimeter)
    changed = _say_by_hand(session, group, ids, "exclude", actor, now)
    _withdraw(session, group, ids)
    after = audit.named(device_ids)
    audit.record(session, "group.exclude", group.name, now=now, actor=actor, after=after)
    return changed


def reset(
    session: Session,
    name: str,
    device_ids: Sequence[str],
    *,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Forget what was said by hand about computers: a dynamic group's expression decides again.

    Raises:
        As `include`.
    """
    group = _changeable(session, name, perimeter)
    ids = computer_ids(session, device_ids, perimeter)
    number = 0
    for batch in _batches(ids):
        gone = session.execute(
            delete(GroupMember)
            .where(GroupMember.group_id == group.id, GroupMember.computer_id.in_(batch))
            .returning(GroupMember.computer_id)
        )
        number += len(gone.all())
    _withdraw(session, group, ids)
    audit.record(session, "group.reset", group.name, now=now, after=audit.named(device_ids))
    return number


def _said(group: Group) -> dict[str, Any]:
    """What people said of a group, for the audit log."""
    names = ("name", "kind", "expression", "description", "visible")
    return {name: getattr(group, name) for name in names}


def _find(session: Session, name: str) -> Group:
    group = session.scalar(select(Group).where(Group.name_key == fold(name.strip())))
    if group is None:
        raise NotFound(f"there is no group {name[:80]!r}", "Find it: deploy-server group list")
    return group


def _changeable(session: Session, name: str, perimeter: Perimeter) -> Group:
    """Return a group whose members somebody with this perimeter may change."""
    group = _find(session, name)
    if perimeter is not None and not group.visible:
        raise Forbidden(
            f"the members of {group.name} are an administrator's to choose",
            "Ask one to make the group visible",
        )
    return group


def _members(session: Session, group: Group, now: datetime) -> ColumnElement[bool]:
    return Searcher(session, now).groups.by_id([group.id])


def _count(session: Session, clause: ColumnElement[bool], perimeter: Perimeter) -> int:
    counted = select(func.count()).select_from(Computer).where(clause, *within(perimeter))
    return session.scalar(counted) or 0


def _row(group: Group, members: int) -> GroupRow:
    return GroupRow(
        id=group.id,
        name=group.name,
        description=group.description,
        kind=group.kind,
        expression=group.expression,
        visible=group.visible,
        members=members,
        created_at=group.created_at,
        created_by=group.created_by,
    )


def _check_free(session: Session, name: str, own_id: int | None = None) -> str:
    taken = session.scalar(select(Group.id).where(Group.name_key == fold(name)))
    if taken not in (None, own_id):
        raise Conflict(f"there is a group {name} already", "Choose another name")
    return name


def _batches(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]


def _say_by_hand(
    session: Session,
    group: Group,
    ids: Sequence[int],
    kind: Literal["include", "exclude"],
    actor: str,
    now: datetime,
) -> int:
    known: set[int] = set()
    for batch in _batches(ids):
        known.update(
            session.scalars(
                select(GroupMember.computer_id).where(
                    GroupMember.group_id == group.id,
                    GroupMember.kind == kind,
                    GroupMember.computer_id.in_(batch),
                )
            )
        )
    rows: list[dict[str, Any]] = [
        {
            "group_id": group.id,
            "computer_id": each,
            "kind": kind,
            "added_at": now,
            "added_by": actor,
        }
        for each in ids
        if each not in known
    ]
    key = ("group_id", "computer_id")
    insert_or_update(session, GroupMember, rows, key, ("kind", "added_at", "added_by"))
    return len(rows)


def _waiting_through(group: Group) -> tuple[ColumnElement[bool], ...]:
    return (
        Assignment.group_id == group.id,
        Assignment.status_class == ResultClass.WAITING,
        Assignment.cleared_at.is_(None),
    )


def _withdraw(session: Session, group: Group, ids: Sequence[int]) -> None:
    """Take packages of the group back that these computers were not told of (contract.md 5)."""
    for batch in _batches(ids):
        session.execute(
            delete(Assignment).where(
                and_(*_waiting_through(group)), Assignment.computer_id.in_(batch)
            )
        )
