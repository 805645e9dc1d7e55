"""What the database is asked: through SQLAlchemy, and past it by `storage.quick`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import event
from sqlalchemy.orm import Session

from deploy_server.storage import quick


@contextmanager
def recorded(session: Session) -> Iterator[list[str]]:
    """Collect the statements that are executed on the session's database."""
    found: list[str] = []

    class Cursor(quick._cursor):
        def __init__(self, connection: Any, text: str, parameters: Any) -> None:
            found.append(text)
            super().__init__(connection, text, parameters)

    def see(*arguments: Any) -> None:
        found.append(arguments[2])

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", see)
    try:
        with mock.patch.object(quick, "_cursor", Cursor):
            yield found
    finally:
        event.remove(engine, "before_cursor_execute", see)
