"""The one thing that removes entries: the oldest ones, and it enters that."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from deploy_server.services.audit.entering import record
from deploy_server.storage.models import AuditChain, AuditEntry


def sweep_audit(session: Session, days: int, now: datetime) -> list[str]:
    """Remove entries older than `days` and enter that; a sentence where there was any.

    Args:
        session: not inside `session.begin()`; commits by itself.
        days: 0 removes nothing.
        now: UTC.
    """
    with session.begin():
        last = _last_before(session, now - timedelta(days=days)) if days else None
        if last is None:
            return []
        chain = session.scalars(select(AuditChain).with_for_update()).one()
        number = last.number - chain.removed_number
        chain.removed_number, chain.removed_digest = last.number, last.digest
        session.execute(delete(AuditEntry).where(AuditEntry.number <= last.number))
        after = {"removed": number, "older_than_days": days, "up_to": last.number}
        record(session, "audit.sweep", "audit log", now=now, after=after)
    return [f"entries of the audit log older than {days} days: {number} removed"]


def _last_before(session: Session, moment: datetime) -> AuditEntry | None:
    """Return the last entry of those at the beginning that are all older than `moment`.

    A clock that was wrong for a while must not open a hole in the middle.
    """
    first_kept = session.scalar(select(func.min(AuditEntry.number)).where(AuditEntry.at >= moment))
    older = select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)
    if first_kept is not None:
        older = older.where(AuditEntry.number < first_kept)
    return session.scalars(older).first()
