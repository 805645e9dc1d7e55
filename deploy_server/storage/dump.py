"""A database as text that either kind of database can be filled from.

One transaction reads everything, so the text is the database at one moment, whatever others write
meanwhile. Which tables and columns there are is not read from the database but made by running the
migrations up to its schema, so a dump of an older schema means the same for ever, and the types are
the same on SQLite and PostgreSQL.

Shape, one JSON value a line:
    {"dump": 1, "schema": "0004", "sequences": {"activation": 17}}
    {"table": "package", "columns": ["id", "name", ...]}
    [1795255200, "Firefox", ...]
    {"end": {"package": 1, ...}}
Binary values are base64.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, MetaData, Table, create_engine, insert, inspect, select, text
from sqlalchemy.types import JSON, BigInteger, Boolean, Integer, LargeBinary, Text

from deploy_server.domain.errors import StorageError
from deploy_server.storage import schema
from deploy_server.storage.models import Base

FORMAT = 1

_VERSION_TABLE = "alembic_version"
_BATCH = 1000  # rows written with one call


@cache
def tables_of(revision: str) -> tuple[Table, ...]:
    """Return the tables of a schema, those that others refer to first."""
    engine = create_engine("sqlite://")
    found = MetaData()
    with engine.begin() as connection:
        schema.migrate(connection, revision)
        found.reflect(connection)
    engine.dispose()
    tables = [table for table in found.sorted_tables if table.name != _VERSION_TABLE]
    for table in tables:
        for column in table.columns:
            column.type = _portable(column.type)
    return tuple(tables)


def lines_of(connection: Connection) -> Iterator[str]:
    """Yield the lines of a dump.

    Args:
        connection: in a transaction that sees one moment of the database until it ends.

    Raises:
        Conflict: a newer program made the database.
        StorageError: there is no schema in it.
    """
    revision = schema.revision(connection)
    schema.refuse_newer(revision)
    if revision is None:
        raise StorageError("the database is empty", "Run: deploy-server init")
    yield _line({"dump": FORMAT, "schema": revision, "sequences": _sequences(connection)})
    counts = {}
    for table in tables_of(revision):
        yield _line({"table": table.name, "columns": [column.name for column in table.columns]})
        counts[table.name] = 0
        for row in _rows(connection, table):
            counts[table.name] += 1
            yield row
    yield _line({"end": counts})


def load(connection: Connection, lines: Iterable[str]) -> str:
    """Fill a database without tables; returns the number of its schema.

    Args:
        connection: in a transaction of the caller's, who commits it.
        lines: of a dump.

    Raises:
        StorageError: the dump is incomplete or is none.
        Conflict: a newer program made it.
    """
    records = iter(lines)
    head = _header(records)
    schema.refuse_newer(head["schema"])
    schema.migrate(connection, head["schema"])
    tables = {table.name: table for table in tables_of(head["schema"])}
    for table in reversed(tables.values()):
        connection.execute(table.delete())  # what migrations put there is in the dump too
    counts = _fill(connection, records, tables)
    if counts is None:
        raise _broken("it has no end")
    _set_sequences(connection, tables, head["sequences"])
    return str(head["schema"])


def clear(connection: Connection) -> None:
    """Drop our tables from a database, in the connection's transaction."""
    for name in our_tables(connection):
        connection.execute(text(f"DROP TABLE {name} CASCADE"))


def our_tables(connection: Connection) -> list[str]:
    """Return those tables of the database that belong to this program."""
    ours = {*Base.metadata.tables, _VERSION_TABLE}
    return sorted(ours & set(inspect(connection).get_table_names()))


#: Statements that make a table's numbers go on after `:last`; on SQLite only where they are never
#: used again, because elsewhere there is nothing to remember.
_CONTINUE = {
    "sqlite": (
        "DELETE FROM sqlite_sequence WHERE name = :table",
        "INSERT INTO sqlite_sequence (name, seq) SELECT name, :last FROM sqlite_master"
        " WHERE type = 'table' AND name = :table AND sql LIKE '%AUTOINCREMENT%'",
    ),
    "postgresql": (
        "SELECT setval(s, :last) FROM pg_get_serial_sequence(:table, :key) s WHERE s IS NOT NULL",
    ),
}


