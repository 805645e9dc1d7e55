"""Numbers that are given out once and never again, whoever asks at the same time."""

from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from deploy_server.storage.models import Allocation


def allocate(session: Session, series: str, at_least: int, count: int = 1) -> int:
    """Return the first of `count` new numbers in a row: max(at_least, last + 1).

    They are this transaction's until it ends; others who want some wait for it.

    Args:
        session: whose commit makes them used up.
        series: `package` or `attempt`.
        at_least: the smallest that will do.
        count: how many.
    """
    table = Allocation
    if session.get_bind().dialect.name == "postgresql":
        insert: Any = postgresql.insert(table)
    else:
        insert = sqlite.insert(table)
    following = case((table.last >= at_least, table.last + count), else_=at_least + count - 1)
    statement = (
        insert.values(series=series, last=at_least + count - 1)
        .on_conflict_do_update(index_elements=[table.series], set_={"last": following})
        .returning(table.last)
    )
    last: int = session.execute(statement).scalar_one()
    return last - count + 1


def give_back(session: Session, series: str, number: int, before: int) -> None:
    """Take back that `number` was given out, where nobody got another one since.

    Args:
        session: whose commit makes it so.
        series: as for `allocate`.
        number: that nobody ever saw.
        before: what `last_allocated` said, locked, in the transaction that allocated.
    """
    mine = Allocation.series == series, Allocation.last == number
    session.execute(update(Allocation).where(*mine).values(last=before))


def last_allocated(session: Session, series: str, *, lock: bool = False) -> int | None:
    """Return the last number given out, None before the first.

    Args:
        session: where from.
        series: as for `allocate`.
        lock: keep others from getting the next one until this transaction ends.
    """
    found = select(Allocation.last).where(Allocation.series == series)
    return session.scalar(found.with_for_update() if lock else found)
