"""Giving a package to computers or to a group."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    CursorResult,
    Label,
    and_,
    func,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.domain.assigning import (
    SUCCEEDED_BEFORE,
    check_postcmd,
    check_schedule,
    why_not,
)
from deploy_server.domain.errors import SpecError
from deploy_server.services import audit, withdrawing
from deploy_server.services.assigning.rows_of_members import REASONS, left_alone, taken_over
from deploy_server.services.assigning.standing import has_succeeded, never_succeeded
from deploy_server.services.assigning.targets import (
    Clause,
    check_selection,
    chosen,
    described,
    find_activation,
    find_group,
    members,
)
from deploy_server.services.assigning.views import AssignResult, Perimeter, Selection, Skipped
from deploy_server.storage.allocation import allocate
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    Package,
)
from deploy_server.storage.suitability import suits
from deploy_server.storage.upsert import insert_or_update, insert_or_update_from


def preview(
    session: Session,
    target: str,
    selection: Selection,
    *,
    force: bool = False,
    only_new: bool = False,
    now: datetime,
    perimeter: Perimeter = None,
) -> AssignResult:
    """Return what `assign` would do; changes nothing.

    Raises:
        As `assign`.
    """
    package = find_activation(session, target).package
    check_wanted(selection, only_new, force)
    if selection.group is not None:
        group = find_group(session, selection.group, perimeter)
        return _judge_group(session, package, group, members(session, group, now), force)
    assigned, skipped = 0, []
    for each in chosen(session, selection, now, perimeter):
        computers, left_out = _narrowed(session, package, each, only_new)
        found = select(func.count()).where(computers, suits(package))
        assigned += session.scalar(found) or 0
        skipped += left_out
    return AssignResult(assigned, tuple(skipped))


def assign(
    session: Session,
    target: str,
    selection: Selection,
    *,
    force: bool = False,
    schedule: str = "",
    postcmd: str = "",
    only_new: bool = False,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> AssignResult:
    """Give a package to computers; whoever had it before starts again with a new attempt.

    A group keeps the assignment for later members. Its members who wait for the package by another
    assignment or have it under way are left alone, and so are those who succeeded with this
    revision, unless it is forced.

    Args:
        session: not committed here.
        target: as for `find_activation`.
        selection: whom.
        force: also where history has it.
        schedule: 'YYYY/MM/DD HH:MM', the computer's local time; '' is at once.
        postcmd: '', REBOOT, SHUTDOWN or a command line.
        only_new: not where it ever succeeded, with any revision.
        actor: who assigns.
        now: UTC.
        perimeter: tags; a group takes none.

    Raises:
        SpecError: field `schedule`, `postcmd`, `only_new`, `selection` or `expression`.
        NotFound: activation, package, group, or a named computer.
        Conflict: as `find_activation`.
        Forbidden: a group with a perimeter.
    """
    activation = find_activation(session, target)
    check_wanted(selection, only_new, force)
    values = {
        "activation_id": activation.id,
        "force": force,
        "schedule": check_schedule(schedule),
        "postcmd": check_postcmd(postcmd),
        "assigned_at": now,
        "assigned_by": actor,
        "attempt": allocate(session, "attempt", int(now.timestamp())),
    }
    if selection.group is not None:
        group = find_group(session, selection.group, perimeter)
        done = _assign_group(session, activation.package, group, values, now)
    else:
        chosen_ones = chosen(session, selection, now, perimeter)
        done = _assign_chosen(session, activation.package, chosen_ones, values, only_new)
    _enter(session, activation, described(session, selection), values, done)
    return done


def _enter(
    session: Session,
    activation: Activation,
    whom: Mapping[str, Any],
    values: Mapping[str, Any],
    done: AssignResult,
) -> None:
    how = {name: values[name] for name in ("force", "schedule", "postcmd", "attempt")}
    numbers = {"assigned": done.assigned, "skipped": len(done.skipped)}
    audit.record(
        session,
        "package.assign",
        f"{activation.package_id} A{activation.id}",
        now=values["assigned_at"],
        actor=values["assigned_by"],
        after={**whom, **how, **numbers},
    )


def assign_again(
    session: Session,
    package_id: int,
    computer_ids: Sequence[int] | None,
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
    status: str | None = None,
) -> int:
    """Start assignments that ended in an error again, with their own force, schedule, postcmd.

    Args:
        session: not committed here.
        package_id: of which package.
        computer_ids: on these; None is wherever it failed.
        actor: who does it.
        now: UTC.
        perimeter: tags.
        status: only where it ended with this one.

    Returns:
        How many rows wait again.
    """
    attempt = allocate(session, "attempt", int(now.timestamp()))
    alive = select(Activation.id).where(Activation.ended_at.is_(None))
    conditions = [
        Assignment.package_id == package_id,
        Assignment.cleared_at.is_(None),
        Assignment.status_class == ResultClass.ERROR,
        Assignment.activation_id.in_(alive),
    ]
    if status is not None:
        conditions.append(Assignment.status == status)
    everywhere = computer_ids is None
    again = Selection(expression="") if everywhere else Selection(computer_ids=computer_ids)
    changed = 0
    for computers in chosen(session, again, now, perimeter):
        result = session.execute(
            update(Assignment)
            .where(*conditions, Assignment.computer_id.in_(select(Computer.id).where(computers)))
            .values(**_fresh(now), attempt=attempt, assigned_at=now, assigned_by=actor)
            .execution_options(synchronize_session=False)
        )
        changed += rowcount(result)
    if not changed:
        return 0
    whom = {"failed": status or "any"} if everywhere else described(session, again)
    after = {**whom, "attempt": attempt, "assigned": changed}
    target = str(package_id)
    audit.record(session, "package.assign_again", target, now=now, actor=actor, after=after)
    return changed


def rowcount(result: Any) -> int:
    """Return how many rows a statement changed."""
    return cast("CursorResult[Any]", result).rowcount


def as_columns(row: dict[str, Any]) -> list[Label[Any]]:
    """Return the values of a row as columns of a SELECT, with the types of the table."""
    types = Assignment.__table__.columns
    return [literal(value, types[name].type).label(name) for name, value in row.items()]


def _fresh(now: datetime) -> dict[str, Any]:
    """Return what a row says that starts, or starts again."""
    return {
        "status": WAITING,
        "status_class": int(ResultClass.WAITING),
        "since": now,
        "notified_at": None,
        "offered_revision": None,
        "cleared_at": None,
    }


def _assign_chosen(
    session: Session,
    package: Package,
    chosen_ones: Iterable[Clause],
    values: dict[str, Any],
    only_new: bool,
) -> AssignResult:
    of_package = select(Assignment.id).where(Assignment.package_id == package.id)
    is_new = session.scalar(of_package.limit(1)) is None
    assigned, skipped = 0, []
    for each in chosen_ones:
        computers, left_out = _narrowed(session, package, each, only_new)
        assigned += _assign_computers(session, package, computers, values, likely_new=is_new)
        skipped += left_out
    return AssignResult(assigned, tuple(skipped))


def _assign_computers(
    session: Session,
    package: Package,
    computers: Clause,
    values: dict[str, Any],
    *,
    likely_new: bool,
) -> int:
    now = values["assigned_at"]
    suited = select(Computer.id).where(computers, suits(package))
    given = [Assignment.package_id == package.id, Assignment.computer_id.in_(suited)]
    withdrawing.remember(session, given, actor=values["assigned_by"], now=now)
    row = {**values, **_fresh(now), "package_id": package.id, "group_id": None}
    # In order, so that two assignments at once never wait for each other in a circle.
    rows = (
        select(Computer.id.label("computer_id"), *as_columns(row))
        .where(computers, suits(package))
        .order_by(Computer.id)
    )
    changed = [name for name in row if name != "package_id"]
    key = ("computer_id", "package_id")
    return insert_or_update_from(session, Assignment, rows, key, changed, likely_new=likely_new)


def _assign_group(
    session: Session, package: Package, group: Group, values: dict[str, Any], now: datetime
) -> AssignResult:
    computers = members(session, group, now)
    result = _judge_group(session, package, group, computers, values["force"])
    row = {**values, "group_id": group.id, "package_id": package.id}
    insert_or_update(session, GroupAssignment, [row], ("group_id", "package_id"), list(values))
    of_members = and_(
        Assignment.package_id == package.id,
        Assignment.computer_id.in_(select(Computer.id).where(computers, suits(package))),
    )
    session.execute(
        update(Assignment)
        .where(of_members, taken_over(package, group, values["force"]))
        .values(**values, **_fresh(now), group_id=group.id)
        .execution_options(synchronize_session=False)
    )
    return result


def _judge_group(
    session: Session, package: Package, group: Group, computers: Clause, force: bool
) -> AssignResult:
    suited = and_(computers, suits(package))
    left = and_(Assignment.computer_id == Computer.id, left_alone(package, group, force))
    kept = session.execute(
        select(Computer.device_id, Assignment.status_class)
        .join(Assignment, left)
        .where(suited)
        .order_by(Computer.name_key, Computer.id)
    ).all()
    total = session.scalar(select(func.count()).select_from(Computer).where(suited)) or 0
    skipped = _unsuitable(session, package, computers)
    skipped += [Skipped(device_id, REASONS[ResultClass(each)]) for device_id, each in kept]
    return AssignResult(total - len(kept), tuple(skipped))


def check_wanted(selection: Selection, only_new: bool, force: bool) -> None:
    """Return when an assignment can be what it says.

    Raises:
        SpecError: field `only_new` or `selection`.
    """
    check_selection(selection)
    if only_new and force and selection.group is not None:
        raise SpecError(
            "only_new",
            "force runs it again in the group where it succeeded, and this leaves those out",
            "Choose one of the two",
        )


def _narrowed(
    session: Session, package: Package, computers: Clause, only_new: bool
) -> tuple[Clause, list[Skipped]]:
    """Return the condition of those who are to get it, and the others."""
    left_out = _unsuitable(session, package, computers)
    if not only_new:
        return computers, left_out
    left_out += _done_before(session, package, computers)
    return and_(computers, never_succeeded(package)), left_out


def _done_before(session: Session, package: Package, computers: Clause) -> list[Skipped]:
    rows = session.scalars(
        select(Computer.device_id)
        .where(computers, suits(package), has_succeeded(package))
        .order_by(Computer.name_key, Computer.id)
    )
    return [Skipped(device_id, SUCCEEDED_BEFORE) for device_id in rows]


def _unsuitable(session: Session, package: Package, computers: Clause) -> list[Skipped]:
    rows = session.execute(
        select(Computer.device_id, Computer.os_family, Computer.agent)
        .where(computers, not_(suits(package)))
        .order_by(Computer.name_key, Computer.id)
    )
    digest = (package.digest_algorithm, package.digest_encoding)
    return [
        Skipped(device_id, why_not(package.os, *digest, os_family, agent) or "it does not suit")
        for device_id, os_family, agent in rows
    ]
