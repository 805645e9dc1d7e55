"""PostgreSQL with a streaming replica, as an administrator would make one, on Unix sockets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.databases import migrate
from tests.support.postgres import PostgresCluster
from tests.support.waiting import wait_until

_STREAMING = {
    "wal_level": "replica",
    "max_wal_senders": "4",
    "synchronous_commit": "on",
    "shared_preload_libraries": "pg_stat_statements",
}

#: Whatever a page reads besides who asks; and a measurement is no page.
_LISTS = """
    SELECT coalesce(sum(calls), 0) FROM pg_stat_statements JOIN pg_database ON oid = dbid
    WHERE datname = current_database()
    AND query ~ 'FROM' AND query !~ 'pg_|session|hidden_at'
"""


class Follower(PostgresCluster):
    """A replica of a running cluster."""

    def __init__(self, primary: PostgresCluster) -> None:
        super().__init__(**_STREAMING, hot_standby="on")
        self._primary = primary

    def start(self) -> None:
        """Copy the primary where that is not done yet, and follow it."""
        if not self.data.exists():
            where = ["-h", str(self._primary.folder), "-U", "tests", "-D", str(self.data)]
            self._make("pg_basebackup", "-R", "-X", "stream", "--checkpoint=fast", *where)
        super().start()

    def pause(self) -> None:
        """Let it lag from now on."""
        self.execute("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self._one("SELECT pg_get_wal_replay_pause_state()") == "paused", "pause")

    def resume(self) -> None:
        """Let it catch up; returns when it has."""
        with self._primary.connect() as connection:
            row = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert row is not None
        self.execute("SELECT pg_wal_replay_resume()")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{row[0]}'::pg_lsn"
        wait_until(lambda: self._one(reached) is True, "the replica has caught up")

    def _one(self, query: str) -> object:
        with self.connect() as connection:
            row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None


class Pair:
    """A primary with a migrated database, and its replica.

    Attributes:
        primary, replica: both clusters.
    """

    def __init__(self) -> None:
        self.primary = PostgresCluster(**_STREAMING)
        self.replica = Follower(self.primary)

    def start(self) -> None:
        """Start both; the replica answers, and has the database."""
        self.primary.start()
        self.primary.execute("CREATE DATABASE site")
        migrate(self.primary.url("site"))
        with self.primary.connect("site") as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        self.replica.start()

    @contextmanager
    def database(self, name: str) -> Iterator["Database"]:
        """An empty copy of it, on both."""
        self.primary.execute(f"CREATE DATABASE {name} TEMPLATE site")
        self.replica.resume()
        yield Database(self, name)
        self.primary.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self.replica.stop()
        self.primary.stop()


@dataclass
class Database:
    """One database of a pair.

    Attributes:
        pair: the servers.
        name: of the database.
    """

    pair: Pair
    name: str

    @property
    def replica(self) -> Follower:
        return self.pair.replica

    @property
    def primary_url(self) -> str:
        return self.pair.primary.url(self.name)

    @property
    def replica_url(self) -> str:
        return self.pair.replica.url(self.name)

    def lists_read(self) -> dict[str, int]:
        """How many statements of lists each of the two has run, by its own count."""
        found = {}
        for name, cluster in (("primary", self.pair.primary), ("replica", self.replica)):
            with cluster.connect(self.name) as connection:
                row = connection.execute(_LISTS).fetchone()
            assert row is not None
            found[name] = int(row[0])
        return found
