"""Computers as people look at them: lists, search, inventory, deletion.

Every function takes `perimeter`, the tags a person is limited to; None means every computer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

Perimeter = frozenset[str] | None

#: What lists may be sorted by.
SORTS = (
    "name",
    "device_id",
    "tag",
    "os",
    "os_version",
    "ip",
    "user",
    "memory",
    "last_contact",
    "last_inventory",
)


@dataclass(frozen=True, slots=True)
class ComputerRow:
    """One line of a list."""

    id: int
    device_id: str
    name: str
    tag: str
    os_family: str
    os: str
    os_version: str
    arch: str
    ip: str
    user: str
    workgroup: str
    serial: str
    model: str
    memory: int | None
    agent: str
    created_at: datetime
    last_contact: datetime | None
    last_inventory: datetime | None


@dataclass(frozen=True, slots=True)
class ComputerPage:
    """A page of a list.

    Attributes:
        rows: at most `page_size`.
        total: rows of all pages.
        page: from 1.
        page_size: rows of a full page.
    """

    rows: tuple[ComputerRow, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


@dataclass(frozen=True, slots=True)
class Membership:
    """A group that a computer is in, or is kept out of.

    Attributes:
        group_id: its row.
        name: of the group.
        kind: of the group, `static` or `dynamic`.
        member: False where it was excluded by hand.
        reason: a sentence: put in by whom, or the expression that it matches.
    """

    group_id: int
    name: str
    kind: str
    member: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SoftwareRow:
    """One installed software."""

    name: str
    version: str
    publisher: str


def search_computers(
    session: Session,
    expression: str = "",
    *,
    now: datetime,
    perimeter: Perimeter = None,
    sort: str = "name",
    descending: bool = False,
    page: int = 1,
    page_size: int = 50,
) -> ComputerPage:
    """Return a page of the computers that match; '' matches all.

    Raises:
        SearchError: the expression; a SpecError with field `expression` that names the character.
        SpecError: field `sort` or `page`.
    """
    raise NotImplementedError


def count_computers(
    session: Session, expression: str = "", *, now: datetime, perimeter: Perimeter = None
) -> int:
    """Return how many computers match.

    Raises:
        SearchError: as `search_computers`.
    """
    raise NotImplementedError


def iter_computers(
    session: Session, expression: str = "", *, now: datetime, perimeter: Perimeter = None
) -> Iterator[ComputerRow]:
    """Yield every computer that matches, by name; for exports and the command line.

    Raises:
        SearchError: as `search_computers`.
    """
    raise NotImplementedError


def get_computer(session: Session, device_id: str, *, perimeter: Perimeter = None) -> ComputerRow:
    """Return one computer.

    Raises:
        NotFound: no such computer inside the perimeter.
    """
    raise NotImplementedError


def get_computer_by_id(
    session: Session, computer_id: int, *, perimeter: Perimeter = None
) -> ComputerRow:
    """Return one computer by the id of its row.

    Raises:
        NotFound: no such computer inside the perimeter.
    """
    raise NotImplementedError


def inventory_sections(
    session: Session, computer_id: int
) -> dict[str, list[list[tuple[str, str]]]]:
    """Return the last inventory by section, without the software.

    Shape: {"DRIVES": [[("TYPE", "/"), ("TOTAL", "258019")], ...], ...}
    """
    raise NotImplementedError


def software_of(session: Session, computer_id: int) -> list[SoftwareRow]:
    """Return the installed software, by name."""
    raise NotImplementedError


def memberships_of(session: Session, computer_id: int, *, now: datetime) -> list[Membership]:
    """Return the groups that the computer is in or is kept out of, each with the reason."""
    raise NotImplementedError


def tags_in_use(session: Session) -> list[str]:
    """Return every tag that a computer carries, sorted."""
    raise NotImplementedError


def delete_computers(
    session: Session, device_ids: Sequence[str], *, actor: str, perimeter: Perimeter = None
) -> int:
    """Remove computers with their inventories and assignments; results stay in history.

    Returns:
        How many there were.

    Raises:
        NotFound: one of them is not there; nothing was removed.
    """
    raise NotImplementedError
