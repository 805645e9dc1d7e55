"""What a real daemon costs the computer: memory and wake-ups, with a lot to do and between jobs.

Five GiB instead of a few MiB: `python -m tests.benchmarks huge`.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz, zip_file
from tests.support.certificates import issue
from tests.support.frugality import cpu_seconds, peak_rss, rss, wake_ups
from tests.support.many_packages import ManyPackages
from tests.support.processes import BIN, kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("frugal_agent")]

MANY = 1000
IDLE = 60  # MiB
UNPACKING = 80  # MiB
WATCHED_S = 30.0  # of a minute, in which one wake-up is allowed
SIZE = 64 * 1024 * 1024

Daemon = Callable[[TrancheAgent], "subprocess.Popen[bytes]"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def daemon(log: Path) -> Iterator[Daemon]:
    """Starts `deploy-agent run`, which writes to ``log`` and does not survive the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(agent: TrancheAgent) -> "subprocess.Popen[bytes]":
        with log.open("wb") as file:
            command = [str(BIN / "deploy-agent"), *agent.arguments("run")]
            running.append(subprocess.Popen(command, stdout=file, stderr=file))
        return running[-1]

    yield start
    for process in running:
        kill_tree(process)


def test_a_thousand_packages_that_wait(tmp_path: Path, log: Path, daemon: Daemon) -> None:
    (tmp_path / "server").mkdir()
    certificate = issue("server", ca=True, san=("127.0.0.1",))
    (tmp_path / "ca.pem").write_bytes(certificate.pem())
    keys = certificate.save(tmp_path / "server.pem")
    with ManyPackages(tmp_path / "server", keys, count=MANY) as server:
        agent = TrancheAgent(tmp_path / "agent", f"https://{server.address}", tmp_path / "ca.pem")
        process = daemon(agent)
        wait_until(
            lambda: log.read_text().count("waits: scheduled") == MANY,
            "all of them wait for their day",
            seconds=300,
            every=1,
        )
        wait_until(lambda: wake_ups(process.pid, 2) == 0, "it rests")
        before = cpu_seconds(process.pid)
        assert wake_ups(process.pid, WATCHED_S) <= 1
        assert rss(process.pid) < IDLE
        assert cpu_seconds(process.pid) - before < 1
        assert server.contacts == 1


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_unpacking(
    server: RunningServer, tmp_path: Path, log: Path, daemon: Daemon, kind: str
) -> None:
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    agent.once()
    make = tar_gz if kind == "tar.gz" else zip_file
    archive = make(tmp_path / f"archive.{kind}", {"payload": os.urandom(SIZE)})
    store = [
        "--os",
        "any",
        "--action",
        "store",
        "--file",
        archive,
        "--path",
        str(tmp_path / "stored"),
    ]
    package_id = server.publish(f"frugal {kind}", *store, "--priority", "1")
    server.assign(package_id, agent.device_id)
    process = daemon(agent)
    wait_until(lambda: "the server knows that it ended" in log.read_text(), "it ended", seconds=200)
    assert server.status(package_id, agent.device_id) == "SUCCESS"
    assert (tmp_path / "stored/payload").stat().st_size == SIZE
    assert peak_rss(process.pid) < UNPACKING
