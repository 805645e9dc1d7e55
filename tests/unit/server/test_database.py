"""Engines promise the same on both databases: isolation, foreign keys, durability."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from deploy_server.config import ConfigError
from deploy_server.storage import database
from deploy_server.storage.database import READ_ONLY, make_engine, session_factory
from deploy_server.storage.models import ComputerAddress, Counter
from tests.support.databases import PostgresDatabases


def test_a_foreign_key_that_points_nowhere_is_refused(engine: Engine) -> None:
    with pytest.raises(IntegrityError), session_factory(engine).begin() as session:
        session.add(ComputerAddress(computer_id=1, kind="ip", value="x", value_key="x"))


def test_sqlite_keeps_what_was_committed_and_lets_readers_pass(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA busy_timeout")) == 30000


def test_a_reader_passes_a_writer(engine: Engine) -> None:
    make = session_factory(engine)
    with make.begin() as session:
        session.add(Counter(name="a", value=1))
    with make() as writer, make() as reader:
        writer.get_one(Counter, "a").value = 2
        writer.flush()
        reader.connection(execution_options=READ_ONLY)
        assert reader.scalars(select(Counter.value)).all() == [1]


def test_sqlite_locks_before_it_reads_what_it_will_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0)
    engine = make_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as first, engine.connect() as second:
        first.execute(text("SELECT 1"))
        with pytest.raises(OperationalError, match="locked"):
            second.execute(text("SELECT 1"))


def test_a_commit_that_failed_leaves_nothing_to_the_next(engine: Engine) -> None:
    def full(_connection: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(engine, "commit", full)
    with pytest.raises(OperationalError, match="full"), session_factory(engine).begin() as session:
        session.add(Counter(name="a", value=1))
    event.remove(engine, "commit", full)
    with session_factory(engine).begin() as session:
        assert session.get(Counter, "a") is None


def test_what_was_loaded_stays_readable_after_the_commit(engine: Engine) -> None:
    with session_factory(engine)() as session, session.begin():
        counter = Counter(name="a", value=1)
        session.add(counter)
    assert counter.value == 1


@pytest.mark.parametrize("url", ["", "tranche.db", "mysql://u@h/d", "postgresql+psycopg2://h/d"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"database_url cannot be used.*Give sqlite:"):
        make_engine(url)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "&options=-c%20statement_timeout%3D7s"])
def test_postgresql_compiles_nothing(
    postgres_databases: PostgresDatabases, tmp_path: Path, options: str
) -> None:
    with postgres_databases.fresh(tmp_path) as url:
        engine = make_engine(url + options)
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW jit")) == "off"
            found = connection.scalar(text("SHOW statement_timeout"))
        engine.dispose()
    assert found == ("7s" if options else "0")
