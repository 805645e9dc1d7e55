"""Which rows of its members an assignment to a group starts, and which it leaves alone."""

from sqlalchemy import ColumnElement, and_, not_, or_

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.assigning import ALREADY_THERE, UNDER_WAY, WAITS_ALREADY
from deploy_server.storage.models import Assignment, Group, Package

Clause = ColumnElement[bool]

#: Why a group's assignment leaves a member alone, by the class of its row.
REASONS = {
    ResultClass.WAITING: WAITS_ALREADY,
    ResultClass.NOTIFIED: UNDER_WAY,
    ResultClass.SUCCESS: ALREADY_THERE,
}


def taken_over(package: Package, group: Group, force: bool) -> Clause:
    """Return the condition of rows that an assignment of the group starts, or starts again."""
    waits_here = and_(
        Assignment.status_class == ResultClass.WAITING,
        Assignment.group_id.is_not_distinct_from(group.id),
    )
    return or_(_starts_again(package, force), waits_here)


def left_alone(package: Package, group: Group, force: bool) -> Clause:
    """Return the condition of the package's rows that it leaves as they are."""
    return and_(Assignment.package_id == package.id, not_(taken_over(package, group, force)))


def _starts_again(package: Package, force: bool) -> Clause:
    """`domain.assigning.starts_again` as a condition over Assignment."""
    success = Assignment.status_class == ResultClass.SUCCESS
    ended = or_(Assignment.cleared_at.is_not(None), Assignment.status_class == ResultClass.ERROR)
    if force:
        return or_(success, ended)
    older = and_(
        Assignment.offered_revision.is_not(None), Assignment.offered_revision < package.revision
    )
    return or_(and_(success, older), and_(not_(success), ended))
