"""INSERT that meets a row already there: the same words for SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Select, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from deploy_server.storage.models import Base, Counter

Rows = Sequence[Mapping[str, Any]]


def insert_missing(session: Session, model: type[Base], rows: Rows) -> None:
    """Insert those of `rows` that no constraint keeps out; the others stay as they are."""
    if rows:
        session.execute(_insert(session, model).on_conflict_do_nothing(), list(rows))


def insert_or_update(
    session: Session, model: type[Base], rows: Rows, key: Sequence[str], update: Sequence[str]
) -> None:
    """Insert `rows`; where one with the same `key` is there, set its `update` columns."""
    if not rows:
        return
    insert = _insert(session, model)
    changes = {name: insert.excluded[name] for name in update}
    session.execute(
        insert.on_conflict_do_update(index_elements=list(key), set_=changes), list(rows)
    )


def _insert(session: Session, model: type[Base]) -> Any:
    # On the table, not the mapper: no object is made for what is written.
    table = cast(Table, model.__table__)
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_missing_from(session: Session, model: type[Base], rows: Select[Any]) -> int:
    """Insert what `rows` selects and no constraint keeps out; returns how many.

    The labels of `rows` are the columns; on SQLite it must have a WHERE.
    """
    insert = _insert(session, model).from_select(list(rows.selected_columns.keys()), rows)
    return _changed(session, insert.on_conflict_do_nothing())


def insert_or_update_from(
    session: Session,
    model: type[Base],
    rows: Select[Any],
    key: Sequence[str],
    update: Sequence[str],
    *,
    likely_new: bool = False,
) -> int:
    """Insert what `rows` selects; where a row with the same `key` is there, set `update` columns.

    Args:
        session: not committed here.
        model: of the table.
        rows: labels and WHERE as in `insert_missing_from`.
        key: columns of a unique constraint.
        update: columns.
        likely_new: none of the rows was there a moment ago; the same is done, mostly sooner.

    Returns:
        How many rows were inserted or changed.
    """
    insert = _insert(session, model).from_select(list(rows.selected_columns.keys()), rows)
    if likely_new and session.get_bind().dialect.name == "postgresql":
        # To be ready for a conflict takes PostgreSQL a third of the time of each row.
        with suppress(IntegrityError), session.begin_nested():
            return _changed(session, insert)
    changes = {name: insert.excluded[name] for name in update}
    return _changed(session, insert.on_conflict_do_update(index_elements=list(key), set_=changes))


def count(session: Session, name: str, now: datetime) -> None:
    """Raise the counter `name` by one."""
    insert = _insert(session, Counter).values(name=name, value=1, last_at=now)
    raised = {"value": Counter.value + 1, "last_at": now}
    session.execute(insert.on_conflict_do_update(index_elements=["name"], set_=raised))


def _changed(session: Session, statement: Any) -> int:
    # Only on demand does SQLAlchemy keep the number of an INSERT.
    result = session.execute(statement.execution_options(preserve_rowcount=True))
    return cast("CursorResult[Any]", result).rowcount
