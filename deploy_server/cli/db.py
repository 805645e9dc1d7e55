"""`deploy-server db`: the database's schema, and what crashes leave behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Engine

from deploy_server.cli.common import data_option, now, open_server, say
from deploy_server.services.audit import sweep_audit
from deploy_server.services.backup import clear, load_settled
from deploy_server.services.events import sweep_events
from deploy_server.services.refusals import sweep_refusals
from deploy_server.services.settings import audit_days
from deploy_server.services.status import sweep_results
from deploy_server.services.sweeping import sweep_orphans
from deploy_server.services.tidying import remove_unreferenced
from deploy_server.storage import schema
from deploy_server.storage.database import make_engine
from deploy_server.storage.statistics import refresh_statistics
from deploy_server.storage.stores import fragment_store, upload_store


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


@db.command()
@data_option
def sweep(data: Path) -> None:
    """Remove what crashes left behind, and rows that nothing refers to any more."""
    with open_server(data) as (config, session):
        clear(config.staging)
        said = sweep_orphans(session, fragment_store(config), now())
        with session.begin():
            said += remove_unreferenced(session)
        said += sweep_events(session, now())
        said += sweep_results(session, now())
        sweep_refusals(session, now())
        said += sweep_audit(session, audit_days(session), now())
        refresh_statistics(session)
    if removed := upload_store(config).sweep(now()):
        said.append(f"files of uploads that nobody went on with: {removed} removed")
    for sentence in said or ["Nothing to do"]:
        say(sentence)


@contextmanager
def _engine(data: Path) -> Iterator[Engine]:
    engine = make_engine(load_settled(data).database_url)
    try:
        yield engine
    finally:
        engine.dispose()
