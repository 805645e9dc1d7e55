"""Giving packages to computers, and taking them back.

Set-based: one statement whatever the number of computers. What the rows become afterwards is
services/contact.py's (offers) and services/status.py's (counts) business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from deploy_server.storage.models import Activation

Perimeter = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which computers; exactly one of the fields says it.

    Attributes:
        device_ids: these.
        computer_ids: these, by the ids of their rows.
        expression: those that match now.
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


def find_activation(session: Session, target: str) -> Activation:
    """Return the activation that `target` names: `A7`, or a package with exactly one.

    Raises:
        NotFound: no such activation or package.
        Conflict: the package has none, or several (the message lists them).
    """
    raise NotImplementedError


def preview(
    session: Session,
    target: str,
    selection: Selection,
    *,
    now: datetime,
    perimeter: Perimeter = None,
) -> AssignResult:
    """Return what `assign` would do; changes nothing.

    Raises:
        As `assign`.
    """
    raise NotImplementedError


def assign(
    session: Session,
    target: str,
    selection: Selection,
    *,
    force: bool = False,
    schedule: str = "",
    postcmd: str = "",
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> AssignResult:
    """Give a package to computers; whoever had it before starts again with a new attempt.

    Args:
        session: not committed here.
        target: as for `find_activation`.
        selection: whom.
        force: also where history has it.
        schedule: 'YYYY/MM/DD HH:MM', the computer's local time; '' is at once.
        postcmd: '', REBOOT, SHUTDOWN or a command line.
        actor: who assigns.
        now: UTC.
        perimeter: tags; a group takes none.

    Raises:
        SpecError: field `schedule`, `postcmd`, `selection` or `expression`.
        NotFound: activation, package, group, or a named computer.
        Conflict: as `find_activation`.
        Forbidden: a group with a perimeter.
    """
    raise NotImplementedError


def unassign(
    session: Session,
    target: str,
    selection: Selection | None = None,
    *,
    not_notified: bool = False,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Take a package back from computers, or from all that were not notified yet.

    A group loses its assignment; members whom an agent was told of keep their rows.

    Returns:
        How many rows are gone.

    Raises:
        As `assign`.
    """
    raise NotImplementedError


def assign_again(
    session: Session,
    package_id: int,
    computer_ids: Sequence[int],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Start assignments that ended in an error again, with their own force, schedule, postcmd.

    Returns:
        How many rows wait again.
    """
    raise NotImplementedError
