"""A PostgreSQL cluster of the tests' own, made with Debian's programs, on a Unix socket only.

PostgreSQL refuses to run as root; there it runs as the user postgres of Debian's package.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from tests.support.waiting import wait_until

#: Nothing here has to survive a power cut; a test's database lives for milliseconds.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

_INITDB_OPTIONS = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]


def postgres_bin() -> Path:
    """Where the newest installed PostgreSQL keeps its programs; skips the test without one."""
    found = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("PostgreSQL is not installed: sh tests/run.sh installs it")
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parts[4]) or 0)).parent


class PostgresCluster:
    """One running cluster; ``url(name)`` is SQLAlchemy's address of a database in it.

    Args:
        settings: of PostgreSQL, where they are not those of tests.
    """

    def __init__(self, **settings: str) -> None:
        self.bin = postgres_bin()
        self.settings = {**_FAST, **settings}
        # Short on purpose: the path of a Unix socket holds about 100 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.account = self._account()
        self._process: subprocess.Popen[bytes] | None = None

    def _account(self) -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        account = pwd.getpwnam("postgres")
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        return account

    def _as_account(self) -> dict[str, object]:
        if self.account is None:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Make the cluster and start it; true when it answers."""
        if not self.data.exists():
            self._make("initdb", "-D", self.data, "-U", "tests", *_INITDB_OPTIONS)
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self.settings.items()]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, "-k", self.folder, *options],
                stdout=log,
                stderr=log,
                cwd="/tmp",
                **self._as_account(),  # type: ignore[call-overload]
            )
        wait_until(self._answers, f"PostgreSQL answers; its log is {self.folder}/log")

    def _make(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self.bin / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/tmp",
            **self._as_account(),  # type: ignore[call-overload]
        )

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text())
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    @property
    def pid(self) -> int:
        assert self._process is not None, "PostgreSQL is not running"
        return self._process.pid

    def stop(self) -> None:
        """End it and remove its folder."""
        self.halt()
        shutil.rmtree(self.folder)

    def halt(self) -> None:
        """End it; SIGINT is PostgreSQL's fast shutdown."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(30)
            self._process = None

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection whose statements are committed one by one."""
        return psycopg.connect(
            host=str(self.folder), user="tests", dbname=database, autocommit=True
        )

    def execute(self, statement: str) -> None:
        """Run one administrative statement."""
        with self.connect() as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tests@/{database}?host={self.folder}"
