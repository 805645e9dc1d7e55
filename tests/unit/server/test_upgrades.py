"""From every schema there ever was to the newest one, with rows in every table: nothing is lost."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, insert, inspect, select, update
from sqlalchemy.types import JSON, Boolean, Integer, LargeBinary

from deploy_server.storage import dump, schema
from deploy_server.storage.database import make_engine
from deploy_server.storage.models import Base

VERSIONS = sorted(
    path.name[:4]
    for path in (Path(schema.__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
)

_TIMES = ("at", "since", "last_contact", "last_inventory", "last_login", "locked_until")


def asked_for(connection: Connection, table: Table) -> dict[str, Any]:
    """For each column that a constraint limits to some values, one of them."""
    given = {}
    for constraint in inspect(connection).get_check_constraints(table.name):
        words = re.findall(r"\w+", constraint["sqltext"])
        (name,) = {word for word in words if word in table.columns}
        texts = re.findall(r"'(\w+)'", constraint["sqltext"])
        given[name] = texts[0] if texts else int(next(filter(str.isdigit, words)))
    return given


def value_of(table: Table, name: str, number: int, given: Mapping[str, Any]) -> Any:
    """A value for a column of the nth row."""
    column = table.columns[name]
    if name in given:
        return given[name]
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if isinstance(column.type, Integer):
        return number
    if isinstance(column.type, LargeBinary):
        return bytes([0, number, 255])
    if isinstance(column.type, JSON):
        return ["é", number]
    if name.endswith("_at") or name in _TIMES:
        return f"2026-11-2{number}T10:15:01Z"
    return f"{name[:9]} ü {number}"


def fill(connection: Connection, version: str) -> dict[str, list[dict[str, Any]]]:
    """Two rows in each table that has none; they are what is expected later."""
    rows = {}
    for table in dump.tables_of(version):
        if connection.execute(select(table)).first() is None:
            given = asked_for(connection, table)
            # The nth row of each table refers to the nth rows of others.
            found = [
                {
                    column.name: value_of(table, column.name, number, given)
                    for column in table.columns
                }
                for number in (1, 2)
            ]
            connection.execute(insert(table), found)
        rows[table.name] = read(connection, table)
    return rows


def read(connection: Connection, table: Table) -> list[dict[str, Any]]:
    found = connection.execute(select(table).order_by(*table.primary_key.columns))
    return [dict(row) for row in found.mappings()]


def check_kept(connection: Connection, before: Mapping[str, list[dict[str, Any]]]) -> None:
    """Every value of every column that still exists is what it was."""
    now = {table.name: table for table in dump.tables_of(schema.NEWEST)}
    for name, rows in before.items():
        if name not in now:
            continue
        after = read(connection, now[name])
        assert len(after) == len(rows), name
        for was, has in zip(rows, after, strict=True):
            assert {key: has[key] for key in was if key in has} == {
                key: value for key, value in was.items() if key in has
            }, name


@pytest.fixture
def empty(engine: Engine) -> Engine:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            dump.clear(connection)
        else:
            Base.metadata.drop_all(connection)
            connection.exec_driver_sql("DROP TABLE alembic_version")
    return engine


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path}/another.db")
    yield engine
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_database_becomes_a_new_one(empty: Engine, version: str) -> None:
    with empty.begin() as connection:
        schema.migrate(connection, version)
        before = fill(connection, version)
    assert schema.upgrade(empty) is (version != schema.NEWEST)
    schema.check(empty)
    with empty.begin() as connection:
        check_kept(connection, before)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_backup_becomes_a_new_database(empty: Engine, another: Engine, version: str) -> None:
    with empty.begin() as connection:
        schema.migrate(connection, version)
        before = fill(connection, version)
        lines = list(dump.lines_of(connection))
    with another.begin() as connection:
        assert dump.load(connection, lines) == version
        if version != schema.NEWEST:
            schema.migrate(connection, "head")
    schema.check(another)
    with another.begin() as connection:
        check_kept(connection, before)


def test_what_hands_did_to_assignments_is_put_right(empty: Engine) -> None:
    """Such rows would stop the upgrade to 0011, which copies the table, without a name."""
    with empty.begin() as connection:
        schema.migrate(connection, "0010")
        fill(connection, "0010")
        tables = {table.name: table for table in dump.tables_of("0010")}
        package, assignment = tables["package"], tables["assignment"]
        names = [column.name for column in package.columns]
        given = asked_for(connection, package)
        unactivated = {name: value_of(package, name, 3, given) for name in names}
        connection.execute(insert(package), [unactivated])
        of_package = assignment.c.package_id
        connection.execute(update(assignment).where(of_package == 1).values(activation_id=2))
        connection.execute(update(assignment).where(of_package == 2).values(package_id=3))
    schema.upgrade(empty)
    schema.check(empty)
    with empty.begin() as connection:
        found = connection.execute(select(assignment.c.package_id, assignment.c.activation_id))
        assert found.all() == [(1, 1)]


def test_assignments_of_computers_that_are_gone_do_not_stop_it(tmp_path: Path) -> None:
    """sqlite3, the program, deletes a computer and leaves what refers to it."""
    engine = make_engine(f"sqlite:///{tmp_path}/old.db")
    with engine.begin() as connection:
        schema.migrate(connection, "0010")
        fill(connection, "0010")
    with closing(sqlite3.connect(tmp_path / "old.db")) as by_hand, by_hand:
        by_hand.execute("DELETE FROM computer WHERE id = 1")
        by_hand.execute("DELETE FROM computer_group WHERE id = 2")
    schema.upgrade(engine)
    schema.check(engine)
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT computer_id, group_id FROM assignment")
        assert found.all() == [(2, None)]
    engine.dispose()


def test_the_walk_begins_at_the_first_schema() -> None:
    assert VERSIONS[0] == "0001"
    assert VERSIONS[-1] == schema.NEWEST
