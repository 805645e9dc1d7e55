"""Agents' messages on PostgreSQL: twice the targets, with its own processes in the count."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.inventories import inventoried
from tests.benchmarks.measure import Result
from tests.benchmarks.wire import Site, offered, prologs, reported
from tests.support.postgres import PostgresCluster
from tests.support.server import RunningServer

#: As somebody runs it who wants to find the data again after a power cut.
_DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "128MB",
}

_TIMES = 2.0


def postgresql(folder: Path, *, quick: bool) -> Iterator[Result]:
    """What the other rows send to SQLite."""
    cluster = PostgresCluster(**_DURABLE)
    try:
        cluster.start()
        cluster.execute("CREATE DATABASE tranche")
        url = cluster.url("tranche")
        with RunningServer(folder, DEPLOY_SERVER_DATABASE_URL=url) as server:
            site = Site(server, folder, quick, "PostgreSQL: ", cluster.pid, _TIMES)
            for benchmark in (prologs, offered, reported, inventoried):
                yield from benchmark(site)
    finally:
        cluster.stop()
