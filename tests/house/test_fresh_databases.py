"""The tests' own PostgreSQL databases: used again, yet each as good as new."""

from pathlib import Path

from sqlalchemy import text

from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import Assignment
from tests.support import factories as make
from tests.support.databases import PostgresDatabases


def test_what_a_test_leaves_is_gone(postgres_databases: PostgresDatabases, tmp_path: Path) -> None:
    for _ in range(2):
        with postgres_databases.fresh(tmp_path) as url:
            engine = make_engine(url)
            with session_factory(engine).begin() as session:
                assert session.query(Assignment).count() == 0
                group = make.make_group(session, make.make_computer(session))
                assert group.id == 1
                make.make_assignment(session)
            engine.dispose()


def test_another_schema_is_not_handed_on(
    postgres_databases: PostgresDatabases, tmp_path: Path
) -> None:
    for statement in ("DROP INDEX ix_report_at", "DROP TABLE alembic_version"):
        with postgres_databases.fresh(tmp_path) as url:
            engine = make_engine(url)
            with engine.begin() as connection:
                connection.execute(text(statement))
            engine.dispose()


def test_a_transaction_left_open_holds_nobody_up(
    postgres_databases: PostgresDatabases, tmp_path: Path
) -> None:
    with postgres_databases.fresh(tmp_path) as url:
        engine = make_engine(url)
        connection = engine.connect()
        connection.execute(text("LOCK TABLE computer"))
    connection.invalidate()
    engine.dispose()
