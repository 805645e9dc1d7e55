"""What the agents said last, for pages and commands."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from deploy_server.domain.telling import Told
from deploy_server.storage.models import AgentEvent

Place = tuple[int, int]  # package id or computer id, attempt


def last_of_computer(session: Session, computer_id: int) -> dict[Place, Told]:
    """Return what a computer's agent said last, by package id and attempt."""
    mine = AgentEvent.computer_id == computer_id
    return {
        (row.package_id, row.attempt): _told(row, output) for row, output in _last(session, [mine])
    }


def last_of_rows(
    session: Session, package_id: int, computer_ids: Collection[int]
) -> dict[Place, Told]:
    """Return what the agents of some computers said last of a package, by computer and attempt."""
    if not computer_ids:
        return {}
    here = [AgentEvent.package_id == package_id, AgentEvent.computer_id.in_(computer_ids)]
    return {
        (row.computer_id, row.attempt): _told(row, output) for row, output in _last(session, here)
    }


def _last(session: Session, conditions: list[Any]) -> list[tuple[AgentEvent, AgentEvent | None]]:
    """Return the last event of each attempt, with the last one that has an output."""
    outputs = _newest(session, [*conditions, AgentEvent.output != ""])
    newest = _newest(session, conditions)
    return [(event, outputs.get(place)) for place, event in newest.items()]


def _newest(session: Session, conditions: list[Any]) -> dict[tuple[int, int, int], AgentEvent]:
    found = session.scalars(select(AgentEvent).where(AgentEvent.id.in_(_ids(conditions))))
    return {(each.computer_id, each.package_id, each.attempt): each for each in found}


def _ids(conditions: list[Any]) -> Select[int]:
    return (
        select(func.max(AgentEvent.id))
        .where(*conditions)
        .group_by(AgentEvent.computer_id, AgentEvent.package_id, AgentEvent.attempt)
    )


def _told(event: AgentEvent, with_output: AgentEvent | None) -> Told:
    source = with_output or event
    return Told(
        state=event.state,
        at=event.at,
        reason=event.reason,
        done=event.done,
        total=event.total,
        exit_code=source.exit_code,
        output=source.output,
        truncated=source.truncated,
    )
