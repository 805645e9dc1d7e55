"""Completion of expressions: fields, operators, and the values that a reader may see."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from deploy_server.domain.search.completion import (
    OPERATORS,
    Kind,
    Place,
    field_names,
    operators_of,
    place_in,
)
from deploy_server.domain.search.fields import FieldKind
from deploy_server.domain.search.writing import quoted
from deploy_server.storage.models import (
    Assignment,
    Computer,
    ComputerAddress,
    Group,
    Package,
    SoftwareItem,
    SoftwareSetItem,
)
from deploy_server.storage.search import within
from deploy_server.storage.search.matching import match
from deploy_server.storage.types import fold

SUGGESTIONS_MAX = 12

Perimeter = frozenset[str] | None
Clause = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that may be written.

    Attributes:
        text: what replaces the piece, with a blank behind it where something has to follow.
        label: what people read.
        note: what it means, '' for nothing.
    """

    text: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand at a place.

    Attributes:
        start: of the piece that is replaced; it ends where the reader writes.
        suggestions: at most `SUGGESTIONS_MAX`.
    """

    start: int
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where values come from: a database, as far as a reader sees it."""

    session: Session
    perimeter: Perimeter
    all_groups: bool

    def texts(self, statement: Any) -> list[str]:
        """The first texts of a statement that groups by a key and selects the text of each."""
        rows = self.session.execute(statement.limit(SUGGESTIONS_MAX))
        return [row[0] for row in rows]


def complete(
    session: Session, text: str, at: int, *, perimeter: Perimeter = None, all_groups: bool = True
) -> Completion:
    """Return what may stand at character `at` of `text`.

    Args:
        session: reads only.
        text: an expression, finished or not.
        at: from 0.
        perimeter: tags that limit the values.
        all_groups: else the visible ones only.
    """
    place = place_in(text, at)
    sources = _Sources(session, perimeter, all_groups)
    found = list(_MAKERS[place.kind](sources, place))
    return Completion(place.start, tuple(found[:SUGGESTIONS_MAX]))


def _fields(_: _Sources, place: Place) -> Iterable[Suggestion]:
    prefix = place.prefix.lower()
    for name, meaning in (*field_names(), ("not", "the opposite of what follows")):
        if name.startswith(prefix):
            yield Suggestion(name if name.endswith(":") else f"{name} ", name, meaning)


def _joins(_: _Sources, place: Place) -> Iterable[Suggestion]:
    for word, meaning in (("and", "both have to hold"), ("or", "one of them has to hold")):
        if word.startswith(place.prefix.lower()):
            yield Suggestion(f"{word} ", word, meaning)


def _operators(_: _Sources, place: Place) -> Iterable[Suggestion]:
    assert place.field is not None
    for sign in operators_of(place.field, place.argument):
        if sign.startswith(place.prefix.lower()):
            yield Suggestion(f"{sign} (" if sign == "in" else f"{sign} ", sign, OPERATORS[sign])


def _arguments(sources: _Sources, place: Place) -> Iterable[Suggestion]:
    assert place.field is not None
    texts = _software if place.field.name == "software" else _packages
    for text in texts(sources, place):
        yield Suggestion(f"{quoted(text)} ", text)


def _values(sources: _Sources, place: Place) -> Iterable[Suggestion]:
    assert place.field is not None
    name = place.field.name
    if place.field.kind is FieldKind.TIME:
        for text, meaning in _AGES:
            if text.startswith(place.prefix.lower()):
                yield Suggestion(f"{text} ", text, meaning)
        return
    find = _SOURCES.get(name, _texts)
    for text in find(sources, place):
        # A class of results stands without quotes, a status verbatim is one word anyway.
        yield Suggestion(f"{quoted(text)} ", text)


def _nothing(_: _Sources, _place: Place) -> Iterable[Suggestion]:
    return ()


def _texts(sources: _Sources, place: Place) -> list[str]:
    assert place.field is not None
    name = place.field.name
    column, key = getattr(Computer, name), getattr(Computer, f"{name}_key")
    fits = _begins if name in _MANY else _contains
    where = (key != "", fits(key, place.prefix), *within(sources.perimeter))
    return sources.texts(select(func.min(column), key).where(*where).group_by(key).order_by(key))


