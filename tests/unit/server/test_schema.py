"""Migrations lead to exactly the models, on both databases, and nothing else is accepted."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from deploy_server.domain.errors import Conflict, StorageError
from deploy_server.storage import schema
from deploy_server.storage.database import make_engine
from deploy_server.storage.models import Base


def _made_of(engine: Engine) -> list[str]:
    """Everything the database says about its tables, as texts that can be compared."""
    queries = {
        "sqlite": [
            "SELECT sql FROM sqlite_master "
            "WHERE name NOT LIKE 'alembic%' AND name <> 'sqlite_sequence'"
        ],
        "postgresql": [
            "SELECT table_name || column_name || data_type || is_nullable || "
            "coalesce(character_maximum_length::text, '') || coalesce(collation_name, '') "
            "FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name <> 'alembic_version'",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' "
            "AND tablename <> 'alembic_version'",
            "SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%'",
        ],
    }
    with engine.connect() as connection:
        rows = [
            row
            for query in queries[engine.dialect.name]
            for row in connection.scalars(text(query))
            if row is not None
        ]
    return sorted(_in_order(" ".join(row.split())) for row in rows)


def _in_order(definition: str) -> str:
    """A definition with its constraints in alphabetical order: their order means nothing.

    Nor do the quotes that SQLite puts around the name of a table that a migration copied.
    """
    plain = definition.replace('CREATE TABLE "assignment"', "CREATE TABLE assignment")
    head, *constraints = re.split(r", (?=CONSTRAINT )", plain.removesuffix(" )"))
    return ", ".join([head, *sorted(constraints)])


@pytest.fixture
def empty(engine: Engine) -> Engine:
    """A database of each kind without a table."""
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    return engine


def test_migrations_make_what_the_models_say(engine: Engine) -> None:
    migrated = _made_of(engine)
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
    assert _made_of(engine) == []
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
    assert migrated == _made_of(engine)


def test_newest_is_the_last_migration() -> None:
    from alembic.script import ScriptDirectory

    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [schema.NEWEST]


def test_upgrade_says_whether_it_changed_anything(empty: Engine) -> None:
    assert schema.upgrade(empty) is True
    assert schema.upgrade(empty) is False
    schema.check(empty)


def test_an_empty_database_is_older(empty: Engine) -> None:
    with pytest.raises(Conflict, match=r"older than this program .*db upgrade"):
        schema.require_current(empty)


def test_a_newer_database_is_refused_by_everything(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (schema.require_current, schema.check, schema.upgrade):
        with pytest.raises(Conflict, match=r"newer program \(schema 9999"):
            refuse(engine)


def test_a_table_changed_by_hand_is_named(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_report_at"))
        connection.execute(text("ALTER TABLE counter ADD COLUMN colour TEXT"))
    schema.require_current(engine)
    with pytest.raises(Conflict) as caught:
        schema.check(engine)
    assert "ix_report_at" in str(caught.value)
    assert "colour" in str(caught.value)


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/no/such.db")
    with pytest.raises(StorageError, match=r"such\.db does not answer"):
        schema.upgrade(engine)


def test_a_password_in_the_url_stays_out_of_the_message() -> None:
    engine = make_engine("postgresql+psycopg://u:hunter2@127.0.0.1:1/x")
    with pytest.raises(StorageError) as caught:
        schema.require_current(engine)
    assert "hunter2" not in str(caught.value)
