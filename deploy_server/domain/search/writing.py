"""Expressions written from criteria, and simple ones read back into criteria. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search.errors import SearchError
from deploy_server.domain.search.fields import BY_NAME, Argument
from deploy_server.domain.search.parser import parse
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
    Value,
)

_WORD = re.compile(r'[^\s"(),=!~<>]+\Z')
_NEGATED = {"=": "!=", "~": "!~"}
_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_FORMS = {timedelta(days=1): "%Y-%m-%d", timedelta(seconds=1): "%Y-%m-%dT%H:%M:%S"}
_EMPTY = ("is empty", "is not empty")


@dataclass(frozen=True, slots=True)
class Criterion:
    """A row of the criteria builder.

    Attributes:
        field: its name.
        argument: the software or package, '' for none.
        operator: as expressions write it, or `is empty`, `is not empty`.
        value: of `in`, several with commas between them.
    """

    field: str
    argument: str = ""
    operator: str = "="
    value: str = ""


def quoted(text: str) -> str:
    """Return a text as expressions take it: a word as it is, anything else in quotes."""
    if _WORD.match(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(criteria: Sequence[Criterion], join: str = "and", before: str = "") -> str:
    """Return the expression for criteria.

    Args:
        criteria: at least one, or there is a `before`.
        join: `and` or `or`.
        before: an expression that has to hold too, '' for none.

    Raises:
        SpecError: field `criterion-<n>`, counted from 1; what is wrong with it.
        SearchError: `before` cannot be read.
    """
    join = "or" if join == "or" else "and"
    conditions = [_condition(each, number) for number, each in enumerate(criteria, 1)]
    text = f" {join} ".join(conditions)
    before = before.strip()
    if not before or not text:
        return before or text
    if isinstance(parse(before), Or):
        before = f"({before})"
    return f"{before} and ({text})" if join == "or" and conditions[1:] else f"{before} and {text}"


def read_criteria(expression: str) -> tuple[str, list[Criterion]] | None:
    """Return join and criteria of a simple expression; None where it has brackets or more.

    Raises:
        SearchError: it cannot be read.
    """
    if not expression.strip():
        return "and", []
    node = parse(expression)
    join = "or" if isinstance(node, Or) else "and"
    parts = node.parts if isinstance(node, And | Or) else (node,)
    found = [_criterion(part) for part in parts]
    simple = [each for each in found if each is not None]
    return (join, simple) if len(simple) == len(found) else None


def _condition(criterion: Criterion, number: int) -> str:
    field = BY_NAME.get(criterion.field)
    where = f"criterion-{number}"
    if field is None:
        raise SpecError(where, f"there is no field {criterion.field[:40]!r}", "Choose one")
    name, argument = field.name, criterion.argument.strip()
    if argument and field.argument is Argument.NEVER:
        argument = ""
    text = f"{name}:{quoted(argument)}" if argument else name
    if criterion.operator in _EMPTY:
        text += f" {criterion.operator}"
    elif criterion.operator == "in":
        values = [each.strip() for each in criterion.value.split(",") if each.strip()]
        text += f" in ({', '.join(map(quoted, values))})"
    else:
        text += f" {criterion.operator} {quoted(criterion.value.strip())}"
    try:
        parse(text)
    except SearchError as error:
        message = error.message.partition(": ")[2]
        raise SpecError(where, f"{name}: {message}", error.hint) from error
    return text


def _criterion(node: Node) -> Criterion | None:
    negated = isinstance(node, Not)
    inner = node.part if isinstance(node, Not) else node
    if isinstance(inner, IsEmpty):
        argument = inner.argument.text if inner.argument else ""
        return Criterion(inner.field.name, argument, _EMPTY[negated])
    if not isinstance(inner, Comparison):
        return None
    operator = _NEGATED.get(inner.operator, "") if negated else inner.operator
    several = len(inner.values) > 1
    texts = [_text(each) for each in inner.values]
    if not operator or (several and negated) or any(text is None for text in texts):
        return None
    if several and any("," in (text or "") for text in texts):
        return None
    value = ", ".join(text or "" for text in texts)
    argument = inner.argument.text if inner.argument else ""
    return Criterion(inner.field.name, argument, "in" if several else operator, value)


def _text(value: Value) -> str | None:
    """Return a value as people write it, None where quotes mean something there."""
    if isinstance(value, Pattern):
        # In quotes a class of results is its name: package:x = "success".
        return None if value.quoted and _WORD.match(value.text) else value.text
    if isinstance(value, Age):
        seconds = int(value.duration.total_seconds())
        unit, size = next(each for each in _UNITS if seconds % each[1] == 0)
        return f"{seconds // size}{unit}"
    if isinstance(value, Span):
        length = value.end - value.start
        return value.start.strftime(_FORMS.get(length, "%Y-%m-%dT%H:%M"))
    return f"{value:g}" if value != int(value) else str(int(value))
