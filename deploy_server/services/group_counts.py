"""How many computers are in groups, many groups at a time."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from deploy_server.storage.models import Computer, GroupMember
from deploy_server.storage.search import Searcher, within

Perimeter = frozenset[str] | None

_AT_ONCE = 25  # conditions in one statement


def count_static(session: Session, perimeter: Perimeter) -> dict[int, int]:
    """Return how many were put into each group by hand; groups without any are left out."""
    counted = (
        select(GroupMember.group_id, func.count())
        .where(GroupMember.kind == "include")
        .group_by(GroupMember.group_id)
    )
    inside = within(perimeter)
    if inside:
        counted = counted.join(Computer, Computer.id == GroupMember.computer_id).where(*inside)
    return {row[0]: row[1] for row in session.execute(counted)}


def count_dynamic(
    session: Session, group_ids: Sequence[int], now: datetime, perimeter: Perimeter
) -> dict[int, int]:
    """Return how many are in each of these groups; the computers are read once for many."""
    groups = Searcher(session, now, counting=True).groups
    found: dict[int, int] = {}
    for start in range(0, len(group_ids), _AT_ONCE):
        ids = group_ids[start : start + _AT_ONCE]
        counted = (func.sum(case((groups.by_id([each]), 1), else_=0)) for each in ids)
        numbers = select(*counted).select_from(Computer).where(*within(perimeter))
        row = session.execute(numbers).one()
        found |= {each: number or 0 for each, number in zip(ids, row, strict=True)}
    return found
