"""Computers as people look at them: lists, search, inventory, deletion.

Every function takes `perimeter`, the tags a person is limited to; None means every computer.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.domain.inventory import SOFTWARE
from deploy_server.services import audit
from deploy_server.storage.models import (
    Computer,
    ComputerSection,
    SectionContent,
    Setting,
    SoftwareItem,
    SoftwareSetItem,
)
from deploy_server.storage.search import search_clause, within

Perimeter = frozenset[str] | None

_SORT_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "name": Computer.name_key,
    "device_id": Computer.device_id_key,
    "tag": Computer.tag_key,
    "os": Computer.os_key,
    "os_version": Computer.os_version_sort,
    "ip": Computer.ip,
    "user": Computer.user_key,
    "memory": Computer.memory,
    "arch": Computer.arch_key,
    "workgroup": Computer.workgroup_key,
    "model": Computer.model_key,
    "serial": Computer.serial_key,
    "agent": Computer.agent_key,
    "created_at": Computer.created_at,
    "last_contact": Computer.last_contact,
    "last_inventory": Computer.last_inventory,
}

#: What lists may be sorted by.
SORTS = tuple(_SORT_COLUMNS)

PAGE_SIZE_MAX = 1000
_BATCH = 500  # ids in one statement; every database takes that many parameters
_STREAMED = 1000  # rows fetched at a time


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
    clause = search_clause(session, expression, now)
    return page_of(
        session,
        [clause, *within(perimeter)],
        sort=sort,
        descending=descending,
        page=page,
        page_size=page_size,
    )


def page_of(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    *,
    sort: str,
    descending: bool,
    page: int,
    page_size: int,
) -> ComputerPage:
    """Return a page of the computers that `conditions` hold for.

    Raises:
        SpecError: field `sort` or `page`.
    """
    column = _sort_column(sort)
    if page < 1 or not 1 <= page_size <= PAGE_SIZE_MAX:
        raise SpecError("page", f"there is no page {page} of {page_size} rows", "Count from 1")
    total = session.scalar(select(func.count()).select_from(Computer).where(*conditions))
    order = _order(column, descending)
    # Whole rows are read for those of the page alone: to sort and skip them is what costs.
    ids = select(Computer.id).where(*conditions).order_by(*order).limit(page_size)
    shown = ids.offset((page - 1) * page_size).subquery()
    rows = session.execute(
        select(*_COLUMNS).join(shown, shown.c.id == Computer.id).order_by(*order)
    )
    return ComputerPage(tuple(ComputerRow(*row) for row in rows), total or 0, page, page_size)


def _order(column: InstrumentedAttribute[Any], descending: bool) -> list[Any]:
    if descending:  # NULL stands where '' does; left to themselves, the databases disagree
        return [column.desc().nulls_last(), Computer.id.desc()]
    return [column.asc().nulls_first(), Computer.id.asc()]


def listed_columns() -> Sequence[InstrumentedAttribute[Any]]:
    """Return the columns that make a `ComputerRow`, in order."""
    return _COLUMNS


def count_computers(
    session: Session, expression: str = "", *, now: datetime, perimeter: Perimeter = None
) -> int:
    """Return how many computers match.

    Raises:
        SearchError: as `search_computers`.
    """
    clause = search_clause(session, expression, now)
    counted = select(func.count()).select_from(Computer).where(clause, *within(perimeter))
    return session.scalar(counted) or 0


def iter_computers(
    session: Session,
    expression: str = "",
    *,
    now: datetime,
    perimeter: Perimeter = None,
    sort: str = "name",
    descending: bool = False,
) -> Iterator[ComputerRow]:
    """Yield every computer that matches; for exports and the command line.

    Raises:
        SearchError, SpecError: as `search_computers`.
    """
    order = _order(_sort_column(sort), descending)
    clause = search_clause(session, expression, now)
    return _streamed(session, select(*_COLUMNS).where(clause, *within(perimeter)).order_by(*order))


def _streamed(session: Session, wanted: Select[*tuple[Any, ...]]) -> Iterator[ComputerRow]:
    # Begun with the first row, closed with the last one that is read: PostgreSQL's cursor.
    with session.execute(wanted.execution_options(yield_per=_STREAMED)) as rows:
        yield from (ComputerRow(*row) for row in rows)


def get_computer(session: Session, device_id: str, *, perimeter: Perimeter = None) -> ComputerRow:
    """Return one computer.

    Raises:
        NotFound: no such computer inside the perimeter.
    """
    return _one(session, Computer.device_id == device_id, device_id, perimeter)


def get_computer_by_id(
    session: Session, computer_id: int, *, perimeter: Perimeter = None
) -> ComputerRow:
    """Return one computer by the id of its row.

    Raises:
        NotFound: no such computer inside the perimeter.
    """
    return _one(session, Computer.id == computer_id, str(computer_id), perimeter)


def inventory_sections(
    session: Session, computer_id: int
) -> dict[str, list[list[tuple[str, str]]]]:
    """Return the last inventory by section, without the software.

    Shape: {"DRIVES": [[("TYPE", "/"), ("TOTAL", "258019")], ...], ...}
    """
    rows = session.execute(
        select(ComputerSection.name, SectionContent.content)
        .join(SectionContent, SectionContent.id == ComputerSection.content_id)
        # The software has tables of its own; its section here is empty.
        .where(ComputerSection.computer_id == computer_id, ComputerSection.name != SOFTWARE)
        .order_by(ComputerSection.name)
    )
    return {
        name: [
            [(field, value) for field, value in element]
            for element in json.loads(zlib.decompress(content))
        ]
        for name, content in rows
    }


def software_of(session: Session, computer_id: int) -> list[SoftwareRow]:
    """Return the installed software, by name."""
    rows = session.execute(
        select(SoftwareItem.name, SoftwareItem.version, SoftwareItem.publisher)
        .join(SoftwareSetItem, SoftwareSetItem.item_id == SoftwareItem.id)
        .join(Computer, Computer.software_set_id == SoftwareSetItem.set_id)
        .where(Computer.id == computer_id)
        .order_by(SoftwareItem.name_key, SoftwareItem.version_sort, SoftwareItem.id)
    )
    return [SoftwareRow(*row) for row in rows]


def tags_in_use(session: Session) -> list[str]:
    """Return every tag that a computer carries, sorted; one spelling of each."""
    rows = session.execute(
        select(func.min(Computer.tag))
        .where(Computer.tag_key != "")
        .group_by(Computer.tag_key)
        .order_by(Computer.tag_key)
    )
    return [tag for (tag,) in rows]


def computer_ids(
    session: Session, device_ids: Sequence[str], perimeter: Perimeter = None
) -> list[int]:
    """Return the ids of the rows of these computers, each once, in their order.

    Raises:
        NotFound: one of them is not there, or not inside the perimeter.
    """
    wanted = list(dict.fromkeys(device_ids))
    possible = [each for each in wanted if "\0" not in each]  # PostgreSQL cannot look for a NUL
    found: dict[str, int] = {}
    for start in range(0, len(possible), _BATCH):
        rows = session.execute(
            select(Computer.device_id, Computer.id).where(
                Computer.device_id.in_(possible[start : start + _BATCH]), *within(perimeter)
            )
        )
        found.update((row.device_id, row.id) for row in rows)
    missing = next((each for each in wanted if each not in found), None)
    if missing is not None:
        raise NotFound(f"there is no computer {missing[:80]!r}", _FIND)
    return [found[each] for each in wanted]


def delete_computers(
    session: Session,
    device_ids: Sequence[str],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Remove computers, inventories, assignments; returns how many. Results stay in history.

    Raises:
        NotFound: one of them is not there; nothing was removed.
    """
    ids = computer_ids(session, device_ids, perimeter)
    for start in range(0, len(ids), _BATCH):
        batch_ids = ids[start : start + _BATCH]
        # Rows that belong to a computer go with it, by their foreign keys; settings have none.
        of_them = (Setting.scope == "computer") & Setting.scope_id.in_(batch_ids)
        session.execute(delete(Setting).where(of_them))
        session.execute(delete(Computer).where(Computer.id.in_(batch_ids)))
    gone = list(dict.fromkeys(device_ids))
    audit.record_each(session, "computer.delete", gone, now=now, actor=actor)
    return len(ids)


_FIND = "Find it: deploy-server computer list"
_COLUMNS: tuple[Any, ...] = tuple(getattr(Computer, each.name) for each in fields(ComputerRow))


def _one(session: Session, which: Any, label: str, perimeter: Perimeter) -> ComputerRow:
    row = session.execute(select(*_COLUMNS).where(which, *within(perimeter))).first()
    if row is None:
        raise NotFound(f"there is no computer {label[:80]!r}", _FIND)
    return ComputerRow(*row)


def _sort_column(sort: str) -> InstrumentedAttribute[Any]:
    try:
        return _SORT_COLUMNS[sort]
    except KeyError:
        raise SpecError(
            "sort", f"a list cannot be sorted by {sort[:40]!r}", f"Use one of {', '.join(SORTS)}"
        ) from None
