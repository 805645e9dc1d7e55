"""What expressions mean, said a second time in plain Python over dictionaries.

Slow and obvious: the SQL of deploy_server.storage.search has to give the same answers.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.domain.addresses import address_key
from deploy_server.domain.search.tree import (
    Age,
    And,
    Comparison,
    IsEmpty,
    Node,
    Not,
    Or,
    Pattern,
    Span,
)
from deploy_server.domain.version import version_key
from deploy_server.storage.types import fold

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass
class Facts:
    """A computer as an expression sees it.

    Attributes:
        values: texts, times and memory by the field's name.
        ips: its addresses.
        macs: the same of network cards.
        groups: names of the groups it is in.
        software: (name, version).
        packages: the status of each package, by id; without those that are not assigned.
    """

    values: dict[str, Any]
    ips: Sequence[str] = ()
    macs: Sequence[str] = ()
    groups: Sequence[str] = ()
    software: Sequence[tuple[str, str]] = ()
    packages: dict[int, str] = field(default_factory=dict)


def wildcard(pieces: Sequence[str], text: str) -> bool:
    """Whether ``text`` is the pieces with anything between them; by trying every place."""
    first, *rest = pieces
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    text = text[len(first) :]
    return any(wildcard(rest, text[place:]) for place in range(len(text) + 1))


def fits(text: str, op: str, value: Pattern, form: Callable[[str], str] = fold) -> bool:
    text = form(text)
    if not text:
        return False
    if op == "=":
        return wildcard([form(piece) for piece in value.pieces], text)
    if op == "~":
        return form(value.text) in text
    return _ORDER[op](text, form(value.text))


def version_fits(version: str, op: str, value: Pattern) -> bool:
    key = version_key(version)
    if op == "~" or (op == "=" and not value.is_plain):
        return fits(version, op, value)
    if op == "=":
        return key != "" and key == version_key(value.text)
    return key != "" and _ORDER[op](key, version_key(value.text))


def time_fits(moment: datetime, op: str, value: Age | Span, now: datetime) -> bool:
    if isinstance(value, Age):
        return _ORDER[op](now - moment, value.duration)
    if op == "=":
        return value.start <= moment < value.end
    return {
        "<": moment < value.start,
        "<=": moment < value.end,
        ">": moment >= value.end,
        ">=": moment >= value.start,
    }[op]


def status_fits(status: str | None, op: str, value: Pattern) -> bool:
    word = value.text.lower()
    if op == "=" and not value.quoted and word == "none":
        return status is None
    if status is None:
        return False
    if op == "=" and not value.quoted and word in {each.name.lower() for each in ResultClass}:
        return ResultCode.parse(status).result_class.name.lower() == word
    return fits(status, op, value, str.lower)


@dataclass
class Model:
    """Evaluates trees.

    Attributes:
        now: what durations count from.
        names: of packages that are not deleted, by id.
    """

    now: datetime
    names: dict[int, str]

    def holds(self, node: Node, facts: Facts) -> bool:
        match node:
            case And(parts):
                return all(self.holds(part, facts) for part in parts)
            case Or(parts):
                return any(self.holds(part, facts) for part in parts)
            case Not(part):
                return not self.holds(part, facts)
            case IsEmpty():
                return self._is_empty(node, facts)
        return any(self._compare(node, value, facts) for value in node.values)

    def _is_empty(self, node: IsEmpty, facts: Facts) -> bool:
        match node.field.name:
            case "ip":
                return not facts.ips
            case "mac":
                return not facts.macs
            case "group":
                return not facts.groups
            case "software":
                return not [name for name, _ in facts.software if self._named(node.argument, name)]
            case "package":
                return not self._statuses(node.argument, facts)
        return facts.values.get(node.field.name) in ("", None)

    def _compare(self, node: Comparison, value: Any, facts: Facts) -> bool:
        op = node.operator
        match node.field.name:
            case "ip" | "mac" as kind:
                own = facts.ips if kind == "ip" else facts.macs
                return any(
                    fits(each, op, value, lambda t: fold(address_key(kind, t))) for each in own
                )
            case "group":
                return any(fits(each, op, value) for each in facts.groups)
            case "software" if node.argument is None:
                return any(fits(name, op, value) for name, _ in facts.software)
            case "software":
                own = [v for name, v in facts.software if self._named(node.argument, name)]
                return any(version_fits(version, op, value) for version in own)
            case "package":
                statuses = self._statuses(node.argument, facts) or [None]
                return any(status_fits(status, op, value) for status in statuses)
            case "os_version":
                return version_fits(facts.values["os_version"], op, value)
            case "last_contact" | "last_inventory" as name:
                moment = facts.values[name]
                return moment is not None and time_fits(moment, op, value, self.now)
            case "memory":
                memory = facts.values["memory"]
                compare = operator.eq if op == "=" else _ORDER[op]
                return memory is not None and compare(memory, value)
        return fits(facts.values.get(node.field.name, ""), op, value)

    @staticmethod
    def _named(argument: Pattern | None, name: str) -> bool:
        return argument is None or fits(name, "=", argument)

    def _statuses(self, argument: Pattern | None, facts: Facts) -> list[str]:
        assert argument is not None
        ids = {number for number, name in self.names.items() if self._named(argument, name)}
        if argument.text.isdigit():
            ids.add(int(argument.text))
        return [status for number, status in facts.packages.items() if number in ids]
