"""The server's face to agents, without sockets, on databases of both kinds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.support.apps import Site
    from tests.support.databases import SqliteDatabases


@pytest.fixture
def site(engine: "Engine", database_url: str, tmp_path: Path) -> "Iterator[Site]":
    """An application on a fresh database of each kind, and its clock."""
    from deploy_server.storage.database import session_factory
    from tests.support.apps import make_site

    with make_site(tmp_path / "data", database_url, session_factory(engine)) as made:
        yield made


@pytest.fixture
def sqlite_site(sqlite_databases: "SqliteDatabases", tmp_path: Path) -> "Iterator[Site]":
    """The same on SQLite only, for what has nothing to do with the database."""
    from deploy_server.storage.database import make_engine, session_factory
    from tests.support.apps import make_site

    with sqlite_databases.fresh(tmp_path) as url:
        engine = make_engine(url)
        with make_site(tmp_path / "data", url, session_factory(engine)) as made:
            yield made
        engine.dispose()
