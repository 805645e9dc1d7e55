"""A database as text: every value of every table, on both databases, and from one to the other."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, StorageError
from deploy_server.storage import dump, schema
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import Activation, Base, Computer, Group, SectionContent, User
from tests.support import factories as make
from tests.support.databases import SqliteDatabases


@pytest.fixture
def filled(session: Session, engine: Engine) -> Engine:
    """A database with rows that are hard to carry."""
    package = make.make_package(session, name="Größe \\u0000 \"q\" 'x'\n", options={"a": [1, None]})
    computer = make.make_computer(session, name="naïve \N{SNOWMAN}", memory=None)
    make.make_assignment(session, computer, make.make_activation(session, package), force=True)
    make.make_group_assignment(session, make.make_group(session, computer))
    make.make_user(session, tags=["north", "sø"])
    session.add(SectionContent(digest=b"\0\xff", content=b""))
    last = make.make_activation(session, info_url="last.example/download")
    session.flush()
    session.execute(delete(Activation).where(Activation.id == last.id))
    session.commit()
    return engine


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite database."""
    engine = make_engine(f"sqlite:///{tmp_path}/other.db")
    yield engine
    engine.dispose()


def lines(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return list(dump.lines_of(connection))


def load(engine: Engine, text: list[str]) -> None:
    with engine.begin() as connection:
        dump.load(connection, text)


def test_what_is_loaded_is_what_was_dumped(filled: Engine, other: Engine) -> None:
    text = lines(filled)
    load(other, text)
    assert lines(other)[1:] == text[1:]
    schema.check(other)
    with session_factory(other)() as session:
        assert session.scalars(select(Computer.name)).first() == "naïve \N{SNOWMAN}"
        assert session.scalars(select(User.tags)).one() == ["north", "sø"]


@pytest.mark.slow
def test_a_database_takes_its_own_dump_back(filled: Engine, tmp_path: Path) -> None:
    text = lines(filled)
    if filled.dialect.name == "sqlite":
        filled.dispose()
        (tmp_path / "fresh.db").unlink()
    else:
        with filled.begin() as connection:
            dump.clear(connection)
    load(filled, text)
    assert lines(filled) == text


def test_every_table_is_in_it(engine: Engine) -> None:
    text = [json.loads(line) for line in lines(engine)]
    named = {each["table"] for each in text if "table" in each}
    assert named == set(Base.metadata.tables)
    for table in (each for each in text if "table" in each):
        assert set(table["columns"]) == set(Base.metadata.tables[table["table"]].columns.keys())


def test_numbers_go_on_after_the_last_one_ever_given(filled: Engine, other: Engine) -> None:
    load(other, lines(filled))
    with session_factory(other)() as session, session_factory(filled)() as original:
        new = make.make_activation(session).id
        assert new == make.make_activation(original).id
        assert make.make_group(session).id == (session.query(Group).count())


def test_half_a_dump_is_refused(filled: Engine, other: Engine) -> None:
    text = lines(filled)
    for wrong in (text[:-1], text[:-2] + text[-1:], text[1:], []):
        with pytest.raises(StorageError, match="the dump of the database cannot be used"):
            load(other, wrong)
        with other.begin() as connection:
            assert dump.our_tables(connection) == []


def test_the_dump_of_a_newer_program_is_refused(other: Engine) -> None:
    head = json.dumps({"dump": 1, "schema": "9999", "sequences": {}}) + "\n"
    with pytest.raises(Conflict, match="made by a newer program"):
        load(other, [head])


def test_a_nul_does_not_stop_postgresql(
    sqlite_databases: SqliteDatabases, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    with sqlite_databases.fresh(folder) as url:
        source = make_engine(url)
        with session_factory(source).begin() as session:
            make.make_computer(session, name="a\0b")
        text = lines(source)
        source.dispose()
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            dump.clear(connection)
            dump.load(connection, text)
            name = connection.scalar(select(Computer.name))
            assert name == "a\N{REPLACEMENT CHARACTER}b"
