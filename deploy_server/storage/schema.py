"""The age of a database: brings it up to date, and says when it does not fit the program.

Migrations are Alembic's, in storage/migrations/versions. Their numbers count up, so that the
program can tell a newer database from an older one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from deploy_server.domain.errors import Conflict, StorageError
from deploy_server.storage.models import Base

#: The number of the newest migration: the schema this program works with.
NEWEST = "0011"

#: A number no other program uses: two upgrades of one PostgreSQL database take turns.
_UPGRADE_LOCK = 7272862663


def upgrade(engine: Engine) -> bool:
    """Bring the database to the schema of this program; true if it had to change.

    Raises:
        Conflict: it was made by a newer program.
        StorageError: it cannot be reached or written.
    """
    with _begin(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _UPGRADE_LOCK})
        current = revision(connection)
        refuse_newer(current)
        if current == NEWEST:
            return False
        migrate(connection, "head")
    return True


def migrate(connection: Connection, target: str) -> None:
    """Bring the database to the schema `target`, in the connection's transaction.

    Args:
        connection: of a database that is empty or older.
        target: a number, or `head`.
    """
    # Alembic takes a fifth of a second to import, and most commands do without it.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, target)


def require_current(engine: Engine) -> None:
    """Return when the database has the schema of this program; costs one query.

    Raises:
        Conflict: it is older or newer; the message says which and what to do.
        StorageError: it cannot be reached.
    """
    with _begin(engine) as connection:
        current = revision(connection)
    refuse_newer(current)
    if current != NEWEST:
        raise Conflict(
            f"the database is older than this program (schema {current or 'none'}, not {NEWEST})",
            hint="Make a backup, then run: deploy-server db upgrade",
        )


def check(engine: Engine) -> None:
    """Return when the database has, table by table, what the models say.

    Raises:
        Conflict: as `require_current`, or changed by hand.
        StorageError: it cannot be reached.
    """
    require_current(engine)
    with _begin(engine) as connection:
        differences = compare(connection)
    if differences:
        raise Conflict(
            f"the database was changed by hand: {'; '.join(differences)}",
            hint="Undo that, or restore a backup.",
        )


def compare(connection: Connection) -> list[str]:
    """What database and models do not have in common, one line each."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    changes: list[Any] = compare_metadata(context, Base.metadata)
    # Changes of one column come as a list of their own.
    flat = [
        each for change in changes for each in (change if isinstance(change, list) else [change])
    ]
    return [" ".join(str(part) for part in change if part is not None) for change in flat]


def refuse_newer(current: str | None) -> None:
    """Return unless a database of this schema was made by a newer program.

    Raises:
        Conflict: it was.
    """
    if current is not None and current > NEWEST:
        raise Conflict(
            f"the database was made by a newer program (schema {current}, not {NEWEST})",
            hint="Install that version again, or restore a backup from before.",
        )


def revision(connection: Connection) -> str | None:
    """Return the number of the database's schema, None where it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


@contextmanager
def _begin(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        raise StorageError(
            f"the database {engine.url.render_as_string()} does not answer: {error.orig}",
            hint="Check database_url, the server behind it and the rights on the file.",
        ) from error
