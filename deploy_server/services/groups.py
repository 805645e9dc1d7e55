"""Groups of computers: static by hand, dynamic by an expression, with exceptions by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from deploy_server.services.computers import ComputerPage

Perimeter = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as lists show it.

    Attributes:
        id: its row.
        name: unique without case.
        description: for people.
        kind: `static` or `dynamic`.
        expression: of a dynamic one.
        visible: operators may put their computers into it.
        members: how many, inside the perimeter.
        created_at: when.
        created_by: who.
    """

    id: int
    name: str
    description: str
    kind: str
    expression: str
    visible: bool
    members: int
    created_at: datetime
    created_by: str


def list_groups(
    session: Session, *, now: datetime, perimeter: Perimeter = None, visible_only: bool = False
) -> list[GroupRow]:
    """Return the groups by name, with their member counts."""
    raise NotImplementedError


def get_group(
    session: Session, name: str, *, now: datetime, perimeter: Perimeter = None
) -> GroupRow:
    """Return one group; `name` without case.

    Raises:
        NotFound: no such group.
    """
    raise NotImplementedError


def group_members(
    session: Session,
    name: str,
    *,
    now: datetime,
    perimeter: Perimeter = None,
    sort: str = "name",
    descending: bool = False,
    page: int = 1,
    page_size: int = 50,
) -> ComputerPage:
    """Return a page of the group's members.

    Raises:
        NotFound: no such group.
    """
    raise NotImplementedError


def add_group(
    session: Session,
    name: str,
    *,
    expression: str | None = None,
    description: str = "",
    visible: bool = False,
    actor: str,
    now: datetime,
) -> GroupRow:
    """Make a group: static, or dynamic where there is an expression.

    Raises:
        SpecError: field `name`, `visible` or `expression`.
        Conflict: the name is taken.
    """
    raise NotImplementedError


def edit_group(
    session: Session,
    name: str,
    *,
    new_name: str | None = None,
    expression: str | None = None,
    description: str | None = None,
    visible: bool | None = None,
    now: datetime,
) -> GroupRow:
    """Change a group; None leaves a field as it is.

    Raises:
        NotFound: no such group.
        SpecError: as `add_group`.
        Conflict: the new name is taken.
    """
    raise NotImplementedError


def delete_group(session: Session, name: str) -> None:
    """Remove a group with its settings and assignments; what members were told of goes on.

    Raises:
        NotFound: no such group.
    """
    raise NotImplementedError


def include(
    session: Session,
    name: str,
    device_ids: Sequence[str],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Put computers into a group by hand; returns how many were not in it that way before.

    Raises:
        NotFound: no such group, or a computer outside the perimeter.
        Forbidden: with a perimeter, where the group is not visible.
    """
    raise NotImplementedError


def exclude(
    session: Session,
    name: str,
    device_ids: Sequence[str],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Keep computers out of a group, whatever its expression says.

    Raises:
        As `include`.
    """
    raise NotImplementedError


def reset(
    session: Session,
    name: str,
    device_ids: Sequence[str],
    *,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Forget what was said by hand about computers: a dynamic group's expression decides again.

    Raises:
        As `include`.
    """
    raise NotImplementedError
