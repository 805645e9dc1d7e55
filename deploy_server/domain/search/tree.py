"""What an expression means, as a tree.

`!=`, `!~` and `is not empty` are the negations of `=`, `~` and `is empty`; `in` is `=` with
several values. A comparison holds when one value of the field and one given value fit; it never
holds for an empty field.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy_server.domain.search.fields import Field


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text to compare with.

    Attributes:
        pieces: what stands between the wildcards; one piece means no wildcard.
        quoted: it stood in quotes.
    """

    pieces: tuple[str, ...]
    quoted: bool = False

    @property
    def text(self) -> str:
        """The text as it was written, wildcards as *."""
        return "*".join(self.pieces)

    @property
    def is_plain(self) -> bool:
        """Whether it has no wildcard."""
        return len(self.pieces) == 1


@dataclass(frozen=True, slots=True)
class Age:
    """A duration: how long ago."""

    duration: timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """A day, a minute or a second: from `start` until just before `end`, UTC."""

    start: datetime
    end: datetime


Value = Pattern | Age | Span | float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against values.

    Attributes:
        field: which.
        argument: the software or package after the colon, None where the field takes none.
        operator: `=`, `~`, `<`, `<=`, `>` or `>=`.
        values: one, or for `=` several.
    """

    field: Field
    argument: Pattern | None
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """A field without a value."""

    field: Field
    argument: Pattern | None


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of `part`."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of `parts`."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of `parts`."""

    parts: tuple["Node", ...]


Node = Comparison | IsEmpty | Not | And | Or


def leaves(node: Node) -> Iterator[Comparison | IsEmpty]:
    """Yield what a tree asks, without how that is joined."""
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield node
