"""Which packages computers have, and taking them back from all of them at once (features 5.6)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services import assigning, withdrawing
from deploy_server.services.assigning.targets import Clause
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.services.fleet.radius import clauses
from deploy_server.services.status.rows import through_groups, waiting_members
from deploy_server.storage.models import Assignment, Computer, GroupAssignment, Package

#: What is counted beside the classes: those told whose agent can be told to drop it again.
_TOLD = "told"

_Numbers = dict[int, Counter[ResultClass | str]]


@dataclass(frozen=True, slots=True)
class Held:
    """How a package stands on some computers.

    Attributes:
        package: its id.
        name: of the package.
        waiting: they were not told of it, members of groups without a row among them.
        told: they were told, and can be told to drop it.
        beyond: they were told, and cannot be told anything else.
        succeeded: it ended well.
        failed: it ended in an error.
    """

    package: int
    name: str
    waiting: int
    told: int
    beyond: int
    succeeded: int
    failed: int

    @property
    def open(self) -> int:
        """On how many it has not ended."""
        return self.waiting + self.told + self.beyond

    @property
    def ended(self) -> int:
        """On how many it has."""
        return self.succeeded + self.failed


def packages_held(
    session: Session,
    selection: Selection,
    *,
    only: Collection[int] | None = None,
    now: datetime,
    perimeter: Perimeter = None,
) -> list[Held]:
    """Return the packages that computers have, by name; those that are deleted are over.

    Args:
        session: only reads.
        selection: computers, not a group.
        only: of these packages; None is all of them.
        now: UTC.
        perimeter: tags a person is limited to.

    Raises:
        SpecError: field `selection` or `expression`.
        NotFound: a named computer is not there, or not inside the perimeter.
    """
    numbers: _Numbers = defaultdict(Counter)
    wanted: list[Clause] = [Package.deleted_at.is_(None)]
    if only is not None:
        wanted.append(Package.id.in_(only))
    # Nobody needs to look where the rows of everybody are.
    everybody = selection.expression == "" and not perimeter
    for clause in clauses(session, selection, now, perimeter):
        chosen = None if everybody else clause
        rows = _count_rows(session, wanted, chosen)
        _add(numbers, rows)
        known = rows if only is None else None  # what acts looks at everybody
        _add(numbers, _count_members(session, clause, wanted, known, now))
    packages = session.execute(
        select(Package.id, Package.name)
        .where(Package.id.in_(list(numbers)), *wanted)
        .order_by(Package.name_key, Package.id)
    )
    return [_held(package_id, name, numbers[package_id]) for package_id, name in packages.all()]


def take_back(
    session: Session,
    selection: Selection,
    packages: Sequence[int],
    *,
    results_too: bool,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> list[Held]:
    """Take packages back from computers; returns how each stood on those that it left.

    Members of groups keep the group's assignment away from themselves. What our agents were told
    of they are told to drop, and say whether they had begun (`withdrawing.words`).

    Args:
        session: not committed here.
        selection: computers, not a group.
        packages: their ids.
        results_too: also where it has ended: it leaves the counts; history keeps the result.
        actor: who does it.
        now: UTC.
        perimeter: tags a person is limited to.

    Raises:
        As `packages_held`.
    """
    held = packages_held(session, selection, only=set(packages), now=now, perimeter=perimeter)
    found = [each for each in held if each.open or (results_too and each.ended)]
    for each in found:
        assigning.unassign(
            session,
            f"{each.package:010d}",
            selection,
            results_too=results_too,
            actor=actor,
            now=now,
            perimeter=perimeter,
        )
    return found


def _count_rows(session: Session, wanted: list[Clause], computers: Clause | None) -> _Numbers:
    numbers: _Numbers = defaultdict(Counter)
    chosen = [] if computers is None else [computers]
    inside = [_is_one_of(chosen)] if chosen else []
    # Package by package, which is how an index has them.
    of_packages = Assignment.package_id.in_(select(Package.id).where(*wanted))
    rows = session.execute(
        select(Assignment.package_id, Assignment.status_class, func.count())
        .where(Assignment.cleared_at.is_(None), of_packages, *inside)
        .group_by(Assignment.package_id, Assignment.status_class)
    )
    for package_id, which, number in rows:
        numbers[package_id][ResultClass(which)] += number
    can_be_told = _is_one_of([*chosen, withdrawing.can_be_told()])
    is_told = Assignment.status_class == ResultClass.NOTIFIED
    told = session.execute(
        select(Assignment.package_id, func.count())
        .where(Assignment.cleared_at.is_(None), of_packages, can_be_told, is_told)
        .group_by(Assignment.package_id)
    )
    for package_id, number in told:
        numbers[package_id][_TOLD] += number
    return numbers


def _is_one_of(computers: list[Clause]) -> Clause:
    return Assignment.computer_id.in_(select(Computer.id).where(*computers))


def _count_members(
    session: Session, clause: Clause, wanted: list[Clause], rows: _Numbers | None, now: datetime
) -> _Numbers:
    """Count the members of groups that wait for the group's packages without a row.

    With `rows`, packages of which all of these computers had their row a moment ago are left out.
    """
    shared = session.scalars(
        select(Package).where(*wanted, Package.id.in_(select(GroupAssignment.package_id)))
    ).all()
    counted = select(func.count()).select_from(Computer).where(clause)
    computers = None if rows is None else session.scalar(counted)
    through = through_groups(session, [each.id for each in shared])
    numbers: _Numbers = defaultdict(Counter)
    for package in shared:
        if rows and sum(rows[package.id][each] for each in ResultClass) == computers:
            continue  # to look for members costs most, and all of these have their row
        members = waiting_members(session, package, through[package.id], now, clause)
        number = session.scalar(select(func.count()).select_from(members))
        if number:
            numbers[package.id][ResultClass.WAITING] += number
    return numbers


def _add(numbers: _Numbers, more: _Numbers) -> None:
    for package_id, counts in more.items():
        numbers[package_id].update(counts)


def _held(package_id: int, name: str, numbers: Counter[ResultClass | str]) -> Held:
    told = numbers[_TOLD]
    return Held(
        package=package_id,
        name=name,
        waiting=numbers[ResultClass.WAITING],
        told=told,
        beyond=numbers[ResultClass.NOTIFIED] - told,
        succeeded=numbers[ResultClass.SUCCESS],
        failed=numbers[ResultClass.ERROR],
    )
