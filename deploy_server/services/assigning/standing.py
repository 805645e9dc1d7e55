"""How a package stands on computers before it is given to them: done before, under way, failed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, not_, or_, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services.assigning.targets import (
    Clause,
    check_selection,
    chosen,
    find_activation,
    find_group,
    members,
)
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.storage.models import (
    Assignment,
    Computer,
    DownloadHistory,
    GroupMember,
    Package,
    Report,
)
from deploy_server.storage.suitability import suits


@dataclass(frozen=True, slots=True)
class Standing:
    """Of the computers that a package suits, how many have it already.

    Attributes:
        succeeded: it succeeded there at some time, with any revision.
        under_way: they were told of it and have not ended it.
        waiting: they have it assigned and were not told.
        failed: it ended in an error.
        kept_out: members that somebody keeps out of the group by hand; they get nothing.
    """

    succeeded: int
    under_way: int
    waiting: int
    failed: int
    kept_out: int = 0

    @property
    def anything(self) -> bool:
        """Whether there is anything to say."""
        numbers = (self.succeeded, self.under_way, self.waiting, self.failed, self.kept_out)
        return any(numbers)


def standing(
    session: Session,
    target: str,
    selection: Selection,
    *,
    now: datetime,
    perimeter: Perimeter = None,
) -> Standing:
    """Return how a package stands on the computers of a selection.

    Raises:
        As `preview`.
    """
    package = find_activation(session, target).package
    check_selection(selection)
    kept_out = 0
    if selection.group is not None:
        group = find_group(session, selection.group, perimeter)
        clauses = [members(session, group, now)]
        kept_out = _kept_out(session, group.id)
    else:
        clauses = list(chosen(session, selection, now, perimeter))
    succeeded = under_way = waiting = failed = 0
    for clause in clauses:
        suited = and_(clause, suits(package))
        done = select(func.count()).select_from(Computer).where(suited, has_succeeded(package))
        succeeded += session.scalar(done) or 0
        classes = _classes(session, package, suited)
        under_way += classes.get(ResultClass.NOTIFIED, 0)
        waiting += classes.get(ResultClass.WAITING, 0)
        failed += classes.get(ResultClass.ERROR, 0)
    return Standing(succeeded, under_way, waiting, failed, kept_out)


def has_succeeded(package: Package) -> Clause:
    """Return the condition that the package ever succeeded on a computer, as anybody knows it.

    The assignment says so, a result of the past, or the agent's own history.
    """
    row = select(Assignment.computer_id).where(
        Assignment.package_id == package.id, Assignment.status_class == ResultClass.SUCCESS
    )
    told = select(Report.device_id).where(
        Report.package_id == package.id, Report.result_class == ResultClass.SUCCESS
    )
    listed = select(DownloadHistory.computer_id).where(DownloadHistory.package_id == package.id)
    return or_(Computer.id.in_(row), Computer.device_id.in_(told), Computer.id.in_(listed))


def never_succeeded(package: Package) -> Clause:
    """Return the opposite of `has_succeeded`."""
    return not_(has_succeeded(package))


def _classes(session: Session, package: Package, computers: Clause) -> dict[int, int]:
    rows = session.execute(
        select(Assignment.status_class, func.count())
        .where(
            Assignment.package_id == package.id,
            Assignment.cleared_at.is_(None),
            Assignment.computer_id.in_(select(Computer.id).where(computers)),
        )
        .group_by(Assignment.status_class)
    )
    return {row[0]: row[1] for row in rows}


def _kept_out(session: Session, group_id: int) -> int:
    by_hand = (GroupMember.group_id == group_id, GroupMember.kind == "exclude")
    return session.scalar(select(func.count()).select_from(GroupMember).where(*by_hand)) or 0
