"""Text patterns as SQL over folded columns, and the same in Python.

LIKE never sees a sign of its own in a value.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, false, or_

from deploy_server.storage.models import Computer
from deploy_server.storage.types import fold

_ESCAPE = "\\"
_SIGNS = re.compile(r"[\\%_]")

TextColumn = ColumnElement[str]


@dataclass(frozen=True, slots=True)
class Match:
    """Folded text to find.

    Attributes:
        pieces: what stands between the wildcards.
        inside: anywhere in the text, not the whole of it.
    """

    pieces: tuple[str, ...]
    inside: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is equality with one text."""
        return len(self.pieces) == 1 and not self.inside

    def like(self) -> str:
        """Return the pattern for LIKE; its escape is the backslash."""
        pattern = "%".join(_SIGNS.sub(r"\\\g<0>", piece) for piece in self.pieces)
        return f"%{pattern}%" if self.inside else pattern

    def holds(self, text: str) -> bool:
        """Return whether `text`, folded, fits; empty text never does."""
        first, *rest = self.pieces
        if self.inside:
            return bool(text) and first in text
        if not rest:
            return bool(text) and text == first
        *middle, last = rest
        if not text.startswith(first) or len(text) < len(first) + len(last):
            return False
        return (
            bool(text)
            and text.endswith(last)
            and _in_order(middle, text[len(first) : len(text) - len(last)])
        )


def _in_order(pieces: Iterable[str], text: str) -> bool:
    """Return whether the pieces stand in the text, one after the other; in linear time."""
    position = 0
    for piece in pieces:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def match(pieces: Iterable[str], *, inside: bool = False) -> Match:
    """Return what finds these pieces, folded."""
    return Match(tuple(fold(piece) for piece in pieces), inside)


def matches(column: TextColumn, wanted: Iterable[Match]) -> ColumnElement[bool]:
    """Return the condition that `column` holds one of `wanted`; never true for empty text."""
    wanted = list(wanted)
    plain = sorted({each.pieces[0] for each in wanted if each.is_plain} - {""})
    found: list[ColumnElement[bool]] = []
    if plain:
        found.append(column == plain[0] if len(plain) == 1 else column.in_(plain))
    for each in wanted:
        if not any(each.pieces) and not each.is_plain:
            found.append(column != "")
        elif not each.is_plain:
            found.append(column.like(each.like(), escape=_ESCAPE))
    return or_(*found) if found else false()


def among(column: ColumnElement[int], found: Select[int], *, alone: bool) -> ColumnElement[bool]:
    """Return the condition that a column of Computer is one of what `found` selects.

    Args:
        column: of Computer.
        found: selects one column; NULL is none of it.
        alone: the condition is for one computer and not for many: what belongs to it is looked up,
            and not the whole list made in which it is to be found.
    """
    if not alone:
        return column.in_(found)
    return found.where(found.selected_columns[0] == column).correlate(Computer).exists()


def within(perimeter: frozenset[str] | None) -> list[ColumnElement[bool]]:
    """Return the condition that a computer carries one of these tags; nothing for None."""
    if perimeter is None:
        return []
    return [Computer.tag_key.in_(sorted({fold(tag) for tag in perimeter} - {""}))]
