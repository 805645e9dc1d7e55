"""Conditions on what a computer's inventory says: text, versions, numbers, times, lists."""

import operator as compare
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, not_, or_, select

from deploy_server.domain.addresses import address_key
from deploy_server.domain.search.tree import Age, Pattern, Span, Value
from deploy_server.domain.version import version_key
from deploy_server.storage.models import Computer, ComputerAddress, SoftwareItem, SoftwareSetItem
from deploy_server.storage.search.matching import Match, TextColumn, among, match, matches
from deploy_server.storage.types import UtcDateTime, fold

Clause = ColumnElement[bool]

TEXTS: dict[str, TextColumn] = {
    "name": Computer.name_key.expression,
    "device_id": Computer.device_id_key.expression,
    "os": Computer.os_key.expression,
    "arch": Computer.arch_key.expression,
    "user": Computer.user_key.expression,
    "tag": Computer.tag_key.expression,
    "workgroup": Computer.workgroup_key.expression,
    "serial": Computer.serial_key.expression,
    "model": Computer.model_key.expression,
    "agent": Computer.agent_key.expression,
    "os_version": Computer.os_version_key.expression,
}
TIMES: dict[str, ColumnElement[datetime | None]] = {
    "last_contact": Computer.last_contact.expression,
    "last_inventory": Computer.last_inventory.expression,
}


_OPERATORS: dict[str, Callable[[Any, Any], Clause]] = {
    "=": compare.eq,
    "<": compare.lt,
    "<=": compare.le,
    ">": compare.gt,
    ">=": compare.ge,
}


def patterns(values: Sequence[Value], *, inside: bool) -> list[Match]:
    """Return the texts among `values` for matching."""
    return [match(each.pieces, inside=inside) for each in values if isinstance(each, Pattern)]


def compare_text(column: TextColumn, operator: str, values: Sequence[Value]) -> Clause:
    """Return the condition on a folded column."""
    if operator in ("=", "~"):
        return matches(column, patterns(values, inside=operator == "~"))
    texts = [fold(each.text) for each in values if isinstance(each, Pattern)]
    return and_(column != "", or_(*(_OPERATORS[operator](column, text) for text in texts)))


def compare_version(
    column: TextColumn, sort: TextColumn, operator: str, values: Sequence[Value]
) -> Clause:
    """Return the condition on a version: `column` is its folded text, `sort` its key."""
    texts = [each for each in values if isinstance(each, Pattern)]
    if operator == "~":
        return compare_text(column, operator, texts)
    if operator == "=":
        keys = sorted({version_key(each.text) for each in texts if each.is_plain} - {""})
        wild = [each for each in texts if not each.is_plain]
        return (
            or_(sort.in_(keys), compare_text(column, "=", wild))
            if keys
            else (compare_text(column, "=", wild))
        )
    bounds = (_OPERATORS[operator](sort, version_key(each.text)) for each in texts)
    return and_(sort != "", or_(*bounds))


def compare_memory(operator: str, values: Sequence[Value]) -> Clause:
    """Return the condition on the memory."""
    numbers = [each for each in values if isinstance(each, float)]
    compared = (_OPERATORS[operator](Computer.memory, each) for each in numbers)
    return and_(Computer.memory.is_not(None), or_(*compared))


def compare_time(
    column: ColumnElement[datetime | None],
    operator: str,
    values: Sequence[Value],
    now: datetime | None,
) -> Clause:
    """Return the condition on a time; an age counts back from `now`.

    Without `now` the moment is a parameter, named by `age_name`.
    """
    found = []
    for value in values:
        if isinstance(value, Age):
            found.append(_compare_age(column, operator, _moment(value.duration, now)))
        elif isinstance(value, Span):
            found.append(_compare_span(column, operator, value))
    return and_(column.is_not(None), or_(*found))


def age_name(duration: timedelta) -> str:
    """Return the name of the parameter for the moment that is so long ago."""
    return f"age_{duration // timedelta(microseconds=1)}"


def _moment(duration: timedelta, now: datetime | None) -> Any:
    if now is not None:
        return now - duration
    return bindparam(age_name(duration), type_=UtcDateTime(), required=False)


# Longer ago means earlier.
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}


def _compare_age(column: ColumnElement[Any], operator: str, moment: Any) -> Clause:
    return _OPERATORS[_TURNED[operator]](column, moment)


def _compare_span(column: ColumnElement[Any], operator: str, span: Span) -> Clause:
    if operator == "=":
        return and_(column >= span.start, column < span.end)
    bounds: dict[str, Clause] = {
        "<": column < span.start,
        "<=": column < span.end,
        ">": column >= span.end,
        ">=": column >= span.start,
    }
    return bounds[operator]


def compare_address(
    kind: str, operator: str, values: Sequence[Value], *, alone: bool = False
) -> Clause:
    """Return the condition that one of a computer's addresses fits."""
    wanted = [
        match((address_key(kind, piece) for piece in each.pieces), inside=operator == "~")
        for each in values
        if isinstance(each, Pattern)
    ]
    return _with_address(kind, matches(ComputerAddress.value_key.expression, wanted), alone=alone)


def no_address(kind: str, *, alone: bool = False) -> Clause:
    """Return the condition that a computer has no address of this kind."""
    return not_(_with_address(kind, alone=alone))


def _with_address(kind: str, *conditions: Clause, alone: bool) -> Clause:
    found = select(ComputerAddress.computer_id).where(ComputerAddress.kind == kind, *conditions)
    return among(Computer.id.expression, found, alone=alone)


def compare_software(
    argument: Pattern | None, operator: str, values: Sequence[Value], *, alone: bool = False
) -> Clause:
    """Return the condition on names of software or, with an argument, on its version."""
    name, version = SoftwareItem.name_key.expression, SoftwareItem.version_key.expression
    if argument is None:
        return _with_software(compare_text(name, operator, values), alone=alone)
    sort = SoftwareItem.version_sort.expression
    return _with_software(
        matches(name, [match(argument.pieces)]),
        compare_version(version, sort, operator, values),
        alone=alone,
    )


def no_software(argument: Pattern | None, *, alone: bool = False) -> Clause:
    """Return the condition that a computer has no software at all, or not that one."""
    if argument is None:
        return Computer.software_set_id.is_(None)
    name = SoftwareItem.name_key.expression
    return not_(_with_software(matches(name, [match(argument.pieces)]), alone=alone))


def _with_software(*conditions: Clause, alone: bool) -> Clause:
    found = (
        select(SoftwareSetItem.set_id)
        .join(SoftwareItem, SoftwareItem.id == SoftwareSetItem.item_id)
        .where(*conditions)
    )
    # A computer without software has no set; NULL in a list would be NULL.
    column: Any = Computer.software_set_id.expression
    return and_(column.is_not(None), among(column, found, alone=alone))
