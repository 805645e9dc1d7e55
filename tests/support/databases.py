"""Fresh, migrated databases, one per test: migrated once per process, then copied."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from tests.support.postgres import PostgresCluster

_TEMPLATE = "tranche_template"


def migrate(url: str) -> None:
    """Bring the database at ``url`` to the newest schema, as ``deploy-server init`` does."""
    from deploy_server.storage import schema
    from deploy_server.storage.database import make_engine

    engine = make_engine(url)
    try:
        schema.upgrade(engine)
    finally:
        engine.dispose()


class SqliteDatabases:
    """Databases that are files; the template is one too."""

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template.db"
        migrate(f"sqlite:///{self.template}")

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """The URL of an empty database that nobody else uses."""
        copy = folder / "fresh.db"
        shutil.copyfile(self.template, copy)
        yield f"sqlite:///{copy}"


class PostgresDatabases:
    """Databases in a cluster of the tests' own; the template is PostgreSQL's own means.

    Copying the template takes a tenth of a second, emptying a database a hundredth. So a database
    is used again when nothing is left in it and its tables are the template's, to the last index.
    """

    def __init__(self) -> None:
        self._cluster = PostgresCluster()
        self._numbers = itertools.count(1)
        self._spare: str | None = None
        self._cluster.start()
        self._cluster.execute(f"CREATE DATABASE {_TEMPLATE}")
        migrate(self._cluster.url(_TEMPLATE))
        with self._cluster.connect(_TEMPLATE) as connection:
            self._made_of = _described(connection)

    def stop(self) -> None:
        self._cluster.stop()

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """The URL of an empty database that nobody else uses; gone or emptied afterwards."""
        name, self._spare = self._spare or self._copy(), None
        try:
            yield self._cluster.url(name)
        finally:
            if self._emptied(name):
                self._spare = name
            else:
                self._cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _copy(self) -> str:
        name = f"fresh_{next(self._numbers)}"
        self._cluster.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        return name

    def _emptied(self, name: str) -> bool:
        """Whether the database could be made like a new one."""
        with self._cluster.connect(name) as connection:
            connection.execute(_END_OTHERS)
            if _described(connection) != self._made_of:
                return False
            tables = _column(connection, _TABLES)
            # One transaction in which foreign keys are not looked at: the order does not matter.
            connection.execute("SET session_replication_role = replica")
            connection.execute(";".join(f"DELETE FROM {table}" for table in tables))
            connection.execute(_RESTART_SEQUENCES)
            connection.execute(_PUT_BY_MIGRATIONS)
            return True


_END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = """
    SELECT format('%I', tablename) FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
_RESTART_SEQUENCES = """
    SELECT setval(oid::regclass, 1, false) FROM pg_class
    WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
"""
_PUT_BY_MIGRATIONS = """
    INSERT INTO audit_chain (id, removed_number, removed_digest, last_number, last_digest)
    VALUES (1, 0, repeat('0', 64), 0, repeat('0', 64))
"""
_DESCRIPTION = """
    SELECT format('%s %s %s %s', attrelid::regclass, attname, atttypid::regtype, attnotnull)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT version_num FROM alembic_version
"""


def _column(connection: psycopg.Connection, query: LiteralString) -> list[str]:
    return [text for (text,) in connection.execute(query).fetchall()]


def _described(connection: psycopg.Connection) -> list[str]:
    """Every column, index and constraint; nothing when there is no version, so never equal."""
    try:
        return sorted(_column(connection, _DESCRIPTION))
    except psycopg.errors.UndefinedTable:
        return []
