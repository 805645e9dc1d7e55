"""Agents that were refused for what they call themselves: remembered, so that people see them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, not_, select, update
from sqlalchemy.orm import Session, aliased

from deploy_server.domain.errors import BadMessage
from deploy_server.storage.models import Computer, RefusedAgent
from deploy_server.storage.search import within
from deploy_server.storage.upsert import insert_missing

Perimeter = frozenset[str] | None

#: Agents that are remembered; whoever invents names fills no disk.
ROWS_MAX = 500

#: How long one is remembered that does not come back.
KEPT = timedelta(days=30)

_TEXT_MAX = 255


class AgentRefused(BadMessage):
    """An agent that is known by its name, and refused by a setting; the text says which."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An agent that was refused, and did not make a contact since.

    Attributes:
        device_id: '' where its message could not be read.
        computer_id: None where there is no such computer.
        name: of the computer, ''.
        agent: as it calls itself.
        remote: the address it came from.
        why: a sentence.
        count: how often.
        last_at: when it came last.
    """

    device_id: str
    computer_id: int | None
    name: str
    agent: str
    remote: str
    why: str
    count: int
    last_at: datetime


def remember(
    session: Session, *, device_id: str, agent: str, remote: str, why: str, now: datetime
) -> None:
    """Remember an agent that is refused; `session` is not committed here."""
    key = {"device_id": device_id[:_TEXT_MAX], "agent": agent[:_TEXT_MAX]}
    same = [getattr(RefusedAgent, name) == value for name, value in key.items()]
    values = {"remote": remote, "why": why, "last_at": now}
    session.execute(
        update(RefusedAgent).where(*same).values(**values, count=RefusedAgent.count + 1)
    )
    if session.scalar(select(exists().where(*same))):
        return
    if (session.scalar(select(func.count()).select_from(RefusedAgent)) or 0) >= ROWS_MAX:
        # Whoever filled them with invented names keeps nobody out who comes later.
        oldest = select(RefusedAgent.id).order_by(RefusedAgent.last_at, RefusedAgent.id).limit(1)
        session.execute(delete(RefusedAgent).where(RefusedAgent.id == oldest.scalar_subquery()))
    insert_missing(session, RefusedAgent, [{**key, **values, "count": 1, "first_at": now}])


def list_refusals(session: Session, *, perimeter: Perimeter = None) -> list[Refusal]:
    """Return who was refused and did not make a contact since, the last one first."""
    return _found(session, perimeter)


def refusal_of(session: Session, device_id: str) -> Refusal | None:
    """Return how a computer's agent was refused after its last contact; None mostly."""
    return next(iter(_found(session, None, RefusedAgent.device_id == device_id)), None)


def sweep_refusals(session: Session, now: datetime) -> None:
    """Forget who did not come back for a long time.

    Args:
        session: not inside `session.begin()`; commits by itself.
        now: UTC.
    """
    with session.begin():
        session.execute(delete(RefusedAgent).where(RefusedAgent.last_at < now - KEPT))


def _found(
    session: Session, perimeter: Perimeter, *conditions: ColumnElement[bool]
) -> list[Refusal]:
    served = aliased(Computer)
    since = exists().where(
        served.device_id == RefusedAgent.device_id, served.last_contact > RefusedAgent.last_at
    )
    statement = (
        select(
            RefusedAgent.device_id,
            Computer.id,
            func.coalesce(Computer.name, ""),
            RefusedAgent.agent,
            RefusedAgent.remote,
            RefusedAgent.why,
            RefusedAgent.count,
            RefusedAgent.last_at,
        )
        .outerjoin(Computer, Computer.device_id == RefusedAgent.device_id)
        .where(not_(since), *conditions)
        .order_by(RefusedAgent.last_at.desc(), RefusedAgent.id.desc())
    )
    if perimeter is not None:
        statement = statement.where(and_(Computer.id.is_not(None), *within(perimeter)))
    return [Refusal(*row) for row in session.execute(statement)]
