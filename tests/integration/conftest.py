"""Real parts together: one server per module of tests, agents per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import RunningServer


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
