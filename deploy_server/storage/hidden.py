"""Hidden packages: a session that meets none of them, nor anything that is of one.

The condition is the session's and not each query's, so no list, count, search or file of somebody
who may not see them can forget it.
"""

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import parse
from deploy_server.domain.search.tree import Pattern, leaves
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
from deploy_server.storage.search.packages import named

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


#: What a session keeps the ids under that it meets nothing of.
_UNSEEN = "unseen packages"


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
    session.info[_UNSEEN] = package_ids
    ids = sorted(package_ids)
    limits = [
        with_loader_criteria(column.class_, column.not_in(ids), include_aliases=True)
        for column in (Package.id, *_OF_A_PACKAGE)
    ]

    def limit(state: ORMExecuteState) -> None:
        if state.is_select or state.is_update:
            state.statement = state.statement.options(*limits)

    event.listen(session, "do_orm_execute", limit)


def names_unseen(session: Session, expression: str) -> bool:
    """Return whether `package:` in an expression names packages of which `session` meets none.

    What names no package at all says nothing of those that are hidden.
    """
    unseen: frozenset[int] = session.info.get(_UNSEEN, frozenset())
    return bool(unseen) and any(_is_unseen(session, unseen, each) for each in _named(expression))


def _named(expression: str) -> set[Pattern]:
    try:
        asked = list(leaves(parse(expression)))
    except SpecError:  # was saved when fields had other names; it finds nothing
        return set()
    return {each.argument for each in asked if each.field.name == "package" and each.argument}


def _is_unseen(session: Session, unseen: frozenset[int], argument: Pattern) -> bool:
    found = select(Package.id).where(named(argument)).limit(1)
    if session.scalar(found) is not None:
        return False
    # The connection knows nothing of the session's limits.
    return session.connection().scalar(found.where(Package.id.in_(sorted(unseen)))) is not None
