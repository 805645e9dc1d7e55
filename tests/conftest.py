"""What every test may ask for: databases of both kinds, sessions, a clock; and .ci/run's demand."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.clock import FakeClock
from tests.support.databases import PostgresDatabases, SqliteDatabases
from tests.support.lives import summary
from tests.support.routes import compile_routes_once

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from tests.support.object_store import ObjectStore

# A shell that runs the suite in the background ignores Ctrl-C for it and for everything it starts;
# what tests start has to end by it.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# A busy machine is no fault of the code; and a run that judges a change looks at the same cases.
hypothesis.settings.register_profile(
    "tranche", deadline=None, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("tranche")

compile_routes_once()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name binary cases by their argument: an archive holds the time it was made, and pytest's
    processes have to agree on the names."""
    return argname if isinstance(val, bytes) and b"\0" in val else None


# Here and not beside the browser tests: options are read before folders below are looked at.
def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pictures",
        metavar="FOLDER",
        default=None,
        help="write the pictures of README and docs, e.g. docs/images",
    )


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    return SqliteDatabases(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases]:
    databases = PostgresDatabases()
    yield databases
    databases.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database of the test's own; the test runs once on each kind."""
    kind = {"sqlite": "sqlite_databases", "postgresql": "postgres_databases"}[request.param]
    databases: SqliteDatabases | PostgresDatabases = request.getfixturevalue(kind)
    with databases.fresh(tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def object_store() -> "Iterator[ObjectStore]":
    """A server that speaks S3; it takes a second to start, so tests that ask for it are slow."""
    from tests.support.object_store import running

    with running() as store:
        yield store


@pytest.fixture
def bucket(object_store: "ObjectStore", monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket of the test's own, as server.toml has it."""
    from tests.support.object_store import CREDENTIALS

    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return object_store.bucket()


@pytest.fixture
def engine(database_url: str) -> "Iterator[Engine]":
    """An engine on a fresh database of each kind, made as the server makes its own."""
    from deploy_server.storage.database import make_engine

    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: "Engine") -> "Iterator[Session]":
    """A session on a fresh database of each kind."""
    from deploy_server.storage.database import session_factory

    with session_factory(engine)() as session:
        yield session


#: Whole programs, sockets and kills: not what somebody waits for between two changes.
_SLOW_FOLDERS = ("integration", "faults", "browser")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what the quick part leaves out: it takes each process seconds."""
    slow = collection_path.parent == Path(__file__).parent and collection_path.name in _SLOW_FOLDERS
    return True if slow and config.option.markexpr == "not slow" else None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick part is units, wire and house, with SQLite; the whole run leaves nothing out."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        parameters = getattr(item, "callspec", None)
        on_postgresql = parameters and parameters.params.get("database_url") == "postgresql"
        in_bucket = "object_store" in getattr(item, "fixturenames", ())
        if folder in _SLOW_FOLDERS or on_postgresql or in_bucket:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # What fixtures record is in the report of their ends, which pytest counts as no result.
    ends = [each for each in terminalreporter.getreports("") if each.when == "teardown"]
    properties = [each for report in ends for each in report.user_properties]
    for line in summary(properties):
        terminalreporter.write_line(line)
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("TRANCHE_FAIL_ON_SKIP"):
        terminalreporter.write_line(
            f"{len(skipped)} skipped, and nothing may be skipped here", red=True
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("TRANCHE_FAIL_ON_SKIP"):
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
