"""The groups that one computer is in: by hand, or because an expression finds it."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, exists, or_, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.storage.models import Computer, Group, GroupAssignment, GroupMember, Setting
from deploy_server.storage.quick import Prepared
from deploy_server.storage.search import search_clause

log = logging.getLogger(__name__)

# A dynamic group is evaluated at a contact only where that can change the answer.
_MATTERS = or_(
    exists().where(GroupAssignment.group_id == Group.id),
    exists().where(Setting.scope == "group", Setting.scope_id == Group.id),
)


def _select(dynamic: ColumnElement[bool]) -> Select[int, str, str, str | None]:
    by_hand = and_(
        GroupMember.group_id == Group.id, GroupMember.computer_id == bindparam("computer")
    )
    return (
        select(Group.id, Group.name, Group.expression, GroupMember.kind.label("by_hand"))
        .outerjoin(GroupMember, by_hand)
        .where(or_(GroupMember.kind.is_not(None), dynamic))
        .order_by(Group.id)
    )


# Made once: building a statement costs more than running it.
_ALL = Prepared(_select(Group.kind == "dynamic"))
_AT_CONTACT = Prepared(_select(and_(Group.kind == "dynamic", _MATTERS)))


def groups_of(
    session: Session, computer_id: int, now: datetime, *, at_contact: bool = False
) -> dict[int, str]:
    """Return the groups of a computer, id and name.

    Args:
        session: reads only.
        computer_id: the computer's row.
        now: what durations in expressions count from.
        at_contact: leave out dynamic groups without packages and settings.
    """
    rows = (_AT_CONTACT if at_contact else _ALL).all(session, {"computer": computer_id})
    found = {row.id: row.name for row in rows if row.by_hand == "include"}
    undecided = [row for row in rows if row.by_hand is None]
    found.update(_matching(session, computer_id, undecided, now))
    return found


def _matching(
    session: Session,
    computer_id: int,
    groups: Sequence[Any],
    now: datetime,
) -> dict[int, str]:
    found = []
    for group in groups:
        try:
            clause = search_clause(session, group.expression, now)
        except SpecError as error:
            # Another group was renamed or changed meanwhile; its page says so too.
            log.warning("the group %r finds nobody: %s", group.name, error)
        else:
            found.append((group, case((clause, 1), else_=0)))
    if not found:
        return {}
    answers = session.execute(
        select(*(answer for _, answer in found)).where(Computer.id == computer_id)
    ).first()
    return {
        group.id: group.name
        for (group, _), answer in zip(found, answers or (), strict=False)
        if answer
    }
