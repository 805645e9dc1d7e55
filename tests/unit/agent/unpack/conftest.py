"""A place for an archive and a watched one to unpack it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "package"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Where to unpack; beside it a file that must never change, and nothing new."""
    top = tmp_path / "agent"
    tree = top / "tree"
    top.mkdir()
    (top / "victim").write_text("victim")
    yield tree
    assert {path.name for path in top.iterdir()} <= {"tree", "victim"}
    assert (top / "victim").read_text() == "victim"
