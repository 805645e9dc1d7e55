"""That a computer was in contact, and with which agent."""

from datetime import datetime

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from deploy_server.services.inventory.intake import seen
from deploy_server.storage.models import Computer
from deploy_server.storage.quick import execute

# Made once: building a statement costs more than running it.
_SEEN = (
    update(Computer)
    .where(Computer.id == bindparam("computer"))
    .values(
        last_contact=bindparam("at"),
        agent=bindparam("user_agent"),
        agent_key=bindparam("user_agent_key"),
    )
)


def mark_seen(session: Session, computer_id: int, now: datetime, user_agent: str) -> None:
    """Write down that the computer's agent called now."""
    row = seen(now, user_agent)
    execute(
        session,
        _SEEN,
        {
            "computer": computer_id,
            "at": row["last_contact"],
            "user_agent": row["agent"],
            "user_agent_key": row["agent_key"],
        },
    )
