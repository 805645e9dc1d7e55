"""What an assignment would do, in numbers with a few names: for pages, whatever the number."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, not_, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.assigning import SUCCEEDED_BEFORE, why_not
from deploy_server.services.assigning.assign import check_wanted
from deploy_server.services.assigning.rows_of_members import REASONS, left_alone
from deploy_server.services.assigning.standing import has_succeeded, never_succeeded
from deploy_server.services.assigning.targets import (
    Clause,
    chosen,
    find_activation,
    find_group,
    members,
)
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.storage.models import Assignment, Computer, Package
from deploy_server.storage.suitability import suits

#: Computers that are named for each reason.
EXAMPLES = 5

_OTHER = "it does not suit"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an assignment would do.

    Attributes:
        assigned: computers that get it.
        skipped: reasons, each with how many and the first of them; the most first.
    """

    assigned: int
    skipped: tuple[tuple[str, int, tuple[str, ...]], ...]


def outlook(
    session: Session,
    target: str,
    selection: Selection,
    *,
    force: bool = False,
    only_new: bool = False,
    now: datetime,
    perimeter: Perimeter = None,
) -> Outlook:
    """Return what `preview` says, without a row for every computer that is skipped.

    Raises:
        As `preview`.
    """
    found: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    package = find_activation(session, target).package
    check_wanted(selection, only_new, force)
    assigned = 0
    if selection.group is not None:
        group = find_group(session, selection.group, perimeter)
        computers = members(session, group, now)
        _count_unsuitable(session, package, computers, counts, found)
        wanted = and_(computers, suits(package))
        left = left_alone(package, group, force)
        assigned = _number(session, wanted) - _count_left(session, left, wanted, counts, found)
        return _outlook(assigned, counts, found)
    for computers in chosen(session, selection, now, perimeter):
        _count_unsuitable(session, package, computers, counts, found)
        wanted = and_(computers, suits(package))
        if only_new:
            _count_done(session, package, wanted, counts, found)
            wanted = and_(wanted, never_succeeded(package))
        assigned += _number(session, wanted)
    return _outlook(assigned, counts, found)


def _outlook(assigned: int, counts: dict[str, int], found: dict[str, list[str]]) -> Outlook:
    reasons = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return Outlook(
        assigned,
        tuple((each, counts[each], tuple(found[each][:EXAMPLES])) for each in reasons),
    )


def _count_unsuitable(
    session: Session,
    package: Package,
    computers: Clause,
    counts: dict[str, int],
    found: dict[str, list[str]],
) -> None:
    """Count those whom it does not suit: computers of one system and agent share the reason."""
    unsuited = and_(computers, not_(suits(package)))
    kinds = session.execute(
        select(Computer.os_family, Computer.agent, func.count())
        .where(unsuited)
        .group_by(Computer.os_family, Computer.agent)
    )
    digest = (package.digest_algorithm, package.digest_encoding)
    for family, agent, number in kinds.all():
        reason = why_not(package.os, *digest, family, agent) or _OTHER
        counts[reason] += number
        if len(found[reason]) < EXAMPLES:
            kind = and_(unsuited, Computer.os_family == family, Computer.agent == agent)
            found[reason] += _names(session, kind)


def _count_done(
    session: Session,
    package: Package,
    computers: Clause,
    counts: dict[str, int],
    found: dict[str, list[str]],
) -> None:
    done = and_(computers, has_succeeded(package))
    number = _number(session, done)
    if number:
        counts[SUCCEEDED_BEFORE] += number
        found[SUCCEEDED_BEFORE] += _names(session, done)


def _count_left(
    session: Session,
    left: Clause,
    computers: Clause,
    counts: dict[str, int],
    found: dict[str, list[str]],
) -> int:
    """Count the members whose rows stay as they are, by their classes; returns how many."""
    classes = session.execute(
        select(Assignment.status_class, func.count())
        .where(left, Assignment.computer_id.in_(select(Computer.id).where(computers)))
        .group_by(Assignment.status_class)
    ).all()
    for each, number in classes:
        reason = REASONS[ResultClass(each)]
        counts[reason] += number
        of_class = select(Assignment.computer_id).where(left, Assignment.status_class == each)
        found[reason] += _names(session, and_(computers, Computer.id.in_(of_class)))
    return sum(number for _, number in classes)


def _number(session: Session, computers: Clause) -> int:
    return session.scalar(select(func.count()).select_from(Computer).where(computers)) or 0


def _names(session: Session, computers: Clause) -> list[str]:
    first = select(Computer.device_id).where(computers).order_by(Computer.name_key, Computer.id)
    return list(session.scalars(first.limit(EXAMPLES)))
