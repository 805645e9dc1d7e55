"""A large installation in a database within a minute or two, on SQLite and on PostgreSQL.

    python -m tests.benchmarks.population DATA --computers 100000

Rows only; a package that is to be fetched or deleted is built in the usual way. Indexes are made
after the rows. The console's and the growth's benchmarks stand on it.
"""

import argparse
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Index, MetaData, Table, select, text
from sqlalchemy.schema import CreateIndex, DropIndex

from deploy_server.config import load
from deploy_server.storage.database import make_engine
from deploy_server.storage.models import AuditChain, AuditEntry, Base
from tests.benchmarks.population_deployed import DeployedRows
from tests.benchmarks.population_fleet import FleetRows, Row, Sizes, Times

_BATCH = 10_000
_CHAIN = Base.metadata.tables[AuditChain.__tablename__]


def populate(url: str, sizes: Sizes) -> float:
    """Fill an empty, migrated database; a database that has computers already is left as it is.

    Returns:
        The seconds it took.
    """
    began = time.perf_counter()
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            if connection.scalar(text("SELECT count(*) FROM computer")):
                return 0.0
            end = connection.execute(select(_CHAIN.c.last_number, _CHAIN.c.last_digest)).one()
            for name, found in _tables(sizes, *end):
                _fill(connection, Base.metadata.tables[name], found)
            _end_chain(connection)
            _raise_sequences(connection)
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    finally:
        engine.dispose()
    return time.perf_counter() - began


def _tables(sizes: Sizes, audited: int, digest: str) -> Iterator[tuple[str, Iterator[Row]]]:
    """Every table with its rows, in an order that foreign keys allow."""
    times = Times(datetime.now(UTC).replace(microsecond=0))
    fleet, deployed = FleetRows(sizes, times), DeployedRows(sizes, times)
    yield from fleet.software()
    yield "computer", fleet.computers()
    yield "computer_address", fleet.addresses()
    yield from fleet.sections()
    yield "package", deployed.packages()
    yield "activation", deployed.activations()
    yield "computer_group", deployed.groups()
    yield "group_member", deployed.members()
    yield "group_assignment", deployed.group_assignments()
    yield "assignment", deployed.assignments()
    yield "report", deployed.reports()
    yield "audit_entry", deployed.audit(audited, digest)


def _fill(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    found = iter(rows)
    first = next(found)
    names = list(first)
    values = _values(first, found)
    with _without_indexes(connection, table):
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            marks = ", ".join("?" * len(names))
            insert = f"INSERT INTO {table.name} ({', '.join(map(_quoted, names))}) VALUES ({marks})"
            driver.executemany(insert, values)
        else:
            _copy(
                driver, f"COPY {table.name} ({', '.join(map(_quoted, names))}) FROM STDIN", values
            )


def _values(first: Row, rest: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    yield tuple(first.values())
    for row in rest:
        yield tuple(row.values())


def _copy(driver: Any, statement: str, values: Iterator[tuple[Any, ...]]) -> None:
    """PostgreSQL's text format, made here: psycopg's own way takes four times as long."""
    cursor: psycopg.Cursor[Any] = driver.cursor()
    with cursor.copy(statement.encode()) as copy:
        while batch := list(islice(values, _BATCH)):
            copy.write("".join("\t".join(map(_cell, row)) + "\n" for row in batch))
    cursor.close()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    if value is None:
        return r"\N"
    return rf"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


@contextmanager
def _without_indexes(connection: Connection, table: Table) -> Iterator[None]:
    """Without those that the database can do without; foreign keys rest on PostgreSQL meanwhile.

    The table is read from the database, which may be older than the models.
    """
    known = Table(table.name, MetaData(), autoload_with=connection)
    indexes: list[Index] = [each for each in known.indexes if not each.unique]
    for each in indexes:
        connection.execute(DropIndex(each))
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
    yield
    for each in table.indexes:
        if each.name in {one.name for one in indexes}:
            connection.execute(CreateIndex(each))


def _end_chain(connection: Connection) -> None:
    last = select(AuditEntry.number, AuditEntry.digest).order_by(AuditEntry.number.desc()).limit(1)
    number, digest = connection.execute(last).one()
    connection.execute(_CHAIN.update().values(last_number=number, last_digest=digest))


def _raise_sequences(connection: Connection) -> None:
    """Let PostgreSQL's next ids come after those that were written."""
    if connection.dialect.name != "postgresql":
        return
    names = "SELECT table_name FROM information_schema.columns WHERE column_default LIKE 'nextval%'"
    for (name,) in connection.execute(text(names)).all():
        last = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
        connection.execute(text(last))


def _quoted(name: str) -> str:
    return f'"{name}"'


@dataclass(frozen=True)
class _Options:
    data: Path
    computers: int


def main() -> None:
    """Fill the database of an initialised data directory."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--computers", type=int, default=100_000)
    options = _Options(**vars(parser.parse_args()))
    seconds = populate(load(options.data).database_url, Sizes(options.computers))
    sys.stdout.write(f"{options.computers:,} computers in {seconds:.0f} s\n")


if __name__ == "__main__":
    main()
