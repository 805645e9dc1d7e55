"""Packages page by page, as the console lists them: filtered, sorted, counted.

Counting results is what costs; it is done for the packages of the page alone, unless they are
sorted by it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import SpecError
from deploy_server.services import status
from deploy_server.services.packages import PackageRow, listed
from deploy_server.services.status import PackageStatus
from deploy_server.storage.models import Activation, Package
from deploy_server.storage.types import fold

Perimeter = frozenset[str] | None

_BY_PACKAGE: dict[str, Callable[[Package], Any]] = {
    "name": lambda package: package.name_key,
    "created": lambda package: package.id,
    "priority": lambda package: package.priority,
    "size": lambda package: package.size,
    "fragments": lambda package: package.fragments,
    "os": lambda package: package.os,
}
_BY_COUNT = {each.name.lower(): each for each in ResultClass}

#: What the list may be sorted by.
SORTS = (*_BY_PACKAGE, *_BY_COUNT)


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


def package_page(
    session: Session,
    *,
    now: datetime,
    query: str = "",
    deleted: bool = False,
    sort: str = "created",
    descending: bool = True,
    page: int = 1,
    page_size: int = 50,
    perimeter: Perimeter = None,
) -> PackagePage:
    """Return a page of the packages whose name, id, description or target has `query` in it.

    Raises:
        SpecError: field `sort`.
    """
    if sort not in SORTS:
        raise SpecError("sort", f"packages cannot be sorted by {sort[:40]!r}", _sorts())
    everything = session.scalars(select(Package).where(*listed(deleted=deleted))).all()
    found = [each for each in everything if _matches(each, fold(query))]
    if sort in _BY_COUNT:
        ids = [each.id for each in found]
        which = _BY_COUNT[sort]
        numbers = status.class_counts(session, ids, which, now=now, perimeter=perimeter)
        found.sort(key=lambda each: numbers[each.id], reverse=descending)
    else:
        found.sort(key=_BY_PACKAGE[sort], reverse=descending)
    page = max(1, min(page, -(-len(found) // page_size)))
    shown = found[(page - 1) * page_size : page * page_size]
    counts = _count(session, shown, now, perimeter)
    activations = _activations(session, shown)
    rows = tuple(PackageRow(each, activations.get(each.id, 0), counts[each.id]) for each in shown)
    return PackagePage(rows, len(found), page, page_size, len(everything))


def _sorts() -> str:
    return f"Sort by {', '.join(SORTS)}"


def _matches(package: Package, key: str) -> bool:
    return (
        key in package.name_key
        or key in str(package.id)
        or key in fold(package.description)
        or key in fold(package.target)
    )


def _count(
    session: Session, found: Iterable[Package], now: datetime, perimeter: Perimeter
) -> dict[int, PackageStatus]:
    ids = [each.id for each in found]
    return status.package_statuses(session, ids, now=now, perimeter=perimeter)


def _activations(session: Session, found: Iterable[Package]) -> dict[int, int]:
    statement = (
        select(Activation.package_id, func.count())
        .where(
            Activation.ended_at.is_(None), Activation.package_id.in_([each.id for each in found])
        )
        .group_by(Activation.package_id)
    )
    return {row[0]: row[1] for row in session.execute(statement)}
