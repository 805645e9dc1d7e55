"""Taking a package back: from computers, from a group, from all that were not told of it.

A row that is taken back stays, cleared: it counts nowhere, is offered no more, and keeps a group
from offering the same again. Results stay in history.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING, ResultClass
from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import audit, withdrawing
from deploy_server.services.assigning.assign import as_columns, rowcount
from deploy_server.services.assigning.targets import (
    Clause,
    check_selection,
    chosen,
    described,
    find_activation,
    find_group,
    find_package,
)
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.storage.models import Assignment, Computer, Group, GroupAssignment, Package
from deploy_server.storage.search import Searcher, within
from deploy_server.storage.suitability import suits
from deploy_server.storage.upsert import insert_missing_from

_WAITING = (ResultClass.WAITING,)
_OPEN = (ResultClass.WAITING, ResultClass.NOTIFIED)


def unassign(
    session: Session,
    target: str,
    selection: Selection | None = None,
    *,
    not_notified: bool = False,
    results_too: bool = True,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Take a package back from computers, or from all that were not notified yet.

    A group loses its assignment; members whom an agent was told of keep their rows.

    Args:
        session: not committed here.
        target: `A7` for what came through that activation, or a package for all of it.
        selection: whom; excludes `not_notified`.
        not_notified: whoever waits.
        results_too: also from computers on which it ended; its result leaves the counts.
        actor: who takes it back.
        now: UTC.
        perimeter: tags; a group takes none.

    Returns:
        From how many computers.

    Raises:
        As `assign`.
    """
    given = _Given(session, target, actor)
    number = _taken_back(session, given, selection, not_notified, results_too, now, perimeter)
    whom = {"not_notified": True} if selection is None else described(session, selection)
    after = {**whom, "unassigned": number}
    audit.record(session, "package.unassign", target.strip(), now=now, actor=actor, after=after)
    return number


def _taken_back(
    session: Session,
    given: "_Given",
    selection: Selection | None,
    not_notified: bool,
    results_too: bool,
    now: datetime,
    perimeter: Perimeter,
) -> int:
    if not_notified == (selection is not None):
        raise SpecError("selection", "say which computers, or: not notified", "Say one of them")
    if selection is None:
        everybody = and_(Computer.id > 0, *within(perimeter))
        return given.take_back(everybody, now, _WAITING)
    check_selection(selection)
    if selection.group is not None:
        return given.take_from_group(find_group(session, selection.group, perimeter), now)
    computers = chosen(session, selection, now, perimeter)
    classes = tuple(ResultClass) if results_too else _OPEN
    return sum(given.take_back(each, now, classes) for each in computers)


class _Given:
    """What was given to computers and groups: a package, or what came through one activation."""

    def __init__(self, session: Session, target: str, actor: str) -> None:
        self._session = session
        self._actor = actor
        if target.strip()[:1] in ("A", "a"):
            activation = find_activation(session, target)
            self._package = activation.package
            self._rows = Assignment.activation_id == activation.id
            self._shared = GroupAssignment.activation_id == activation.id
        else:
            self._package = find_package(session, target)
            self._rows = Assignment.package_id == self._package.id
            self._shared = GroupAssignment.package_id == self._package.id

    def take_back(self, computers: Clause, now: datetime, classes: tuple[ResultClass, ...]) -> int:
        """Clear the rows of these computers, and keep groups from making them."""
        number = sum(
            keep_out(self._session, self._package, each, computers, now)
            for each in self._session.scalars(select(GroupAssignment).where(self._shared)).all()
        )
        conditions = [
            self._rows,
            Assignment.cleared_at.is_(None),
            Assignment.computer_id.in_(select(Computer.id).where(computers)),
            Assignment.status_class.in_(classes),
        ]
        if classes != _WAITING:
            withdrawing.remember(self._session, conditions, actor=self._actor, now=now)
        cleared = self._session.execute(
            update(Assignment)
            .where(*conditions)
            .values(cleared_at=now)
            .execution_options(synchronize_session=False)
        )
        return number + rowcount(cleared)

    def take_from_group(self, group: Group, now: datetime) -> int:
        """End the group's assignment and withdraw it from members who wait."""
        given = self._session.scalar(
            select(GroupAssignment).where(self._shared, GroupAssignment.group_id == group.id)
        )
        if given is None:
            raise NotFound(
                f"the group {group.name} has no assignment of the package {self._package.id}",
                "Look at: deploy-server group show NAME",
            )
        waiting = self._session.scalar(
            select(func.count()).where(_pending(self._session, self._package, given, now))
        )
        withdrawn = self._session.execute(
            delete(Assignment).where(
                self._rows,
                Assignment.group_id == group.id,
                Assignment.cleared_at.is_(None),
                Assignment.status_class == ResultClass.WAITING,
            )
        )
        self._session.delete(given)
        self._session.flush()
        return (waiting or 0) + rowcount(withdrawn)


def keep_out(
    session: Session, package: Package, given: GroupAssignment, computers: Clause, now: datetime
) -> int:
    """Give members of a group that wait without a row a cleared one; how many there were."""
    row: dict[str, Any] = {
        "package_id": given.package_id,
        "activation_id": given.activation_id,
        "group_id": given.group_id,
        "attempt": given.attempt,
        "status": WAITING,
        "status_class": int(ResultClass.WAITING),
        "since": given.assigned_at,
        "force": given.force,
        "schedule": given.schedule,
        "postcmd": given.postcmd,
        "assigned_at": given.assigned_at,
        "assigned_by": given.assigned_by,
        "cleared_at": now,
    }
    members = (
        select(Computer.id.label("computer_id"), *as_columns(row))
        .where(_pending(session, package, given, now), computers)
        .order_by(Computer.id)
    )
    return insert_missing_from(session, Assignment, members)


def _pending(session: Session, package: Package, given: GroupAssignment, now: datetime) -> Clause:
    """Return the condition of members whom it suits and who have no row."""
    in_group = Searcher(session, now).groups.by_id([given.group_id])
    rows = select(Assignment.computer_id).where(Assignment.package_id == package.id)
    return and_(Computer.id > 0, in_group, suits(package), Computer.id.not_in(rows))
