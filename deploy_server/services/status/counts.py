"""Numbers: per package and status, per group, per hour."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass, ResultCode
from deploy_server.services.status.rows import (
    counted,
    find_package,
    through_groups,
    waiting_members,
)
from deploy_server.services.status.views import NO_GROUP, PackageStatus, Perimeter, Slice
from deploy_server.storage.models import Assignment, Group
from deploy_server.storage.search import within

_Counted = Iterable[tuple[str, int, int]]  # key, class, computers


def package_status(
    session: Session, package_id: int, *, now: datetime, perimeter: Perimeter = None
) -> PackageStatus:
    """Return the counts of a package.

    Raises:
        NotFound: no such package.
    """
    find_package(session, package_id)
    return package_statuses(session, [package_id], now=now, perimeter=perimeter)[package_id]


def package_statuses(
    session: Session, package_ids: Sequence[int], *, now: datetime, perimeter: Perimeter = None
) -> dict[int, PackageStatus]:
    """Return the counts of several packages, every id present; for lists."""
    counts: dict[int, Counter[str]] = {each: Counter() for each in package_ids}
    rows = session.execute(
        select(Assignment.package_id, Assignment.status, func.count())
        .where(*counted(package_ids, perimeter))
        # As the index has them, so that nothing is sorted.
        .group_by(Assignment.package_id, Assignment.status_class, Assignment.status)
    )
    for package_id, status, number in rows:
        counts[package_id][status] += number
    for package_id in through_groups(session, package_ids):
        waiting = sum(_pending(session, package_id, now, perimeter).values())
        if waiting:
            counts[package_id][WAITING] += waiting
    return {each: _status(each, counts[each]) for each in package_ids}


def class_counts(
    session: Session,
    package_ids: Sequence[int],
    which: ResultClass | None,
    *,
    now: datetime,
    perimeter: Perimeter = None,
) -> dict[int, int]:
    """Return one class of the counts of `package_statuses`, for sorting by it; None is their total.

    Reads the rows of that class only, which for all but one are few.
    """
    counts = dict.fromkeys(package_ids, 0)
    of_class = () if which is None else (Assignment.status_class == which,)
    rows = session.execute(
        select(Assignment.package_id, func.count())
        .where(*counted(package_ids, perimeter), *of_class)
        .group_by(Assignment.package_id)
    )
    counts.update((row[0], row[1]) for row in rows)
    if which in (None, ResultClass.WAITING):
        for package_id in through_groups(session, package_ids):
            counts[package_id] += sum(_pending(session, package_id, now, perimeter).values())
    return counts


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
    find_package(session, package_id)
    if by == "hour":
        return _by_hour(session, package_id, perimeter)
    if by == "group":
        return _by_group(session, package_id, now, perimeter)
    status = package_status(session, package_id, now=now, perimeter=perimeter)
    return _slices(
        (text, ResultCode.parse(text).result_class, number)
        for text, number in status.by_status.items()
    )


def _status(package_id: int, counts: Counter[str]) -> PackageStatus:
    by_class = dict.fromkeys(ResultClass, 0)
    already = 0
    for text, number in counts.items():
        code = ResultCode.parse(text)
        by_class[code.result_class] += number
        already += number if code.is_already else 0
    ordered = sorted(
        counts.items(), key=lambda each: (ResultCode.parse(each[0]).result_class, each[0])
    )
    return PackageStatus(package_id, counts.total(), dict(ordered), by_class, already)


def _by_class(counted_status: tuple[str, int]) -> tuple[ResultClass, str]:
    text, _ = counted_status
    return ResultCode.parse(text).result_class, text


def _pending(
    session: Session, package_id: int, now: datetime, perimeter: Perimeter
) -> Counter[str]:
    """Return how many members wait without a row, by group."""
    package = find_package(session, package_id)
    if package.deleted_at is not None:
        return Counter()
    through = through_groups(session, [package_id]).get(package_id, [])
    if not through:
        return Counter()
    names = {given.id: group.name for given, group in through}
    members = waiting_members(session, package, through, now, *within(perimeter))
    found: Counter[str] = Counter()
    counted_by = select(members.c.given_id, func.count()).group_by(members.c.given_id)
    for given_id, number in session.execute(counted_by):
        found[names[given_id]] += number
    return found


def _by_group(
    session: Session, package_id: int, now: datetime, perimeter: Perimeter
) -> list[Slice]:
    rows = session.execute(
        select(Group.name, Assignment.status_class, func.count())
        .select_from(Assignment)
        .outerjoin(Group, Group.id == Assignment.group_id)
        .where(*counted([package_id], perimeter))
        .group_by(Group.name, Assignment.status_class)
    )
    found = [(name or NO_GROUP, result_class, number) for name, result_class, number in rows]
    waiting = _pending(session, package_id, now, perimeter)
    found += [(name, int(ResultClass.WAITING), number) for name, number in waiting.items()]
    return sorted(_slices(found), key=lambda each: each.key)


def _by_hour(session: Session, package_id: int, perimeter: Perimeter) -> list[Slice]:
    hour = func.substr(type_coerce(Assignment.since, String), 1, 13).label("hour")
    rows = session.execute(
        select(hour, Assignment.status_class, func.count())
        .where(
            *counted([package_id], perimeter),
            Assignment.status_class.in_((ResultClass.SUCCESS, ResultClass.ERROR)),
        )
        .group_by("hour", Assignment.status_class)
    )
    found = [(f"{text}:00:00Z", result_class, number) for text, result_class, number in rows]
    return sorted(_slices(found), key=lambda each: each.key)


def _slices(rows: _Counted) -> list[Slice]:
    found: dict[str, Counter[ResultClass]] = defaultdict(Counter)
    for key, result_class, number in rows:
        found[key][ResultClass(result_class)] += number
    return [
        Slice(key, {each: counts[each] for each in ResultClass}, counts.total())
        for key, counts in found.items()
        if counts.total()
    ]
