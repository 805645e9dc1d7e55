"""Locks by name: one who changes something, wherever the others run.

Each is held while its process lives and not a moment longer, however it ends. Where one data
directory is all there is, the kernel holds them; where several hosts share a database, it does.
"""

import contextlib
import hashlib
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError

from deploy_server.domain.errors import StorageError
from deploy_server.storage.database import make_engine
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.lock import FileLock

# The database's own patience with a host that lost its power is two hours.
_NOTICE_SOON = (
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)


class Lock(Protocol):
    """One that is held; a context manager that lets go."""

    def confirm(self) -> None:
        """Return when it is still held.

        Raises:
            StorageError: whoever keeps it went away, and somebody else may have it.
        """

    def release(self) -> None:
        """Let others have it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Locks(Protocol):
    """Where locks are taken."""

    def take(self, name: str) -> Lock | None:
        """Return the lock of this name, None while somebody else holds it.

        Raises:
            StorageError: nobody can tell.
        """


class FileLocks:
    """Locks between the processes of one host.

    Args:
        folder: for their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, name: str) -> Lock | None:
        """Return the lock of this name, None while somebody else holds it."""
        with storage_errors(f"nothing can be locked in {self._folder}"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock.take(self._folder / f"{name}.lock")
        return None if lock is None else _Held(lock)


class _Held:
    """A lock of the kernel's."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def confirm(self) -> None:
        """Return: the kernel does not go away."""

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class DatabaseLocks:
    """Locks between everybody who uses one PostgreSQL database.

    Each is a connection of its own, because PostgreSQL keeps them for a session.

    Args:
        url: of the database.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, poolclass=NullPool).execution_options(
            isolation_level="AUTOCOMMIT"
        )

    def take(self, name: str) -> Lock | None:
        """Return the lock of this name, None while somebody else holds it."""
        number = _number(name)
        try:
            connection = self._engine.connect()
            try:
                if connection.scalar(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}):
                    for statement in _NOTICE_SOON:
                        connection.execute(text(statement))
                    return _Kept(connection, number)
            except BaseException:
                connection.close()
                raise
            connection.close()
        except DBAPIError as error:
            raise _silent(error) from error
        return None


class _Kept:
    """A lock that PostgreSQL keeps for a connection."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def confirm(self) -> None:
        """Return when it is still held."""
        if not self._connection.invalidated:
            try:
                self._connection.execute(text("SELECT 1"))
                return
            except DBAPIError as error:
                self._connection.invalidate(error)
        raise StorageError(
            "the connection to the database that kept others away broke", "Do it once more"
        )

    def release(self) -> None:
        """Let others have it."""
        if not self._connection.invalidated:
            # Said, because PostgreSQL notices the end of a connection a moment later.
            with contextlib.suppress(DBAPIError):  # then nobody keeps it any more
                self._connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": self._number})
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def locks_for(database_url: str, folder: Path) -> Locks:
    """Return the locks that everybody shares who uses this database.

    Args:
        database_url: SQLAlchemy's address.
        folder: for files, where one host is all there is.
    """
    if database_url.startswith("postgresql"):
        return DatabaseLocks(database_url)
    return FileLocks(folder)


def _number(name: str) -> int:
    digest = hashlib.sha256(f"tranche {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _silent(error: DBAPIError) -> StorageError:
    return StorageError(
        f"the database, which says who may change what, does not answer: {error.orig}",
        "Try again when it does",
    )
