"""What may stand at a place of an unfinished expression: a field, an operator, a value, a join.

Text before the place is read as far as it goes and never refused: people are still writing it.
"""

import re
from dataclasses import dataclass
from enum import Enum

from deploy_server.domain.search.fields import BY_NAME, FIELDS, Argument, Field
from deploy_server.domain.search.tokens import LENGTH_MAX

_PIECE = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<open>"(?:[^"\\]|\\.)*\\?\Z)
      | (?P<sign>!=|!~|<=|>=|[=~<>(),!])
      | (?P<word>[^\s"(),=!~<>]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r'\\(["\\])')


class Kind(Enum):
    """What may stand at a place."""

    FIELD = "field"
    ARGUMENT = "argument"
    OPERATOR = "operator"
    VALUE = "value"
    JOIN = "join"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Place:
    """What may stand where somebody writes.

    Attributes:
        kind: of what.
        start: where the piece begins that is being written; it ends at the place.
        prefix: the piece, without quotes.
        field: of an argument, an operator or a value.
        argument: the software or package that was named, '' for none.
    """

    kind: Kind
    start: int
    prefix: str
    field: Field | None = None
    argument: str = ""


@dataclass
class _Reader:
    """Follows the grammar through the pieces before the place."""

    expects: Kind = Kind.FIELD
    field: Field | None = None
    argument: str = ""
    in_list: bool = False
    waits_for_list: bool = False

    def take(self, kind: str, text: str) -> None:
        """Take a piece that is complete."""
        low = text.lower() if kind == "word" else text
        if self.expects in (Kind.FIELD, Kind.ARGUMENT):
            self._field(kind, text, low)
        elif self.expects is Kind.OPERATOR:
            self._operator(kind, low)
        elif self.expects is Kind.VALUE:
            self._value(kind, low)
        elif self.in_list and low in (",", ")"):
            self.expects = Kind.VALUE if low == "," else Kind.JOIN
            self.in_list = low == ","
        elif low in ("and", "or"):
            self.expects = Kind.FIELD

    def _field(self, kind: str, text: str, low: str) -> None:
        if self.expects is Kind.ARGUMENT:
            self.argument, self.expects = text, Kind.OPERATOR
        elif kind == "word" and low != "not":
            name, colon, rest = text.partition(":")
            self.field, self.argument = BY_NAME.get(name.lower()), rest
            self.expects = Kind.ARGUMENT if colon and not rest else Kind.OPERATOR

    def _operator(self, kind: str, low: str) -> None:
        if low == "is":
            return
        if kind == "word" and low in ("not", "empty"):
            self.expects = Kind.JOIN if low == "empty" else Kind.OPERATOR
            return
        self.expects = Kind.VALUE
        self.waits_for_list = low == "in"

    def _value(self, kind: str, low: str) -> None:
        if low == "(" and self.waits_for_list:
            self.in_list, self.waits_for_list = True, False
        else:
            self.expects = Kind.JOIN


def place_in(text: str, at: int) -> Place:
    """Return what may stand at character `at` of `text`."""
    text = text[: min(max(at, 0), LENGTH_MAX)]
    reader = _Reader()
    pieces = [(found.lastgroup or "", found) for found in _PIECE.finditer(text)]
    last = pieces[-1] if pieces else None
    # A piece that touches the place is still being written, unless it is closed by itself.
    writing = last is not None and (last[0] in ("word", "open") or last[1].group() == "!")
    for kind, found in pieces[:-1] if writing else pieces:
        if kind != "space":
            reader.take(kind, _meaning(kind, found.group()))
    if not writing or last is None:
        return _place(reader, len(text), "")
    kind, found = last
    return _place(reader, found.start(), _meaning(kind, found.group()))


def _meaning(kind: str, text: str) -> str:
    if kind == "quoted":
        return _ESCAPE.sub(r"\1", text[1:-1])
    return _ESCAPE.sub(r"\1", text[1:]) if kind == "open" else text


def _place(reader: _Reader, start: int, prefix: str) -> Place:
    name, colon, rest = prefix.partition(":")
    if reader.expects is Kind.FIELD and colon:
        field = BY_NAME.get(name.lower())
        if field is None or field.argument is Argument.NEVER:
            return Place(Kind.NOTHING, start, prefix)
        return Place(Kind.ARGUMENT, start + len(name) + 1, rest, field)
    if reader.expects in (Kind.FIELD, Kind.JOIN):
        return Place(reader.expects, start, prefix)
    if reader.field is None or reader.waits_for_list:
        return Place(Kind.NOTHING, start, prefix)
    return Place(reader.expects, start, prefix, reader.field, reader.argument)


def field_names() -> list[tuple[str, str]]:
    """Return what begins a condition, each with what it means."""
    found: list[tuple[str, str]] = []
    for field in FIELDS:
        if field.argument is not Argument.MUST:
            found.append((field.name, field.meaning))
        if field.argument is not Argument.NEVER:
            found.append((f"{field.name}:", field.meaning))
    return found


#: What operators mean, in the words of the criteria builder.
OPERATORS = {
    "=": "is",
    "!=": "is not",
    "~": "contains",
    "!~": "does not contain",
    "<": "less than; more recent than",
    "<=": "at most",
    ">": "more than; longer ago than",
    ">=": "at least",
    "in": "is one of",
    "is empty": "has no value",
    "is not empty": "has a value",
}


def operators_of(field: Field, argument: str) -> list[str]:
    """Return the operators that a field takes, also those that look whether it is empty."""
    return [*field.operators(bool(argument)), "is empty", "is not empty"]
