"""What was taken back from our agents after they were told of it: remembered until they answer.

OCS's agents can be told nothing of the kind, so nothing is remembered for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

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


@dataclass(frozen=True, slots=True)
class WithdrawnRow:
    """A computer that a package was taken back from."""

    computer_id: int
    computer_name: str
    device_id: str
    at: datetime
    by: str
    word_at: datetime | None
    last_contact: datetime | None


@dataclass(frozen=True, slots=True)
class WithdrawnPage:
    """A page of them."""

    rows: tuple[WithdrawnRow, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


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
    under_way = [
        *conditions,
        Assignment.cleared_at.is_(None),
        Assignment.status_class.in_((ResultClass.WAITING, ResultClass.NOTIFIED)),
    ]
    _wait_for_contacts(session, under_way)
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
            can_be_told(),
        )
        .order_by(Assignment.computer_id)
    )
    return insert_missing_from(session, Withdrawal, rows)


def _wait_for_contacts(session: Session, conditions: Sequence[ColumnElement[bool]]) -> None:
    """Let nobody be told from here on, and wait for whoever is being told right now."""
    if session.get_bind().dialect.name == "sqlite":
        return  # a transaction that writes is alone there
    # In the order of `assign`, so that two never wait for each other in a circle.
    order = Assignment.computer_id, Assignment.package_id
    rows = select(Assignment.id).where(*conditions).order_by(*order)
    locked = rows.with_for_update(of=Assignment).subquery()
    session.execute(select(func.count()).select_from(locked))


def can_be_told() -> ColumnElement[bool]:
    """Return the condition that a computer's agent is one that can be told to drop something."""
    return Computer.agent_key.contains(terms.OUR_AGENT_MARK.casefold(), autoescape=True)


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
    """Return from how many computers a package is taken back, by the agent's word for it.

    A computer counts by the last time, and not where it was given the package again.
    """
    statement = (
        select(Withdrawal.word, func.count())
        .where(*_last_of(package_id, perimeter))
        .group_by(Withdrawal.word)
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def withdrawn_page(
    session: Session,
    package_id: int,
    word: str,
    *,
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 50,
) -> WithdrawnPage:
    """Return the computers behind a count of `words`, what changed last first."""
    conditions = [*_last_of(package_id, perimeter), Withdrawal.word == word]
    total = session.scalar(select(func.count()).select_from(Withdrawal).where(*conditions))
    rows = session.execute(
        select(
            Computer.id,
            Computer.name,
            Computer.device_id,
            Withdrawal.at,
            Withdrawal.by,
            Withdrawal.word_at,
            Computer.last_contact,
        )
        .join(Computer, Computer.id == Withdrawal.computer_id)
        .where(*conditions)
        .order_by(func.coalesce(Withdrawal.word_at, Withdrawal.at).desc(), Computer.id)
        .limit(page_size)
        .offset((page - 1) * page_size)
    )
    found = tuple(WithdrawnRow(*row) for row in rows)
    return WithdrawnPage(found, total or 0, page, page_size)


def _last_of(package_id: int, perimeter: Perimeter) -> list[ColumnElement[bool]]:
    """Return the conditions of the last withdrawal of each computer that still holds."""
    later = aliased(Withdrawal)
    again = exists().where(
        later.computer_id == Withdrawal.computer_id,
        later.package_id == Withdrawal.package_id,
        later.attempt > Withdrawal.attempt,
    )
    given_again = exists().where(
        Assignment.computer_id == Withdrawal.computer_id,
        Assignment.package_id == Withdrawal.package_id,
        Assignment.attempt > Withdrawal.attempt,
    )
    found = [Withdrawal.package_id == package_id, ~again, ~given_again]
    inside = within(perimeter)
    if inside:
        found.append(Withdrawal.computer_id.in_(select(Computer.id).where(*inside)))
    return found
