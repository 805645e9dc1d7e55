"""Conditions on how far a package is on a computer.

A member of a group that has a package assigned, and no row of its own yet, waits for it: it is
counted where rows with WAITING are (contract.md 5, Assigning).
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.domain.search.tree import Pattern, Value
from deploy_server.storage.models import Assignment, Computer, GroupAssignment, Package
from deploy_server.storage.search.groups import Groups
from deploy_server.storage.search.matching import Match, among, match, matches
from deploy_server.storage.suitability import suits

Clause = ColumnElement[bool]

_CLASSES = {each.name.lower(): each for each in ResultClass}
_NONE = "none"
_ID_MAX = 2**31


class Packages:
    """Conditions on packages.

    Args:
        session: reads only.
        groups: who is in which.
        alone: conditions are for one computer.
    """

    def __init__(self, session: Session, groups: Groups, *, alone: bool = False) -> None:
        self._session = session
        self._groups = groups
        self._alone = alone

    def compare(self, argument: Pattern, operator: str, values: Sequence[Value]) -> Clause:
        """Return the condition that the package's status is one of `values`."""
        packages = self._find(argument)
        words = [each for each in values if isinstance(each, Pattern)]
        names = {each.text.lower() for each in words if _is_class(each, operator)}
        verbatim = [
            Match(tuple(map(_lower, each.pieces)), inside=operator == "~")
            for each in words
            if not _is_class(each, operator)
        ]
        parts = [self._status(packages, names, verbatim)]
        if _NONE in names:
            parts.append(self.without(packages))
        return or_(*parts)

    def empty(self, argument: Pattern) -> Clause:
        """Return the condition that the package is not assigned."""
        return self.without(self._find(argument))

    def without(self, packages: Sequence[Package]) -> Clause:
        """Return the condition that none of `packages` is assigned."""
        ids = [package.id for package in packages]
        return and_(not_(self._with_row(ids)), not_(self._pending(packages)))

    def pending(self, package: Package) -> Clause:
        """Return the condition that a computer waits for a package through a group, without row."""
        groups = self._session.scalars(
            select(GroupAssignment.group_id).where(GroupAssignment.package_id == package.id)
        ).all()
        if not groups:
            return false()
        rows = select(Assignment.computer_id).where(Assignment.package_id == package.id)
        # Looked up row by row: PostgreSQL reads a long list again for each computer.
        without = not_(among(Computer.id.expression, rows, alone=True))
        return and_(self._groups.any_of(groups), suits(package), without)

    def _pending(self, packages: Sequence[Package]) -> Clause:
        return or_(false(), *(self.pending(package) for package in packages))

    def _status(
        self, packages: Sequence[Package], names: set[str], verbatim: list[Match]
    ) -> Clause:
        classes = sorted(_CLASSES[name] for name in names if name in _CLASSES)
        conditions: list[Clause] = []
        if classes:
            conditions.append(Assignment.status_class.in_(classes))
        if verbatim:
            conditions.append(matches(func.lower(Assignment.status), verbatim))
        if not conditions or not packages:
            return false()
        found = self._with_row([package.id for package in packages], or_(*conditions))
        waiting = WAITING.lower()
        if ResultClass.WAITING in classes or any(each.holds(waiting) for each in verbatim):
            return or_(found, self._pending(packages))
        return found

    def _with_row(self, package_ids: list[int], *conditions: Clause) -> Clause:
        found = select(Assignment.computer_id).where(
            Assignment.package_id.in_(package_ids), Assignment.cleared_at.is_(None), *conditions
        )
        return among(Computer.id.expression, found, alone=self._alone)

    def _find(self, argument: Pattern) -> list[Package]:
        found = select(Package).where(named(argument, Package.deleted_at.is_(None)))
        return list(self._session.scalars(found))


def named(argument: Pattern, *conditions: Clause) -> Clause:
    """Return the condition that a package has that name and fits `conditions`, or has that id."""
    found = and_(matches(Package.name_key.expression, [match(argument.pieces)]), *conditions)
    text = argument.text
    if text.isascii() and text.isdigit() and int(text) < _ID_MAX:
        return or_(found, Package.id == int(text))
    return found


def _is_class(value: Pattern, operator: str) -> bool:
    known = value.text.lower() in _CLASSES or value.text.lower() == _NONE
    return known and not value.quoted and operator == "="


def _lower(text: str) -> str:
    # Databases agree about lower() for ASCII only, and results are ASCII.
    return "".join(char.lower() if char.isascii() else char for char in text)