def _memory(sources: _Sources, place: Place) -> list[str]:
    rows = sources.session.scalars(
        select(Computer.memory)
        .where(Computer.memory.is_not(None), *within(sources.perimeter))
        .group_by(Computer.memory)
        .order_by(Computer.memory)
        .limit(200)
    )
    return [str(each) for each in rows if str(each).startswith(place.prefix)]


def _addresses(sources: _Sources, place: Place) -> list[str]:
    assert place.field is not None
    address = ComputerAddress
    mine = (
        select(func.min(address.value), address.value_key)
        .where(address.kind == place.field.name, _begins(address.value_key, place.prefix))
        .group_by(address.value_key)
        .order_by(address.value_key)
    )
    if sources.perimeter is not None:
        mine = mine.join(Computer, Computer.id == address.computer_id)
        mine = mine.where(*within(sources.perimeter))
    return sources.texts(mine)


def _groups(sources: _Sources, place: Place) -> list[str]:
    where = [_contains(Group.name_key, place.prefix)]
    if not sources.all_groups:
        where.append(Group.visible.is_(True))
    return sources.texts(select(Group.name).where(*where).order_by(Group.name_key))


def _software(sources: _Sources, place: Place) -> list[str]:
    item = SoftwareItem
    if place.kind is Kind.VALUE and place.argument:
        named = and_(item.name_key == fold(place.argument), _begins(item.version_key, place.prefix))
        text, key = item.version, item.version_sort
    else:
        named, text, key = _begins(item.name_key, place.prefix), item.name, item.name_key
    where = [named, *_installed(sources.perimeter)]
    return sources.texts(select(func.min(text), key).where(*where).group_by(key).order_by(key))


def _installed(perimeter: Perimeter) -> list[Clause]:
    if perimeter is None:
        return []
    found = (
        select(SoftwareSetItem.item_id)
        .join(Computer, Computer.software_set_id == SoftwareSetItem.set_id)
        .where(SoftwareSetItem.item_id == SoftwareItem.id, *within(perimeter))
    )
    return [exists(found)]


def _packages(sources: _Sources, place: Place) -> list[str]:
    where = (Package.deleted_at.is_(None), _contains(Package.name_key, place.prefix))
    return sources.texts(select(Package.name).where(*where).order_by(Package.name_key))


def _statuses(sources: _Sources, place: Place) -> list[str]:
    named = Package.name_key == fold(place.argument)
    if place.argument.isascii() and place.argument.isdigit() and len(place.argument) < 11:
        named = named | (Package.id == int(place.argument))
    where = [Assignment.package_id.in_(select(Package.id).where(named))]
    where.append(Assignment.cleared_at.is_(None))
    statement = select(Assignment.status).where(*where).distinct().order_by(Assignment.status)
    if sources.perimeter is not None:
        statement = statement.join(Computer, Computer.id == Assignment.computer_id)
        statement = statement.where(*within(sources.perimeter))
    prefix = place.prefix.lower()
    found = [*_CLASSES, *sources.texts(statement)]
    return [each for each in found if each.lower().startswith(prefix)]


def _begins(key: Any, prefix: str) -> Clause:
    """Whether a folded column begins so; as a range, so that an index finds it."""
    low = fold(prefix)
    return and_(key >= low, key < low + "\U0010ffff") if low else key != ""


def _contains(key: Any, text: str) -> Clause:
    clause: Clause = key.like(match((text,), inside=True).like(), escape="\\")
    return clause


#: Fields whose values are nearly as many as computers: completed from the beginning on.
_MANY = frozenset({"name", "device_id", "user", "serial"})
_CLASSES = ("success", "error", "waiting", "notified", "none")
_AGES = (
    ("1h", "an hour ago"),
    ("1d", "a day ago"),
    ("7d", "a week ago"),
    ("30d", "a month ago"),
    ("90d", "three months ago"),
)
_SOURCES: dict[str, Callable[[_Sources, Place], list[str]]] = {
    "memory": _memory,
    "ip": _addresses,
    "mac": _addresses,
    "group": _groups,
    "software": _software,
    "package": _statuses,
}
_MAKERS: dict[Kind, Callable[[_Sources, Place], Iterable[Suggestion]]] = {
    Kind.FIELD: _fields,
    Kind.ARGUMENT: _arguments,
    Kind.OPERATOR: _operators,
    Kind.VALUE: _values,
    Kind.JOIN: _joins,
    Kind.NOTHING: _nothing,
}
