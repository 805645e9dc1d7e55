"""Hidden packages: a session that meets none of them, nor anything that is of one.

The condition is the session's and not each query's, so no list, count, search or file of somebody
who may not see them can forget it.
"""

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from deploy_server.storage.models import (
    Activation,
    AgentEvent,
    Assignment,
    DownloadHistory,
    GroupAssignment,
    Package,
    Report,
    Withdrawal,
)

#: What names a package.
_OF_A_PACKAGE = (
    Activation.package_id,
    AgentEvent.package_id,
    Assignment.package_id,
    DownloadHistory.package_id,
    GroupAssignment.package_id,
    Report.package_id,
    Withdrawal.package_id,
)


def hidden_packages(session: Session) -> frozenset[int]:
    """Return the ids of the packages that only administrators see, deleted ones too."""
    return frozenset(session.scalars(select(Package.id).where(Package.hidden_at.is_not(None))))


def leave_out(session: Session, package_ids: frozenset[int]) -> None:
    """Let `session` meet nothing of these packages from here on.

    What it reads and changes by an ORM statement is limited; what it deletes is not, because a
    deletion that somebody may do, like leaving a group, takes along what they do not see.
    """
    if not package_ids:
        return
    ids = sorted(package_ids)
    limits = [
        with_loader_criteria(column.class_, column.not_in(ids), include_aliases=True)
        for column in (Package.id, *_OF_A_PACKAGE)
    ]

    def limit(state: ORMExecuteState) -> None:
        if state.is_select or state.is_update:
            state.statement = state.statement.options(*limits)

    event.listen(session, "do_orm_execute", limit)
