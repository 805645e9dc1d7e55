"""The examples do what they say: each is run as a person would run it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
    "debian-package.sh": {"usr/share/tranche-example/note": "installed by apt\n"},
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


@pytest.fixture
def locked() -> Iterator[Callable[[Path], None]]:
    """Takes the lock of a dpkg database as apt and dpkg do, until told otherwise."""
    held: list[subprocess.Popen[bytes]] = []
    program = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

    def lock(path: Path) -> None:
        command = [sys.executable, "-c", program, path]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

    yield lock
    for process in held:
        process.communicate()


def test_a_package_waits_for_another_package_manager(
    tmp_path: Path, locked: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCK_WAIT", "0")
    target = tmp_path / "target"
    (tmp_path / "server").mkdir()
    with RunningServer(tmp_path / "server") as server:
        agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
        agent.once()
        script = ROOT / "examples/packages/debian-package.sh"
        done = shell(script, TARGET=str(target), **server.environ)
        assert done.returncode == 0, done.stderr
        package = done.stdout.strip()
        server.assign(package, agent.device_id)
        locked(target / "var/lib/dpkg/lock-frontend")
        said = agent.once(expect=3).stdout
        assert f"{package} waits: " in said
        assert "75" in said
        assert server.status(package, agent.device_id) == "NOTIFIED"
    assert not (target / "usr").exists()


HELPER = ROOT / "examples/packages/helpers/when-unlocked.sh"


@pytest.mark.parametrize(
    ("manager", "said", "status", "expected"),
    [
        ("apt-get", "", 0, 0),
        ("apt-get", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by 7", 100, 75),
        ("apt-get", "E: Could not get lock /var/lib/apt/lists/lock - open (11: x)", 100, 75),
        ("apt-get", "E: Could not open lock file - open (13: Permission denied)", 100, 100),
        ("apt-get", "E: Unable to locate package nonsense", 100, 100),
        ("dpkg", "dpkg: error: dpkg frontend lock was locked by another process, pid 7", 2, 75),
        ("dpkg", "dpkg: error: cannot access archive", 2, 2),
        ("dnf", "Error: Failed to obtain the transaction lock", 200, 75),
        ("dnf", "error: can't create transaction lock on /var/lib/rpm/.rpm.lock (x)", 1, 75),
        (
            "dnf",
            "Failed to obtain rpm transaction lock. Another one is in progress.",
            1,
            75,
        ),
        ("dnf", "Error: Unable to find a match", 1, 1),
        ("zypper", "System management is locked by the application with pid 7", 7, 75),
        ("zypper", "Package 'x' not found.", 104, 104),
    ],
)
def test_only_a_taken_lock_becomes_75(
    tmp_path: Path, manager: str, said: str, status: int, expected: int
) -> None:
    (tmp_path / manager).write_text(f'#!/bin/sh\necho "$@"; echo "{said}" >&2; exit {status}\n')
    (tmp_path / manager).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = shell(HELPER, manager, "install", "two words", PATH=path)
    assert done.returncode == expected
    assert said in done.stdout
    assert "install two words" in done.stdout


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
