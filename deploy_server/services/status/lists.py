"""The computers behind the numbers."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    String,
    Subquery,
    cast,
    func,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.domain.errors import SpecError
from deploy_server.services.events import last_of_rows
from deploy_server.services.status.reasons import reasons
from deploy_server.services.status.rows import (
    counted,
    find_package,
    through_groups,
    waiting_members,
)
from deploy_server.services.status.views import (
    EVERYTHING,
    NO_GROUP,
    Perimeter,
    ResultPage,
    ResultRow,
    Wanted,
)
from deploy_server.storage.models import Assignment, Computer, Group, GroupAssignment, Package
from deploy_server.storage.search import within

PAGE_SIZE_MAX = 1000

_WHEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2})?\Z", re.ASCII)


def results(
    session: Session,
    package_id: int,
    *,
    now: datetime,
    wanted: Wanted = EVERYTHING,
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 50,
) -> ResultPage:
    """Return the computers behind a count, newest change first.

    Raises:
        NotFound: no such package.
        SpecError: field `page`, or `when`.
    """
    if page < 1 or not 1 <= page_size <= PAGE_SIZE_MAX:
        raise SpecError("page", f"there is no page {page} of {page_size} rows", "Count from 1")
    found = _found(session, package_id, wanted, now, perimeter)
    total = session.scalar(select(func.count()).select_from(found)) or 0
    # What a row shows is read for those of the page alone.
    order = found.c.since.desc(), found.c.computer_id
    shown = select(found).order_by(*order).limit(page_size).offset((page - 1) * page_size)
    of_page = shown.subquery()
    rows = session.execute(
        _described(of_page).order_by(of_page.c.since.desc(), of_page.c.computer_id)
    )
    found_rows = [_row(row) for row in rows]
    told = last_of_rows(session, package_id, [row.computer_id for row in found_rows])
    words = {row.computer_id: told.get((row.computer_id, row.attempt)) for row in found_rows}
    asked = [row.computer_id for row in found_rows if row.status_class != ResultClass.SUCCESS]
    why = reasons(session, package_id, {each: words[each] for each in asked}, now=now)
    listed = (
        replace(row, told=words[row.computer_id], reason=why.get(row.computer_id, ""))
        for row in found_rows
    )
    return ResultPage(tuple(listed), total, page, page_size)


def each_result(
    session: Session,
    package_id: int,
    *,
    now: datetime,
    wanted: Wanted = EVERYTHING,
    perimeter: Perimeter = None,
) -> Iterator[ResultRow]:
    """Yield what `results` has on all its pages, without what agents told; memory stays bounded.

    Raises:
        NotFound: no such package, before the first row.
        SpecError: field `when`.
    """
    found = _found(session, package_id, wanted, now, perimeter)

    def read() -> Iterator[ResultRow]:
        # Begun with the first row: a cursor that nobody reads stays open.
        streamed = _described(found).execution_options(yield_per=PAGE_SIZE_MAX)
        with session.execute(streamed) as rows:
            yield from map(_row, rows)

    return read()


def _found(
    session: Session, package_id: int, wanted: Wanted, now: datetime, perimeter: Perimeter
) -> Subquery:
    """Return where each row is: since, computer_id, and one of row_id and given_id."""
    package = find_package(session, package_id)
    conditions = counted([package_id], perimeter)
    if wanted.status is not None:
        conditions.append(Assignment.status == wanted.status)
    if wanted.status_class is not None:
        conditions.append(Assignment.status_class == wanted.status_class)
    if wanted.group is not None:
        conditions.append(func.coalesce(Group.name, NO_GROUP) == wanted.group)
    if wanted.when is not None:
        since = type_coerce(Assignment.since, String)
        ended = (ResultClass.SUCCESS, ResultClass.ERROR)
        conditions += [since.startswith(_checked(wanted.when)), Assignment.status_class.in_(ended)]
    with_row = select(
        Assignment.since,
        Assignment.computer_id,
        Assignment.id.label("row_id"),
        cast(null(), Integer).label("given_id"),
    ).where(*conditions)
    if wanted.group is not None:
        with_row = with_row.outerjoin(Group, Group.id == Assignment.group_id)
    parts: list[Select[*tuple[Any, ...]]] = [with_row]
    waits = wanted.status_class in (None, ResultClass.WAITING) and wanted.when is None
    if waits and wanted.status in (None, WAITING):
        parts += _without_row(session, package, now, perimeter, wanted.group)
    return (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()


def _checked(when: str) -> str:
    if not _WHEN.match(when):
        raise SpecError("when", f"{when[:40]!r} is no day and no hour", "Follow a link of the page")
    return when


def _described(found: Subquery) -> Select[*tuple[Any, ...]]:
    row, given = Assignment, GroupAssignment
    return (
        select(
            Computer.id.label("computer_id"),
            Computer.device_id.label("device_id"),
            Computer.name.label("computer_name"),
            Computer.tag.label("tag"),
            func.coalesce(row.status, WAITING).label("status"),
            func.coalesce(row.status_class, int(ResultClass.WAITING)).label("status_class"),
            found.c.since,
            func.coalesce(Group.name, "").label("group"),
            Computer.last_contact.label("last_contact"),
            func.coalesce(row.assigned_at, given.assigned_at).label("assigned_at"),
            func.coalesce(row.assigned_by, given.assigned_by).label("assigned_by"),
            func.coalesce(row.attempt, given.attempt).label("attempt"),
        )
        .join_from(found, Computer, Computer.id == found.c.computer_id)
        .outerjoin(row, row.id == found.c.row_id)
        .outerjoin(given, given.id == found.c.given_id)
        .outerjoin(Group, Group.id == func.coalesce(row.group_id, given.group_id))
    )


def _without_row(
    session: Session, package: Package, now: datetime, perimeter: Perimeter, group: str | None
) -> list[Select[*tuple[Any, ...]]]:
    through = through_groups(session, [package.id]).get(package.id, [])
    if package.deleted_at is not None or not through:
        return []
    members = waiting_members(session, package, through, now, *within(perimeter))
    of_group = () if group is None else (Group.name == group,)
    statement = (
        select(
            GroupAssignment.assigned_at,
            members.c.computer_id,
            cast(null(), BigInteger),
            members.c.given_id,
        )
        .join_from(members, GroupAssignment, GroupAssignment.id == members.c.given_id)
        .join(Group, Group.id == GroupAssignment.group_id)
        .where(*of_group)
    )
    return [statement]


def _row(row: Any) -> ResultRow:
    values = row._asdict()
    return ResultRow(**{**values, "status_class": ResultClass(values["status_class"])})
