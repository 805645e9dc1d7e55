"""What an assignment is asked for, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass

Perimeter = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which computers; exactly one of the fields says it.

    Attributes:
        device_ids: these.
        computer_ids: these, by the ids of their rows.
        expression: those that match now; '' is every computer.
        group: whoever is in the group of this name, now and later.
    """

    device_ids: Sequence[str] | None = None
    computer_ids: Sequence[int] | None = None
    expression: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A computer that does not get the package, and why."""

    device_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AssignResult:
    """What an assignment did.

    Attributes:
        assigned: computers that wait for the package now; of a group, its members whom it suits.
        skipped: the others.
    """

    assigned: int
    skipped: tuple[Skipped, ...]
