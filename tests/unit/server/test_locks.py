"""Locks by name: held by one, given back, gone with whoever held them."""

from pathlib import Path

import pytest
from sqlalchemy import text

from deploy_server.domain.errors import StorageError
from deploy_server.storage.database import make_engine
from deploy_server.storage.locks import Locks, locks_for


@pytest.fixture
def locks(database_url: str, tmp_path: Path) -> Locks:
    return locks_for(database_url, tmp_path / "staging")


def test_one_has_it(locks: Locks, database_url: str, tmp_path: Path) -> None:
    others = locks_for(database_url, tmp_path / "staging")
    with locks.take("one") or pytest.fail("nobody has it") as lock:
        lock.confirm()
        assert others.take("one") is None
        assert locks.take("one") is None
        with others.take("two") or pytest.fail("nobody has it"):
            pass
    again = others.take("one")
    assert again is not None
    again.release()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_broke_holds_nothing(locks: Locks, database_url: str) -> None:
    lock = locks.take("one")
    assert lock is not None
    engine = make_engine(database_url)
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        mine = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(text(f"{others} WHERE {mine}"))
    engine.dispose()
    with pytest.raises(StorageError, match="that kept others away broke"):
        lock.confirm()
    with locks.take("one") or pytest.fail("nobody has it"):
        pass
    lock.release()


def test_a_database_that_is_away(tmp_path: Path) -> None:
    locks = locks_for(f"postgresql+psycopg://tests@/none?host={tmp_path}", tmp_path)
    with pytest.raises(StorageError, match="does not answer"):
        locks.take("one")
