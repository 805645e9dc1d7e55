"""Sessions that only read and stay open: for what every contact asks.

To open a session, a connection and a transaction costs more than the four statements of a contact.
So each thread keeps one of its own, and no transaction is left open in it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from deploy_server.storage.database import READ_ONLY, SessionOn


class Readers:
    """One session for each thread that asks.

    On SQLite a reader sees one state of the database until it is done. On PostgreSQL each of its
    statements sees the newest, as in any transaction there.

    Args:
        engine: of the database; where sessions are kept it should pool none itself.
        keep: whether sessions stay open; whoever says so calls `close`.
    """

    def __init__(self, engine: Engine, *, keep: bool) -> None:
        self._engine = _reading(engine)
        self._keep = keep
        self._own = threading.local()
        self._lock = threading.Lock()
        self._kept: list[_Reader] = []

    @contextmanager
    def session(self) -> Iterator[Session]:
        """The thread's session; what was read in it is gone when it is left.

        Raises:
            DBAPIError: the database refused; the next one who asks gets a new connection.
        """
        reader = getattr(self._own, "reader", None)
        if reader is None:
            reader = self._own.reader = self._open()
        try:
            yield reader
        except DBAPIError:
            self._own.reader = None
            self._forget(reader)
            raise
        finally:
            reader.rest()
            if not self._keep:
                self._own.reader = None
                reader.end()

    def close(self) -> None:
        """Close all connections; nobody may be asking any more."""
        with self._lock:
            left, self._kept = self._kept, []
        for reader in left:
            reader.end()
        self._own = threading.local()

    def _open(self) -> "_Reader":
        reader = _Reader(self._engine.connect())
        if self._keep:
            with self._lock:
                self._kept.append(reader)
        return reader

    def _forget(self, reader: "_Reader") -> None:
        with self._lock:
            self._kept = [each for each in self._kept if each is not reader]
        reader.break_off()


class _Reader(SessionOn):
    """A session that only reads."""

    def rest(self) -> None:
        """Leave the transaction and forget what was loaded in it."""
        if self.in_transaction():
            self.close()
        if not self._own.closed and self._own.in_transaction():
            self._own.rollback()

    def end(self) -> None:
        """Give the connection back."""
        self.close()
        self._own.close()

    def break_off(self) -> None:
        """Close the connection, and let nobody else have it."""
        if not self._own.closed:
            self._own.invalidate()


def _reading(engine: Engine) -> Engine:
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**READ_ONLY)
    # The statements change nothing, so a transaction would be two more questions for nothing.
    return engine.execution_options(isolation_level="AUTOCOMMIT")
