"""The groups that one computer is in: by hand, or because an expression finds it."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, exists, or_, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import parse
from deploy_server.domain.search.tree import Age, leaves
from deploy_server.storage.models import Computer, Group, GroupAssignment, GroupMember, Setting
from deploy_server.storage.quick import Prepared
from deploy_server.storage.search import columns, search_clause

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
    steady = tuple(dict.fromkeys(each.expression for each in groups if _is_steady(each.expression)))
    holds = _steady(session, computer_id, steady, now)
    found = {each.id: each.name for each in groups if holds.get(each.expression)}
    others = [each for each in groups if each.expression not in holds]
    return {**found, **_others(session, computer_id, others, now)}


def _steady(
    session: Session, computer_id: int, expressions: tuple[str, ...], now: datetime
) -> dict[str, bool]:
    """Return whether each expression finds the computer."""
    if not expressions:
        return {}
    key = (session.get_bind().dialect.name, expressions)
    prepared = _prepared.get(key)
    if prepared is None:
        if len(_prepared) >= _PREPARED_MAX:
            _prepared.clear()
        prepared = _prepared[key] = Prepared(_asked_of_one(session, expressions))
    now = now.replace(microsecond=0)
    ages = {columns.age_name(each): now - each for text in expressions for each in _ages(text)}
    row = prepared.first(session, {"computer": computer_id, **ages})
    return dict(zip(expressions, map(bool, row or ()), strict=False))


# What dynamic groups mean, by their expressions: to read and to compile twenty of them at each
# contact costs ten times what the rest of it does.
_prepared: dict[tuple[str, tuple[str, ...]], Prepared] = {}
_PREPARED_MAX = 32


def _asked_of_one(session: Session, expressions: tuple[str, ...]) -> Select[Any]:
    answers = [
        case((search_clause(session, each, None, alone=True), 1), else_=0).label(f"answer_{number}")
        for number, each in enumerate(expressions)
    ]
    return select(*answers).where(Computer.id == bindparam("computer", required=False))


@lru_cache(maxsize=1000)
def _is_steady(expression: str) -> bool:
    """Whether an expression means the same whatever groups and packages there are."""
    try:
        return not any(
            each.field.name in ("group", "package") for each in leaves(parse(expression))
        )
    except SpecError:
        return False


@lru_cache(maxsize=1000)
def _ages(expression: str) -> frozenset[timedelta]:
    values = (getattr(each, "values", ()) for each in leaves(parse(expression)))
    return frozenset(one.duration for each in values for one in each if isinstance(one, Age))


def _others(
    session: Session, computer_id: int, groups: Sequence[Any], now: datetime
) -> dict[int, str]:
    """Ask for groups whose expressions name other groups or packages, which change."""
    found = []
    for group in groups:
        try:
            clause = search_clause(session, group.expression, now, alone=True)
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
