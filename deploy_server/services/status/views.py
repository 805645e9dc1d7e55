"""What questions about progress are answered with."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.telling import Told

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
class Wanted:
    """Which of the computers that have a package; what is None says nothing.

    Attributes:
        status: WAITING, NOTIFIED or a result, verbatim.
        status_class: what it counts as.
        group: the name of the group it came through, `NO_GROUP` for none.
        when: a day or an hour in which it ended, such as 2026-11-21 or 2026-11-21T10; UTC.
    """

    status: str | None = None
    status_class: ResultClass | None = None
    group: str | None = None
    when: str | None = None


EVERYTHING = Wanted()
#: The group of those that have a package by themselves.
NO_GROUP = ""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One computer in the results of a package.

    `told` is what our agent said last; `reason` is why it is not done yet or what its error means,
    '' for a success.
    """

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
    told: Told | None = None
    reason: str = ""


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
        told: what our agent said last of this attempt, None where it said nothing.
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
    told: Told | None = None


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
