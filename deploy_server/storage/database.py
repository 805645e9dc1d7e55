"""Engines and sessions: SQLite in WAL mode, or PostgreSQL through psycopg 3."""

from typing import Any

from sqlalchemy import Connection, Engine, Pool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from deploy_server.config import ConfigError

# Compiling a condition with twenty groups in it takes PostgreSQL seconds, and saves milliseconds.
_NO_JIT = "-c jit=off"

#: How long a writer waits for another one, in seconds, before SQLite gives up.
BUSY_TIMEOUT_S = 30

#: For `session.connection(execution_options=READ_ONLY)` at the beginning of a transaction that only
#: reads: on SQLite it then waits for no writer and holds none up.
READ_ONLY = {"tranche_begin": "BEGIN"}


def make_engine(
    url: str, *, poolclass: type[Pool] | None = None, busy_s: float | None = None
) -> Engine:
    """An engine for `url`, set up so that both databases promise the same.

    A transaction on SQLite takes the write lock when it begins (BEGIN IMMEDIATE), so what it read
    is still true when it writes; `READ_ONLY` is the exception. What was committed survives a power
    cut. Foreign keys hold.

    Args:
        url: ``sqlite:///…`` or ``postgresql+psycopg://…``.
        poolclass: what keeps its connections; SQLAlchemy's choice where there is none.
        busy_s: how long SQLite waits for others before it gives up, in seconds; the time of a
            writer where there is none.

    Raises:
        ConfigError: another database, or no URL at all.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _unusable("it is not a URL") from None
    if parsed.drivername == "postgresql+psycopg":
        options = " ".join([_NO_JIT, *parsed.normalized_query.get("options", ())])
        return create_engine(
            parsed, pool_pre_ping=True, poolclass=poolclass, connect_args={"options": options}
        )
    if parsed.get_backend_name() != "sqlite":
        raise _unusable(f"it names {parsed.drivername}")
    patience = {"timeout": BUSY_TIMEOUT_S if busy_s is None else busy_s}
    engine = create_engine(parsed, connect_args=patience, poolclass=poolclass)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "checkin", _leave_transaction)
    return engine


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions on `engine`; what they loaded stays readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


class SessionOn(Session):
    """A session on a connection of its own, which it begins on; asking for that costs nothing."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, expire_on_commit=False)
        self._own = connection

    def connection(self, *_: Any, **__: Any) -> Connection:
        """Return the connection, in a transaction."""
        if not self._own.in_transaction():
            self._own.begin()
        return self._own


def _unusable(why: str) -> ConfigError:
    return ConfigError(
        f"database_url cannot be used: {why}",
        hint="Give sqlite:////path/to/tranche.db or postgresql+psycopg://user@host/name.",
    )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Python's sqlite3 module would begin transactions by itself, and later than we must.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get("tranche_begin")
    if begin is None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Every contact begins so; it waits for nothing and cannot fail, so it needs no more.
        connection.connection.cursor().execute(begin)


def _leave_transaction(connection: Any, _record: object) -> None:
    # After a commit that failed SQLAlchemy takes the transaction for ended; SQLite may not.
    if connection is not None and connection.in_transaction:
        connection.rollback()
