"""Sessions that stay open: each sees what is true when it is asked, and survives its server."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, NullPool, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import Counter
from deploy_server.storage.quick import Prepared
from deploy_server.storage.readers import Readers

_COUNT = Prepared(select(func.count().label("number")).select_from(Counter))


@pytest.fixture(params=[True, False], ids=["kept", "not kept"])
def readers(request: pytest.FixtureRequest, database_url: str) -> Iterator[Readers]:
    engine = make_engine(database_url, poolclass=NullPool)
    readers = Readers(engine, keep=request.param)
    yield readers
    readers.close()


def counted(session: Session) -> int:
    return int(_COUNT.first(session, {}).number)


def add(engine: Engine, name: str) -> None:
    with session_factory(engine).begin() as session:
        session.add(Counter(name=name, value=1))


def test_each_use_sees_what_was_written_before_it(readers: Readers, engine: Engine) -> None:
    for number in range(3):
        with readers.session() as session:
            assert counted(session) == number
            assert session.scalar(select(func.count()).select_from(Counter)) == number
        add(engine, f"c{number}")


def test_nothing_that_was_loaded_is_remembered(readers: Readers, engine: Engine) -> None:
    add(engine, "a")
    with readers.session() as session:
        assert session.get_one(Counter, "a").value == 1
    with session_factory(engine).begin() as writer:
        writer.get_one(Counter, "a").value = 2
    with readers.session() as session:
        assert session.get_one(Counter, "a").value == 2


def test_a_reader_holds_up_nobody(readers: Readers, engine: Engine) -> None:
    with readers.session() as session:
        assert counted(session) == 0
        add(engine, "a")


def test_each_thread_has_its_own(database_url: str) -> None:
    readers = Readers(make_engine(database_url, poolclass=NullPool), keep=True)
    together = threading.Barrier(3)

    def ask(_: int) -> int:
        with readers.session() as session:
            together.wait(30)
            return id(session) if counted(session) == 0 else 0

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(ask, range(3)))) == 3
    readers.close()


def test_a_connection_that_failed_is_not_used_again(readers: Readers, engine: Engine) -> None:
    add(engine, "a")
    with pytest.raises(DBAPIError), readers.session() as session:
        session.execute(text("SELECT nothing FROM nowhere"))
    with readers.session() as session:
        assert counted(session) == 1


def test_a_server_that_ended_connections_is_asked_again(database_url: str, engine: Engine) -> None:
    readers = Readers(make_engine(database_url, poolclass=NullPool), keep=True)
    with readers.session() as session:
        assert counted(session) == 0
    if engine.dialect.name == "postgresql":
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        with engine.begin() as connection:
            connection.execute(
                text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            )
        with pytest.raises(DBAPIError), readers.session() as session:
            counted(session)
    with readers.session() as session:
        assert counted(session) == 0
    readers.close()
