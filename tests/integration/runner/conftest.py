"""Package folders, and runners that leave nothing behind."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.outcome import Outcome
from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.machine.runner.client import TRACES
from deploy_agent.wire.terms import Action
from tests.integration.runner.packages import Start, begin, runners


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A package's folder with an empty tree; no runner is left behind in it."""
    made = tmp_path / "1800000001"
    (made / "tree").mkdir(parents=True)
    yield made
    for pid in runners(made):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(folder: Path) -> Start:
    def start(action: Action, target: str, **options: float) -> None:
        job = Job(action, target, folder / "tree", folder.parent / "agent", **options)
        for name in TRACES:  # as in a folder of its own
            (folder / name).unlink(missing_ok=True)
        begin(job, folder)

    return start


@pytest.fixture
def run(folder: Path, start: Start) -> Callable[..., Outcome]:
    def run(action: Action, target: str, **options: float) -> Outcome:
        start(action, target, **options)
        found = runner.wait(folder, 20)
        assert found is not None, "it did not end within 20 s"
        return found

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", point], check=True)
    yield point
    subprocess.run(["umount", "-l", point], check=True)
