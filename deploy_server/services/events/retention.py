"""What agents said is removed after a while; what is under way keeps it."""

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import AgentEvent, Assignment, Withdrawal

#: Rows removed in one transaction: agents wait for it.
BATCH = 5000


def sweep_events(session: Session, now: datetime) -> list[str]:
    """Remove what is older than EVENTS_DAYS; a sentence for each kind of which there was any.

    Args:
        session: not inside `session.begin()`; commits by itself, some rows at a time.
        now: UTC.
    """
    with session.begin():
        days = int(get_setting(session, "EVENTS_DAYS").value)
    before = now - timedelta(days=days)
    said = []
    events, withdrawals = _events(session, before), _withdrawals(session, before)
    if events:
        said.append(f"events of agents older than {days} days: {events} removed")
    if withdrawals:
        said.append(f"what was taken back more than {days} days ago: {withdrawals} forgotten")
    return said


def _events(session: Session, before: datetime) -> int:
    under_way = (
        select(Assignment.id)
        .where(
            Assignment.computer_id == AgentEvent.computer_id,
            Assignment.package_id == AgentEvent.package_id,
            Assignment.attempt == AgentEvent.attempt,
            Assignment.cleared_at.is_(None),
            Assignment.status_class == ResultClass.NOTIFIED,
        )
        .exists()
    )
    number = last = 0
    while True:
        with session.begin():
            ids = session.scalars(
                select(AgentEvent.id)
                .where(AgentEvent.id > last, AgentEvent.received_at < before, ~under_way)
                .order_by(AgentEvent.id)
                .limit(BATCH)
            ).all()
            session.execute(delete(AgentEvent).where(AgentEvent.id.in_(ids)))
        number += len(ids)
        if len(ids) < BATCH:
            return number
        last = ids[-1]


def _withdrawals(session: Session, before: datetime) -> int:
    with session.begin():
        done = session.execute(delete(Withdrawal).where(Withdrawal.at < before))
    return cast(CursorResult[Any], done).rowcount
