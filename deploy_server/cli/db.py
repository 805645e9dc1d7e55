"""`deploy-server db`: the database's schema, and what crashes leave behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Engine

from deploy_server.cli.common import data_option, say
from deploy_server.config import load
from deploy_server.storage import schema
from deploy_server.storage.database import make_engine


@click.group()
def db() -> None:
    """The database and the folders beside it."""


@db.command()
@data_option
def upgrade(data: Path) -> None:
    """Bring the database to the schema of this program; stop the server and make a backup first."""
    with _engine(data) as engine:
        changed = schema.upgrade(engine)
    say(f"Schema {schema.NEWEST}: {'upgraded' if changed else 'nothing to do'}")


@db.command()
@data_option
def check(data: Path) -> None:
    """Compare the database with what this program expects, table by table."""
    with _engine(data) as engine:
        schema.check(engine)
    say(f"Schema {schema.NEWEST}: database and program agree")


@contextmanager
def _engine(data: Path) -> Iterator[Engine]:
    engine = make_engine(load(data).database_url)
    try:
        yield engine
    finally:
        engine.dispose()
