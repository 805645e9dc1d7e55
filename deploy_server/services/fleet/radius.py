"""Whom an action would reach, before it happens."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.services.assigning.targets import Clause, check_selection, chosen
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.storage.models import Computer, Group, GroupMember

#: Names that a page shows of those an action would reach.
EXAMPLES = 12

#: Tags and groups that a page names; the others are counted.
NAMED = 8

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Radius:
    """Whom an action would reach.

    Attributes:
        computers: how many.
        systems: how many of each family, the most first; '' is not known yet.
        tags: how many carry each tag, the most first; '' is none.
        groups: how many were put into each group by hand, the most first.
        examples: the first of them by name: id, name or device id.
        seal: how many and which; others, if only as many others, have another one.
    """

    computers: int
    systems: Counts
    tags: Counts
    groups: Counts
    examples: tuple[tuple[int, str], ...]
    seal: str


def radius(
    session: Session, selection: Selection, *, now: datetime, perimeter: Perimeter = None
) -> Radius:
    """Return whom an action on this selection would reach.

    Raises:
        SpecError: field `selection` or `expression`.
        NotFound: one of the named computers is not there, or not inside the perimeter.
    """
    systems: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    examples: list[tuple[int, str]] = []
    for clause in clauses(session, selection, now, perimeter):
        _count_kinds(session, clause, systems, tags)
        groups += _groups(session, clause)
        examples += _examples(session, clause) if len(examples) < EXAMPLES else []
    return Radius(
        computers=systems.total(),
        systems=tuple(systems.most_common()),
        tags=tuple(tags.most_common()),
        groups=tuple(groups.most_common()),
        examples=tuple(examples[:EXAMPLES]),
        seal=seal(session, selection, now=now, perimeter=perimeter),
    )


def seal(
    session: Session, selection: Selection, *, now: datetime, perimeter: Perimeter = None
) -> str:
    """Return what stands for exactly the computers of a selection: how many, and a digest.

    Shape: 1204-5f0c9a3b8e7d6c5b

    Raises:
        As `radius`.
    """
    digest, number = hashlib.sha256(), 0
    for clause in clauses(session, selection, now, perimeter):
        found = select(Computer.id).where(clause).order_by(Computer.id).subquery()
        # As one text: to make objects of a hundred thousand numbers takes ten times as long.
        ids = func.aggregate_strings(cast(found.c.id, Text), ",")
        count, text = session.execute(select(func.count(), ids).select_from(found)).one()
        digest.update(f"{text or ''},".encode())
        number += count
    return f"{number}-{digest.hexdigest()[:16]}"


def device_ids(
    session: Session, selection: Selection, *, now: datetime, perimeter: Perimeter = None
) -> list[str]:
    """Return the device ids of a selection.

    Raises:
        As `radius`.
    """
    found: list[str] = []
    for clause in clauses(session, selection, now, perimeter):
        found += session.scalars(select(Computer.device_id).where(clause).order_by(Computer.id))
    return found


def clauses(
    session: Session, selection: Selection, now: datetime, perimeter: Perimeter
) -> Iterator[Clause]:
    """Yield conditions that together select the computers.

    Raises:
        As `radius`.
    """
    check_selection(selection)
    if selection.group is not None:
        raise SpecError("selection", "a group cannot be chosen here", "Choose computers")
    yield from chosen(session, selection, now, perimeter)


def _count_kinds(
    session: Session, clause: Clause, systems: Counter[str], tags: Counter[str]
) -> None:
    """Count by system and by tag, whose key is one for all its spellings, in one reading."""
    rows = session.execute(
        select(Computer.os_family, Computer.tag_key, func.min(Computer.tag), func.count())
        .where(clause)
        .group_by(Computer.os_family, Computer.tag_key)
    ).all()
    spelt: dict[str, str] = {}
    for family, key, tag, number in rows:
        spelt[key] = min(spelt.get(key, tag), tag)
        systems[family] += number
    for _, key, _, number in rows:
        tags[spelt[key]] += number


def _groups(session: Session, clause: Clause) -> Counter[str]:
    rows = session.execute(
        select(Group.name, func.count())
        .join(GroupMember, GroupMember.group_id == Group.id)
        .where(
            GroupMember.kind == "include",
            GroupMember.computer_id.in_(select(Computer.id).where(clause)),
        )
        .group_by(Group.id, Group.name)
    )
    return Counter({row[0]: row[1] for row in rows})


def _examples(session: Session, clause: Clause) -> list[tuple[int, str]]:
    rows = session.execute(
        select(Computer.id, Computer.name, Computer.device_id)
        .where(clause)
        .order_by(Computer.name_key, Computer.id)
        .limit(EXAMPLES)
    )
    return [(computer_id, name or device_id) for computer_id, name, device_id in rows]
