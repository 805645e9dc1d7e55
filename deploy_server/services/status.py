"""How far packages are: counts, lists behind the counts, histories, validation.

Every count is the length of the list that `results` gives for the same arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass

Perimeter = frozenset[str] | None
Validation = Literal["success", "not_notified", "all"]


@dataclass(frozen=True, slots=True)
class PackageStatus:
    """The counts of one package.

    Attributes:
        package_id: its id.
        total: computers that have it assigned, cleared ones left out.
        by_status: WAITING, NOTIFIED, then results verbatim.
        by_class: the same in four classes, every class present.
        already: those of the class success that had the package before.
    """

    package_id: int
    total: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    by_class: dict[ResultClass, int] = field(default_factory=dict)
    already: int = 0


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One computer in the results of a package."""

    computer_id: int
    device_id: str
    computer_name: str
    tag: str
    status: str
    status_class: ResultClass
    since: datetime
    group: str
    last_contact: datetime | None
    assigned_at: datetime
    assigned_by: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of results.

    Attributes:
        rows: at most `page_size`.
        total: rows of all pages.
        page: from 1.
        page_size: rows of a full page.
    """

    rows: tuple[ResultRow, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


@dataclass(frozen=True, slots=True)
class Deployment:
    """One package on one computer.

    Attributes:
        package: its id.
        name: of the package.
        status: WAITING, NOTIFIED or the result verbatim.
        status_class: what it counts as.
        since: of the status.
        reason: a sentence: why it is not done yet, or what the result means.
        activation: `A7`.
        group: the group it came through, '' for none.
        attempt: X_ATTEMPT.
        force: also where history has it.
        schedule: as assigned.
        postcmd: as assigned.
        assigned_at: when.
        assigned_by: who.
    """

    package: int
    name: str
    status: str
    status_class: ResultClass
    since: datetime
    reason: str
    activation: str
    group: str
    attempt: int
    force: bool
    schedule: str
    postcmd: str
    assigned_at: datetime
    assigned_by: str


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One result that arrived."""

    at: datetime
    package: int
    package_name: str
    device_id: str
    computer_name: str
    code: str
    result_class: ResultClass
    attempt: int | None
    counted: bool
    note: str


@dataclass(frozen=True, slots=True)
class Slice:
    """One line of statistics.

    Attributes:
        key: a status, a group's name, or an hour as UTC text.
        by_class: computers per class.
        total: computers.
    """

    key: str
    by_class: dict[ResultClass, int]
    total: int


def package_status(
    session: Session, package_id: int, *, now: datetime, perimeter: Perimeter = None
) -> PackageStatus:
    """Return the counts of a package.

    Raises:
        NotFound: no such package.
    """
    raise NotImplementedError


def package_statuses(
    session: Session, package_ids: Sequence[int], *, now: datetime, perimeter: Perimeter = None
) -> dict[int, PackageStatus]:
    """Return the counts of several packages, every id present; for lists."""
    raise NotImplementedError


def results(
    session: Session,
    package_id: int,
    *,
    now: datetime,
    status: str | None = None,
    status_class: ResultClass | None = None,
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 50,
) -> ResultPage:
    """Return the computers behind a count, newest change first.

    Raises:
        NotFound: no such package.
    """
    raise NotImplementedError


def computer_deployments(session: Session, computer_id: int, *, now: datetime) -> list[Deployment]:
    """Return the packages of a computer, those that are not done first."""
    raise NotImplementedError


def computer_history(session: Session, device_id: str, *, limit: int = 200) -> list[HistoryRow]:
    """Return the results of a computer that arrived, newest first."""
    raise NotImplementedError


def recent_failures(
    session: Session, *, since: datetime, perimeter: Perimeter = None, limit: int = 20
) -> list[ResultRow]:
    """Return the computers whose package ended in an error since then, newest first."""
    raise NotImplementedError


def statistics(
    session: Session,
    package_id: int,
    *,
    by: Literal["status", "group", "hour"] = "status",
    now: datetime,
    perimeter: Perimeter = None,
) -> list[Slice]:
    """Return the counts of a package by status, by group, or results by hour (in order).

    Raises:
        NotFound: no such package.
    """
    raise NotImplementedError


def validate(
    session: Session,
    package_id: int,
    what: Validation,
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Clear rows that succeeded, withdraw those that wait, or clear every row.

    What is cleared stays in history and is not offered again through a group.

    Returns:
        How many rows.

    Raises:
        NotFound: no such package.
    """
    raise NotImplementedError
