"""Packages page by page, as the console lists them: filtered, sorted, counted.

Counting results is what costs; it is done for the packages of the page alone, unless the list is
sorted or filtered by it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_agent.wire.terms import Action
from deploy_server.domain.errors import SpecError
from deploy_server.domain.spec import OS_FAMILIES
from deploy_server.services import status
from deploy_server.services.packages import PackageRow, listed
from deploy_server.services.status import PackageStatus
from deploy_server.storage.models import Activation, Package
from deploy_server.storage.types import fold

Perimeter = frozenset[str] | None

_BY_PACKAGE: dict[str, Callable[[Package], Any]] = {
    "name": lambda package: package.name_key,
    "id": lambda package: package.id,
    "created": lambda package: package.id,
    "deleted": lambda package: (package.deleted_at is None, package.deleted_at),
    "created_by": lambda package: fold(package.created_by),
    "description": lambda package: fold(package.description),
    "target": lambda package: fold(package.target),
    "priority": lambda package: package.priority,
    "size": lambda package: package.size,
    "fragments": lambda package: package.fragments,
    "revision": lambda package: package.revision,
    "os": lambda package: package.os,
    "action": lambda package: package.action,
}
_BY_COUNT = {each.name.lower(): each for each in ResultClass}
_ACTIVATIONS, _TOTAL = "activations", "total"

#: What the list may be sorted by.
SORTS = (*_BY_PACKAGE, _ACTIVATIONS, *_BY_COUNT, _TOTAL)

#: What a list may be filtered by, besides a text: the values of each filter; "" is any.
FILTERS: dict[str, tuple[str, ...]] = {
    "os": OS_FAMILIES,
    "action": tuple(Action),
    "state": ("activated", "inactive", "hidden"),
    "having": (*_BY_COUNT, "nobody"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which packages a list shows.

    Attributes:
        query: is in their name, id, description or target.
        deleted: the deleted ones.
        os: for this system; "" is any, and so on.
        action: what they do.
        state: `activated`, `inactive` or `hidden`.
        having: with computers of this class of results, or with `nobody` at all.
    """

    query: str = ""
    deleted: bool = False
    os: str = ""
    action: str = ""
    state: str = ""
    having: str = ""

    def __post_init__(self) -> None:
        for name, values in FILTERS.items():
            value = getattr(self, name)
            if value and value not in values:
                problem = f"packages cannot be filtered by {name} {value[:40]!r}"
                raise SpecError(name, problem, f"Take one of {', '.join(values)}")

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out of its tab."""
        return bool(self.query or any(getattr(self, name) for name in FILTERS))


@dataclass(frozen=True, slots=True)
class PackagePage:
    """A page of packages.

    Attributes:
        rows: at most `page_size`.
        total: packages that match.
        page: from 1; past the end it is the last one.
        page_size: rows of a full page.
        unfiltered: packages there are.
    """

    rows: tuple[PackageRow, ...]
    total: int
    page: int
    page_size: int
    unfiltered: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is counted, as somebody with these tags counts it at this moment."""

    session: Session
    now: datetime
    perimeter: Perimeter

    def of_class(self, found: Iterable[Package], which: ResultClass | None) -> dict[int, int]:
        """For each package the number in a class; None is all of them."""
        ids = [each.id for each in found]
        return status.class_counts(self.session, ids, which, now=self.now, perimeter=self.perimeter)

    def statuses(self, found: Iterable[Package]) -> dict[int, PackageStatus]:
        ids = [each.id for each in found]
        return status.package_statuses(self.session, ids, now=self.now, perimeter=self.perimeter)

    def activations(self) -> dict[int, int]:
        statement = (
            select(Activation.package_id, func.count())
            .where(Activation.ended_at.is_(None))
            .group_by(Activation.package_id)
        )
        return {row[0]: row[1] for row in self.session.execute(statement)}


def package_page(
    session: Session,
    wanted: Wanted,
    *,
    now: datetime,
    sort: str = "created",
    descending: bool = True,
    page: int = 1,
    page_size: int = 50,
    perimeter: Perimeter = None,
) -> PackagePage:
    """Return a page of the packages that are wanted.

    Raises:
        SpecError: field `sort`.
    """
    if sort not in SORTS:
        problem = f"packages cannot be sorted by {sort[:40]!r}"
        raise SpecError("sort", problem, f"Sort by {', '.join(SORTS)}")
    in_tab = select(Package).where(*listed(deleted=wanted.deleted)).order_by(Package.id.desc())
    everything = session.scalars(in_tab).all()
    numbers = _Numbers(session, now, perimeter)
    activations = numbers.activations()
    found = [each for each in everything if _matches(each, wanted, activations)]
    if wanted.having == "nobody":
        totals = numbers.of_class(found, None)
        found = [each for each in found if not totals[each.id]]
    elif wanted.having:
        having = numbers.of_class(found, _BY_COUNT[wanted.having])
        found = [each for each in found if having[each.id]]
    found.sort(key=_order(sort, found, numbers, activations), reverse=descending)
    page = max(1, min(page, -(-len(found) // page_size)))
    shown = found[(page - 1) * page_size : page * page_size]
    counts = numbers.statuses(shown)
    rows = tuple(PackageRow(each, activations.get(each.id, 0), counts[each.id]) for each in shown)
    return PackagePage(rows, len(found), page, page_size, len(everything))


def _order(
    sort: str, found: list[Package], numbers: _Numbers, activations: dict[int, int]
) -> Callable[[Package], Any]:
    if sort in _BY_PACKAGE:
        return _BY_PACKAGE[sort]
    if sort == _ACTIVATIONS:
        counted = activations
    elif sort == _TOTAL:
        counted = numbers.of_class(found, None)
    else:
        counted = numbers.of_class(found, _BY_COUNT[sort])
    return lambda package: counted.get(package.id, 0)


def _matches(package: Package, wanted: Wanted, activations: dict[int, int]) -> bool:
    states = {
        "": True,
        "activated": package.id in activations,
        "inactive": package.id not in activations,
        "hidden": package.hidden_at is not None,
    }
    return (
        wanted.os in ("", package.os)
        and wanted.action in ("", package.action)
        and states[wanted.state]
        and _has(package, fold(wanted.query))
    )


def _has(package: Package, key: str) -> bool:
    return (
        key in package.name_key
        or key in f"{package.id:010d}"
        or key in fold(package.description)
        or key in fold(package.target)
    )
