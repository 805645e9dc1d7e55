"""A console on a database of its own, for every test of the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console import Browser, Console, running_console
from tests.support.databases import SqliteDatabases


@pytest.fixture
def console(sqlite_databases: SqliteDatabases, tmp_path: Path) -> Iterator[Console]:
    """The services behind the pages run on both databases in tests of their own."""
    with (
        sqlite_databases.fresh(tmp_path) as url,
        running_console(tmp_path / "data", url) as console,
    ):
        yield console


@pytest.fixture
def admin(console: Console) -> Browser:
    """A browser in which a superadmin is logged in, whom nothing limits."""
    return console.user("superadmin")
