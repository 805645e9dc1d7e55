"""The examples do what they say: each is run as a person would run it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.processes import BIN
from tests.support.repository import ROOT
from tests.support.server import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("examples")]

#: What each script leaves at its TARGET.
LEFT = {
    "launch.sh": {"": "set up from "},
    "execute.sh": {"": "level = info\nsite = lyon\n"},
    "execute-command-only.sh": {"": "Linux"},
    "store.sh": {"README": "read me\n", ".profile": "hidden\n", "docs/deep/note.txt": "deep\n"},
}


def shell(script: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environ},
        timeout=300,
    )


def test_every_example_is_tried_here() -> None:
    assert {path.name for path in (ROOT / "examples/packages").glob("*.sh")} == set(LEFT)


def test_every_example_package_is_carried_out(server: RunningServer, tmp_path: Path) -> None:
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    agent.once()
    packages = {}
    for name in LEFT:
        target = tmp_path / name.removesuffix(".sh")
        done = shell(ROOT / "examples/packages" / name, TARGET=str(target), **server.environ)
        assert done.returncode == 0, done.stderr
        packages[name] = done.stdout.strip()
        server.assign(packages[name], agent.device_id)
    agent.once()
    for name, files in LEFT.items():
        assert server.status(packages[name], agent.device_id) == "SUCCESS", name
        for path, begins in files.items():
            assert (tmp_path / name.removesuffix(".sh") / path).read_text().startswith(begins)


def test_the_quickstart_ends_with_success_in_the_server(tmp_path: Path) -> None:
    """With this environment instead of one of its own, so that nothing is downloaded here."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/bin").symlink_to(BIN)
    files = (ROOT / "setup.cfg").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    stamp = subprocess.run(["cksum"], input=files, capture_output=True, check=True).stdout.strip()
    (tmp_path / "venv/.stamp").write_bytes(stamp)
    done = shell(ROOT / "examples/quickstart.sh", "--exit", TRANCHE_QUICKSTART=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
    assert "Console: https://localhost:" in done.stdout
