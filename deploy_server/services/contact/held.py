"""Which of the packages that an agent has should not be there any more.

An agent whose state folder was restored from a backup, or copied, may hold an attempt that ended
long ago; nothing is offered or withdrawn then, so without a word it would act a second time.

It takes evidence to say that an attempt is over: it has a result, a later attempt replaced it, it
was taken back, or its package was deleted. That nothing is known of it is no evidence. A server
that was itself restored from an older backup does not know what it gave since, and the computers
hold exactly what has not ended there: to drop it would lose, everywhere at once, what was rightly
assigned, while to let it go on repeats nothing. Likewise what was offered without a row by a group
(DOWNLOAD_GROUPS_TRACE_EVENTS 0) goes on when its activation ends, as everything else does.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, literal, select, union
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_agent.wire.terms import PACKAGE_ID_MAX
from deploy_server.storage.models import Assignment, Package, Report, Withdrawal
from deploy_server.storage.quick import execute

Held = tuple[str, int]
_Place = tuple[int, int]

_ENDED = (ResultClass.SUCCESS, ResultClass.ERROR)
_EVERY_ATTEMPT = 0

_PACKAGES: Any = bindparam("packages", expanding=True)
_ROWS = select(
    Assignment.package_id, Assignment.attempt, Assignment.status_class, Assignment.cleared_at
).where(
    Assignment.computer_id == bindparam("computer"),
    Assignment.package_id.in_(_PACKAGES),
)
_OVER: Any = union(
    select(Withdrawal.package_id, Withdrawal.attempt).where(
        Withdrawal.computer_id == bindparam("computer"), Withdrawal.package_id.in_(_PACKAGES)
    ),
    select(Report.package_id, Report.attempt).where(
        Report.device_id == bindparam("device_id"),
        Report.package_id.in_(_PACKAGES),
        Report.attempt.is_not(None),
        Report.result_class.in_(_ENDED),
    ),
    select(Package.id, literal(_EVERY_ATTEMPT, BigInteger())).where(
        Package.id.in_(_PACKAGES), Package.deleted_at.is_not(None)
    ),
)


def over(
    session: Session, computer_id: int, device_id: str, held: Iterable[Held]
) -> tuple[Held, ...]:
    """Return those of the held attempts that are over, as the agent named them; only reads.

    Args:
        session: where from.
        computer_id: the row of the agent's computer.
        device_id: the same computer in reports, which outlive it.
        held: (package id, attempt) of what the agent has and has not ended.
    """
    places = {each: (int(each[0]), each[1]) for each in held if int(each[0]) <= PACKAGE_ID_MAX}
    if not places:
        return ()
    where = {"computer": computer_id, "packages": _packages(places.values())}
    rows = {row.package_id: row for row in execute(session, _ROWS, where)}
    # Most are under way here as well, and settled with that.
    unsettled = {place for place in places.values() if not _is_open(rows.get(place[0]), place[1])}
    if not unsettled:
        return ()
    where = {**where, "packages": _packages(unsettled), "device_id": device_id}
    evidence = {(row[0], row[1]) for row in execute(session, _OVER, where)}
    return tuple(
        each
        for each, place in places.items()
        if place in unsettled and _is_over(rows.get(place[0]), place, evidence)
    )


def _packages(places: Iterable[_Place]) -> list[int]:
    return sorted({package_id for package_id, _ in places})


def _is_open(row: Row[Any] | None, attempt: int) -> bool:
    return (
        row is not None
        and row.attempt == attempt
        and row.cleared_at is None
        and row.status_class not in _ENDED
    )


def _is_over(row: Row[Any] | None, place: _Place, evidence: set[_Place]) -> bool:
    package_id, attempt = place
    if place in evidence or (package_id, _EVERY_ATTEMPT) in evidence:
        return True
    if row is None or row.attempt < attempt:
        return False
    # Who validates a row that was notified clears it from the counters, and stops nobody.
    return bool(row.attempt > attempt or row.status_class != ResultClass.NOTIFIED)
