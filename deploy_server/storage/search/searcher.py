"""A tree becomes one condition over Computer."""

from datetime import datetime
from typing import assert_never

from sqlalchemy import ColumnElement, and_, not_, or_, true
from sqlalchemy.orm import Session

from deploy_server.domain.search import parse
from deploy_server.domain.search.tree import And, Comparison, IsEmpty, Node, Not, Or
from deploy_server.storage.models import Computer
from deploy_server.storage.search import columns
from deploy_server.storage.search.groups import Groups
from deploy_server.storage.search.packages import Packages

Clause = ColumnElement[bool]


def search_clause(
    session: Session, expression: str, now: datetime | None, *, alone: bool = False
) -> Clause:
    """Return the condition that `expression` means; blank text means every computer.

    Args:
        session: as for `Searcher`.
        expression: in the language of the search box.
        now: as for `Searcher`.
        alone: as for `Searcher`.

    Raises:
        SearchError: the expression cannot be read.
        SpecError: a group that it names refers to itself.
    """
    if not expression.strip():
        return true()
    return Searcher(session, now, alone=alone).clause(parse(expression))


class Searcher:
    """Makes conditions; it reads the groups and packages that expressions name.

    Args:
        session: reads only.
        now: what durations count from; None leaves parameters in their place (`columns.age_name`).
        alone: the conditions are asked of one computer only; the same answer, found another way.
        counting: they are asked of all computers, for numbers and lists; the same answer, sooner.
    """

    def __init__(
        self,
        session: Session,
        now: datetime | None,
        *,
        alone: bool = False,
        counting: bool = False,
    ) -> None:
        self._now = now and now.replace(microsecond=0)
        self._alone = alone
        self.groups = Groups(session, self.clause, alone=alone, counting=counting)
        self.packages = Packages(session, self.groups, alone=alone)

    def clause(self, node: Node) -> Clause:
        """Return the condition for a tree."""
        match node:
            case And(parts):
                return and_(*(self.clause(part) for part in parts))
            case Or(parts):
                return or_(*(self.clause(part) for part in parts))
            case Not(part):
                return not_(self.clause(part))
            case IsEmpty():
                return self._empty(node)
            case Comparison():
                return self._compare(node)
            case _:
                assert_never(node)

    def _compare(self, node: Comparison) -> Clause:
        name, operator, values = node.field.name, node.operator, node.values
        if name == "os_version":
            column, sort = columns.TEXTS[name], Computer.os_version_sort.expression
            return columns.compare_version(column, sort, operator, values)
        if name in columns.TEXTS:
            return columns.compare_text(columns.TEXTS[name], operator, values)
        if name in columns.TIMES:
            return columns.compare_time(columns.TIMES[name], operator, values, self._now)
        if name == "memory":
            return columns.compare_memory(operator, values)
        if name == "software":
            return columns.compare_software(node.argument, operator, values, alone=self._alone)
        if name == "group":
            return self.groups.named(columns.patterns(values, inside=operator == "~"))
        if name == "package":
            assert node.argument is not None
            return self.packages.compare(node.argument, operator, values)
        return columns.compare_address(name, operator, values, alone=self._alone)

    def _empty(self, node: IsEmpty) -> Clause:
        name = node.field.name
        if name in columns.TEXTS:
            return columns.TEXTS[name] == ""
        if name in columns.TIMES:
            return columns.TIMES[name].is_(None)
        if name == "memory":
            return Computer.memory.is_(None)
        if name == "software":
            return columns.no_software(node.argument, alone=self._alone)
        if name == "group":
            return self.groups.none()
        if name == "package":
            assert node.argument is not None
            return self.packages.empty(node.argument)
        return columns.no_address(name, alone=self._alone)