def _header(records: Iterator[str]) -> dict[str, Any]:
    head = json.loads(next(records, "{}"))
    if not isinstance(head, dict) or head.get("dump") != FORMAT:
        raise _broken("it is no dump of this program")
    return head


def _fill(
    connection: Connection, records: Iterator[str], tables: Mapping[str, Table]
) -> Mapping[str, int] | None:
    """Return the counts of the last line, after everything before it was inserted."""
    counts: dict[str, int] = {}
    batch: list[str] = []
    table, columns = None, [""]
    for line in records:
        if line.startswith("["):
            batch.append(line)
            if len(batch) < _BATCH:
                continue
        if table is not None:
            _insert(connection, table, columns, batch)
            counts[table.name] += len(batch)
            batch = []
        if line.startswith("["):
            continue
        record = json.loads(line)
        if "end" in record:
            if record["end"] != counts:
                raise _broken("it has not as many rows as it says")
            return counts
        table, columns = tables[record["table"]], record["columns"]
        counts[table.name] = 0
    return None


def _insert(connection: Connection, table: Table, columns: list[str], batch: list[str]) -> None:
    binary = [
        number
        for number, name in enumerate(columns)
        if isinstance(table.columns[name].type, LargeBinary)
    ]
    no_nul = connection.dialect.name == "postgresql"
    rows = []
    for line in batch:
        values = json.loads(line)
        if no_nul and "\\u0000" in line:
            values = [_without_nul(value) for value in values]
        for number in binary:
            if values[number] is not None:
                values[number] = base64.b64decode(values[number])
        rows.append(dict(zip(columns, values, strict=True)))
    if rows:
        connection.execute(insert(table), rows)


def _rows(connection: Connection, table: Table) -> Iterator[str]:
    columns = list(table.columns)
    binary = [
        number for number, column in enumerate(columns) if isinstance(column.type, LargeBinary)
    ]
    statement = select(*columns).order_by(*table.primary_key.columns)
    found = connection.execute(statement, execution_options={"yield_per": _BATCH})
    while batch := list(islice(found, _BATCH)):
        for row in batch:
            values = list(row)
            for number in binary:
                if values[number] is not None:
                    values[number] = base64.b64encode(values[number]).decode()
            yield _line(values)


def _sequences(connection: Connection) -> dict[str, int]:
    """Return the last number that each table gave out, where the database knows."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        return {name: last for name, last in rows if name in Base.metadata.tables}
    rows = connection.execute(
        text(
            "SELECT s.relname, t.relname FROM pg_class s"
            " JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')"
            " JOIN pg_class t ON t.oid = d.refobjid"
            " WHERE s.relkind = 'S' AND t.relnamespace = current_schema()::regnamespace"
        )
    )
    found = {}
    for sequence, table in rows.all():
        last, used = connection.execute(
            text(f'SELECT last_value, is_called FROM "{sequence}"')  # noqa: S608 - a name of ours
        ).one()
        if used and table in Base.metadata.tables:
            found[table] = last
    return found


def _set_sequences(
    connection: Connection, tables: Mapping[str, Table], given: Mapping[str, int]
) -> None:
    """Let numbering go on after the last number that was ever given out."""
    for table in tables.values():
        keys = list(table.primary_key.columns)
        if len(keys) != 1 or not isinstance(keys[0].type, Integer):
            continue
        last = max(connection.scalar(select(keys[0]).order_by(keys[0].desc()).limit(1)) or 0, 0)
        last = max(last, given.get(table.name, 0))
        if last:
            values = {"last": last, "table": table.name, "key": keys[0].name}
            for statement in _CONTINUE[connection.dialect.name]:
                connection.execute(text(statement), values)


def _portable(kind: Any) -> Any:
    """Return the type that gives the same Python values on every database."""
    if isinstance(kind, JSON):
        return JSON(none_as_null=True)
    for known in (Boolean, LargeBinary, BigInteger, Integer):
        if isinstance(kind, known):
            return known()
    return Text()


def _without_nul(value: Any) -> Any:
    """Return a value that PostgreSQL takes: a NUL in a text becomes what `fold` makes of it."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _broken(why: str) -> StorageError:
    return StorageError(f"the dump of the database cannot be used: {why}", "Take another backup")
