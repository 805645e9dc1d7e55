"""Statements on the way of every message: without what the ORM does around each of them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CursorResult
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable


def execute(session: Session, statement: Executable, parameters: Mapping[str, Any]) -> Any:
    """Run a statement in the session's transaction, at half the cost of `session.execute`.

    Objects that the session holds are neither written before nor changed after. The statement
    should be made once, with `bindparam`: building one costs more than running it.
    """
    result: CursorResult[Any] = session.connection().execute(statement, parameters)
    return result
