"""The one thing that removes results from history: those that are older than RESULTS_DAYS."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from deploy_server.services import audit
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import Report

#: Rows removed in one transaction: agents wait for it.
BATCH = 5000


def sweep_results(session: Session, now: datetime) -> list[str]:
    """Remove results older than RESULTS_DAYS and enter that; a sentence where there was any.

    Args:
        session: not inside `session.begin()`; commits by itself, some rows at a time.
        now: UTC.
    """
    with session.begin():
        days = int(get_setting(session, "RESULTS_DAYS").value)
    if not days:
        return []
    number = 0
    while removed := _remove_some(session, now - timedelta(days=days)):
        number += removed
    if not number:
        return []
    with session.begin():
        after = {"removed": number, "older_than_days": days}
        audit.record(session, "results.sweep", "history of results", now=now, after=after)
    return [f"results older than {days} days: {number} removed"]


def _remove_some(session: Session, before: datetime) -> int:
    with session.begin():
        oldest = select(Report.id).where(Report.at < before).order_by(Report.at).limit(BATCH)
        ids = session.scalars(oldest).all()
        session.execute(delete(Report).where(Report.id.in_(ids)))
    return len(ids)
