"""Conditions on groups: members by hand, and computers that a dynamic group's expression finds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, not_, or_, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import parse
from deploy_server.domain.search.tree import Node
from deploy_server.storage.models import Computer, Group, GroupMember
from deploy_server.storage.search.matching import Match, among

EXPANSIONS_MAX = 50  # dynamic groups that one condition may stand on

Clause = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What a condition needs to know of a group."""

    id: int
    name: str
    name_key: str
    kind: str
    expression: str


class Groups:
    """The groups of a database, read once.

    Args:
        session: reads only.
        clause: makes the condition of an expression.
        alone: conditions are for one computer.
        counting: they are for all of them. Where nobody was put into a group or kept out of it by
            hand when this is asked, they do not look for it: that takes longer than most
            expressions. Not for what gives: somebody may be kept out the next moment.
    """

    def __init__(
        self,
        session: Session,
        clause: Callable[[Node], Clause],
        *,
        alone: bool = False,
        counting: bool = False,
    ) -> None:
        self._session = session
        self._clause = clause
        self._alone = alone
        self._set_by_hand = _set_by_hand(session) if counting else None
        self._facts: list[GroupFacts] | None = None
        self._inside: list[GroupFacts] = []
        self._expanded = 0

    def named(self, wanted: Iterable[Match]) -> Clause:
        """Return the condition that a computer is in a group with one of these names."""
        wanted = list(wanted)
        return self.members(
            [each for each in self._all() if any(one.holds(each.name_key) for one in wanted)]
        )

    def by_id(self, group_ids: Iterable[int]) -> Clause:
        """Return the condition, all of it, that a computer is in one of these groups."""
        self._expanded = 0
        return self.any_of(group_ids)

    def any_of(self, group_ids: Iterable[int]) -> Clause:
        """Return the same as a part of another condition."""
        ids = set(group_ids)
        return self.members([each for each in self._all() if each.id in ids])

    def none(self) -> Clause:
        """Return the condition that a computer is in no group."""
        return not_(self.members(self._all()))

    def members(self, groups: Sequence[GroupFacts]) -> Clause:
        """Return the condition that a computer is in one of `groups`.

        Raises:
            SpecError: an expression refers to itself, or stands on too many groups.
        """
        parts = [self._dynamic(each) for each in groups if each.kind == "dynamic"]
        static = [each.id for each in groups if each.kind == "static"]
        if static:
            parts.append(self._by_hand("include", static))
        return or_(*parts) if parts else false()

    def _dynamic(self, group: GroupFacts) -> Clause:
        self._enter(group)
        found = self._clause(parse(group.expression))
        self._inside.pop()
        if self._is_set_by_hand(group.id, "include"):
            found = or_(found, self._by_hand("include", [group.id]))
        if self._is_set_by_hand(group.id, "exclude"):
            found = and_(found, not_(self._by_hand("exclude", [group.id])))
        return found

    def _is_set_by_hand(self, group_id: int, kind: str) -> bool:
        return self._set_by_hand is None or (group_id, kind) in self._set_by_hand

    def _by_hand(self, kind: str, group_ids: list[int]) -> Clause:
        found = select(GroupMember.computer_id).where(
            GroupMember.group_id.in_(group_ids), GroupMember.kind == kind
        )
        return among(Computer.id.expression, found, alone=self._alone)

    def _enter(self, group: GroupFacts) -> None:
        if group in self._inside:
            way = " → ".join(each.name for each in [*self._inside, group])
            raise SpecError(
                "expression", f"the group {group.name!r} refers to itself ({way})", "Change one"
            )
        self._expanded += 1
        if self._expanded > EXPANSIONS_MAX:
            raise SpecError(
                "expression",
                f"the expression stands on more than {EXPANSIONS_MAX} dynamic groups",
                "Name fewer, or write one expression for them",
            )
        self._inside.append(group)

    def _all(self) -> list[GroupFacts]:
        if self._facts is None:
            rows = self._session.execute(
                select(Group.id, Group.name, Group.name_key, Group.kind, Group.expression)
            )
            self._facts = [GroupFacts(*row) for row in rows]
        return self._facts


def _set_by_hand(session: Session) -> set[tuple[int, str]]:
    """Return the dynamic groups, each with `include` or `exclude`, that have somebody by hand."""
    rows = session.execute(
        select(GroupMember.group_id, GroupMember.kind)
        .join(Group, Group.id == GroupMember.group_id)
        .where(Group.kind == "dynamic")
        .distinct()
    )
    return {(row.group_id, row.kind) for row in rows}
