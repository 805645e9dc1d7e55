"""Two rows of one computer become one: nothing that anybody said or that happened is lost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import audit
from deploy_server.services.computers import Perimeter, get_computer_by_id
from deploy_server.storage.models import (
    AgentEvent,
    Assignment,
    Computer,
    GroupMember,
    Report,
    Setting,
)


def merge(
    session: Session,
    keep: int,
    gone: Sequence[int],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Merge computers into one; returns how many rows are gone.

    What the one that stays has of its own counts; of the others it takes what it has not:
    assignments, memberships by hand, settings, the tag. Results all become its own. What the
    others' agents list as done goes with them: it was said of another installation.

    Args:
        session: not committed here.
        keep: the row that stays.
        gone: the others.
        actor: who does it.
        now: UTC.
        perimeter: tags a person is limited to.

    Raises:
        SpecError: field `computer`; nothing to merge, or into itself.
        NotFound: one of them is not there, or not inside the perimeter.
    """
    others = list(dict.fromkeys(gone))
    if not others or keep in others:
        raise SpecError(
            "computer", "a computer is merged into another one", "Tick one that does not stay"
        )
    stays = get_computer_by_id(session, keep, perimeter=perimeter)
    rows = [get_computer_by_id(session, each, perimeter=perimeter) for each in others]
    for row in rows:
        _take_over(session, keep, row.id)
        reports = update(Report).where(Report.device_id == row.device_id)
        session.execute(reports.values(device_id=stays.device_id))
        if row.tag:
            keeper = session.get(Computer, keep)
            if keeper is None:
                raise NotFound(f"there is no computer {keep}", "Reload the list")
            if not keeper.tag:
                keeper.tag, keeper.tag_key = row.tag, _tag_key(session, row.id)
                session.flush()
        session.execute(delete(Computer).where(Computer.id == row.id))
    session.expire_all()
    before = {"merged": [row.device_id for row in rows]}
    audit.record(session, "computer.merge", stays.device_id, now=now, actor=actor, before=before)
    return len(rows)


def _take_over(session: Session, keep: int, other: int) -> None:
    """Move what the one that stays has no row of its own for."""
    _move(session, Assignment, Assignment.computer_id, Assignment.package_id, keep, other)
    _move(session, GroupMember, GroupMember.computer_id, GroupMember.group_id, keep, other)
    mine = select(Setting.name).where(Setting.scope == "computer", Setting.scope_id == keep)
    session.execute(
        update(Setting)
        .where(Setting.scope == "computer", Setting.scope_id == other, Setting.name.not_in(mine))
        .values(scope_id=keep)
        .execution_options(synchronize_session=False)
    )
    left = (Setting.scope == "computer", Setting.scope_id == other)
    session.execute(delete(Setting).where(*left))
    session.execute(
        update(AgentEvent)
        .where(AgentEvent.computer_id == other)
        .values(computer_id=keep)
        .execution_options(synchronize_session=False)
    )


def _move(session: Session, model: Any, computer: Any, key: Any, keep: int, other: int) -> None:
    mine = select(key).where(computer == keep)
    session.execute(
        update(model)
        .where(computer == other, key.not_in(mine))
        .values({computer.key: keep})
        .execution_options(synchronize_session=False)
    )


def _tag_key(session: Session, computer_id: int) -> str:
    return session.scalar(select(Computer.tag_key).where(Computer.id == computer_id)) or ""
