"""Real parts together: one server per module of tests, agents per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.replica import Pair
from tests.support.server import RunningServer
from tests.support.webfolder import PlainWebServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server without latencies; tests share it and keep to computers of their own."""
    folder = tmp_path_factory.mktemp("server")
    # Mirrors are on this machine here, which activations otherwise refuse to look at.
    with RunningServer(folder, DEPLOY_SERVER_FETCH_ALLOW="127.0.0.1") as running:
        yield running.without_latencies()


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """A folder for archives and for what packages leave behind."""
    folder = tmp_path / "workshop"
    folder.mkdir()
    return folder


@pytest.fixture
def registered(server: RunningServer, tmp_path: Path) -> TrancheAgent:
    """An agent that the server knows, with its system."""
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    agent.once()
    return agent


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[PlainWebServer]:
    """A web server that knows nothing of packages, with an empty folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with PlainWebServer(folder) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_pair() -> Iterator[Pair]:
    """PostgreSQL with a streaming replica, started once for whoever needs one."""
    pair = Pair()
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()
