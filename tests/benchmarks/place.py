"""A server with a population, on SQLite or on PostgreSQL, and what CPU both have used."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from deploy_server.storage.database import make_engine
from tests.benchmarks.measure import cpu_seconds, machine
from tests.benchmarks.population import populate
from tests.benchmarks.population_fleet import Sizes
from tests.support.postgres import PostgresCluster
from tests.support.server import RunningServer

DATABASES = ("sqlite", "postgresql")
_PRODUCTION = Path(__file__).parents[2] / "examples" / "production" / "postgresql.conf"
_NAME = "tranche"


@dataclass
class Place:
    """A running server.

    Attributes:
        server: itself.
        sizes: of its population.
        url: of its database.
        filled_s: how long filling it took; 0 where it was full.
        database_pid: of the process that started the database's others; None on SQLite.
    """

    server: RunningServer
    sizes: Sizes
    url: str
    filled_s: float
    database_pid: int | None = None

    @classmethod
    @contextmanager
    def made(
        cls, folder: Path, database: str, sizes: Sizes, *, keep: Path | None = None
    ) -> Iterator["Place"]:
        """A server in a folder of its own; its database there too, or where it is kept."""
        with _database(folder, database, sizes, keep) as (url, pid):
            server = RunningServer(folder, DEPLOY_SERVER_DATABASE_URL=url)
            filled = populate(url, sizes)
            with server:
                yield cls(server, sizes, url, filled, pid)

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds of the server and of the database until now."""
        database = 0.0 if self.database_pid is None else cpu_seconds(self.database_pid)
        return cpu_seconds(self.server.pid), database

    def publish(self, name: str) -> str:
        """Build a package for every system and activate it; its id."""
        options = ("--os", "any", "--action", "execute", "--command", "true")
        package = str(self.server.json("package", "build", name, *options)["id"])
        self.server.json("package", "activate", package, *self.server.locations())
        return package

    def activation_of(self, package: str) -> str:
        """The number of its only activation."""
        found = self.server.json("package", "show", package)["activations"]
        return str(found[0]["id"]).removeprefix("A")

    def about(self) -> dict[str, Any]:
        """What there is, for the JSON."""
        return {"machine": machine(), "database_mib": round(self.database_bytes() / 2**20)}

    def database_bytes(self) -> int:
        engine = make_engine(self.url)
        size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        if engine.dialect.name == "postgresql":
            size = "SELECT pg_database_size(current_database())"
        try:
            with engine.connect() as connection:
                return int(connection.scalar(text(size)) or 0)
        finally:
            engine.dispose()


@contextmanager
def _database(
    folder: Path, database: str, sizes: Sizes, keep: Path | None
) -> Iterator[tuple[str, int | None]]:
    if database == "sqlite":
        home = keep or folder
        home.mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{home.absolute() / f'{_NAME}-{sizes.computers}.db'}", None
        return
    kept = None if keep is None else keep / f"postgresql-{sizes.computers}"
    cluster = PostgresCluster(**_production())
    if kept is not None and kept.exists():
        shutil.move(kept, cluster.data)
        cluster.start()
    else:
        cluster.start()
        cluster.execute(f"CREATE DATABASE {_NAME}")
    try:
        yield cluster.url(_NAME), cluster.pid
    finally:
        cluster.halt()
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(cluster.data, kept)
        shutil.rmtree(cluster.folder)


def _production() -> dict[str, str]:
    """PostgreSQL's settings as examples/production has them; the rest as PostgreSQL itself."""
    rows = (line.partition("#")[0] for line in _PRODUCTION.read_text().splitlines())
    pairs = (row.split("=", 1) for row in rows if "=" in row)
    return {"autovacuum": "on"} | {name.strip(): value.strip() for name, value in pairs}


def report(file: Path, document: dict[str, Any]) -> None:
    """Write the JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
