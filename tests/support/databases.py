"""Fresh, migrated databases, one per test: migrated once per process, then copied."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import PostgresCluster

_TEMPLATE = "tranche_template"


def migrate(url: str) -> None:
    """Bring the database at ``url`` to the newest schema, as ``deploy-server init`` does."""
    from deploy_server.storage import schema
    from deploy_server.storage.database import make_engine

    engine = make_engine(url)
    try:
        schema.upgrade(engine)
    finally:
        engine.dispose()


class SqliteDatabases:
    """Databases that are files; the template is one too."""

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template.db"
        migrate(f"sqlite:///{self.template}")

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """The URL of an empty database that nobody else uses."""
        copy = folder / "fresh.db"
        shutil.copyfile(self.template, copy)
        yield f"sqlite:///{copy}"


class PostgresDatabases:
    """Databases in a cluster of the tests' own; the template is PostgreSQL's own means."""

    def __init__(self) -> None:
        self._cluster = PostgresCluster()
        self._numbers = itertools.count(1)
        self._cluster.start()
        self._cluster.execute(f"CREATE DATABASE {_TEMPLATE}")
        migrate(self._cluster.url(_TEMPLATE))

    def stop(self) -> None:
        self._cluster.stop()

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """The URL of an empty database that nobody else uses; dropped afterwards."""
        name = f"fresh_{next(self._numbers)}"
        self._cluster.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        try:
            yield self._cluster.url(name)
        finally:
            self._cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")
