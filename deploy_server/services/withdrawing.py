"""What was taken back from our agents after they were told of it: remembered until they answer.

OCS's agents can be told nothing of the kind, so nothing is remembered for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire import terms
from deploy_agent.wire.result import ResultClass
from deploy_server.storage.models import Assignment, Computer, Package, Withdrawal
from deploy_server.storage.quick import execute
from deploy_server.storage.search import within
from deploy_server.storage.types import Key, UtcDateTime
from deploy_server.storage.upsert import insert_missing_from

Perimeter = frozenset[str] | None

#: What an agent has said of what was taken back.
UNSAID, RUNNING, STOPPED, FINISHED = "", "running", "stopped", "finished"
#: Of these the agent is told again.
OPEN = (UNSAID, RUNNING)

CANCELS_MAX = 200  # of one reply

# Made once: they are on the way of messages.
_CANCELS = (
    select(Withdrawal.package_id, Withdrawal.attempt)
    .where(Withdrawal.computer_id == bindparam("computer"), Withdrawal.word.in_(OPEN))
    .order_by(Withdrawal.at.desc(), Withdrawal.package_id)
    .limit(CANCELS_MAX)
)
_SAY = (
    update(Withdrawal)
    .where(
        Withdrawal.computer_id == bindparam("computer"),
        Withdrawal.package_id == bindparam("package"),
        Withdrawal.attempt == bindparam("of_attempt"),
        Withdrawal.word.in_(OPEN),
    )
    .values(word=bindparam("said"), word_at=bindparam("said_at"))
)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A package that was taken back from a computer, and the agent's word for it.

    Attributes:
        package: its id.
        name: of the package.
        attempt: X_ATTEMPT.
        at: when it was taken back.
        by: who did it.
        word: one of `UNSAID`, `RUNNING`, `STOPPED`, `FINISHED`.
        word_at: when the agent said so.
    """

    package: int
    name: str
    attempt: int
    at: datetime
    by: str
    word: str
    word_at: datetime | None


def remember(
    session: Session, conditions: Sequence[ColumnElement[bool]], *, actor: str, now: datetime
) -> int:
    """Remember those of the assignments under way that our agents were told of.

    Call it before the rows change.

    Args:
        session: not committed here.
        conditions: over Assignment.
        actor: who takes them back.
        now: UTC.

    Returns:
        How many there are.
    """
    rows: Any = (
        select(
            Assignment.computer_id.label("computer_id"),
            Assignment.package_id.label("package_id"),
            Assignment.attempt.label("attempt"),
            literal(now, UtcDateTime()).label("at"),
            literal(actor).label("by"),
            literal(UNSAID, Key()).label("word"),
        )
        .join(Computer, Computer.id == Assignment.computer_id)
        .where(
            *conditions,
            Assignment.cleared_at.is_(None),
            Assignment.status_class == ResultClass.NOTIFIED,
            Computer.agent_key.contains(terms.OUR_AGENT_MARK.casefold(), autoescape=True),
        )
        .order_by(Assignment.computer_id)
    )
    return insert_missing_from(session, Withdrawal, rows)


def has_cancels() -> Any:
    """Return the condition that there is something to tell a computer's agent to drop."""
    # Spelled out, because a list would have to be expanded at each contact.
    is_open = or_(*(Withdrawal.word == word for word in OPEN))
    return exists().where(Withdrawal.computer_id == Computer.id, is_open)


def cancels(session: Session, computer_id: int) -> tuple[tuple[str, int], ...]:
    """Return what the computer's agent is told to drop: package id and attempt."""
    rows = execute(session, _CANCELS, {"computer": computer_id})
    return tuple((f"{row.package_id:010d}", row.attempt) for row in rows)


def say(
    session: Session, computer_id: int, package_id: int, attempt: int, word: str, now: datetime
) -> None:
    """Write down the agent's word for what may have been taken back."""
    place = {"computer": computer_id, "package": package_id, "of_attempt": attempt}
    execute(session, _SAY, {**place, "said": word, "said_at": now})


def withdrawn_from(session: Session, computer_id: int) -> list[Withdrawn]:
    """Return what was taken back from a computer and not given to it again, newest first."""
    given_again = (
        select(Assignment.id)
        .where(
            Assignment.computer_id == Withdrawal.computer_id,
            Assignment.package_id == Withdrawal.package_id,
            Assignment.attempt > Withdrawal.attempt,
        )
        .exists()
    )
    rows = session.execute(
        select(
            Withdrawal.package_id,
            func.coalesce(Package.name, ""),
            Withdrawal.attempt,
            Withdrawal.at,
            Withdrawal.by,
            Withdrawal.word,
            Withdrawal.word_at,
        )
        .outerjoin(Package, Package.id == Withdrawal.package_id)
        .where(Withdrawal.computer_id == computer_id, ~given_again)
        .order_by(Withdrawal.at.desc(), Withdrawal.package_id)
    )
    return [Withdrawn(*row) for row in rows]


def words(session: Session, package_id: int, *, perimeter: Perimeter = None) -> dict[str, int]:
    """Return from how many computers a package was taken back, by the agent's word for it."""
    statement = (
        select(Withdrawal.word, func.count(Withdrawal.computer_id.distinct()))
        .where(Withdrawal.package_id == package_id)
        .group_by(Withdrawal.word)
    )
    inside = within(perimeter)
    if inside:
        statement = statement.where(Withdrawal.computer_id.in_(select(Computer.id).where(*inside)))
    return {row[0]: row[1] for row in session.execute(statement)}
