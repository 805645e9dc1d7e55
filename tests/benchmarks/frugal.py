"""What our agent's daemon costs: a thousand packages that wait, and one package of five GiB."""

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.benchmarks.measure import MiB, Result
from tests.support.agent import TrancheAgent
from tests.support.certificates import issue
from tests.support.frugality import cpu_seconds, peak_rss, rss, wake_ups
from tests.support.many_packages import ManyPackages
from tests.support.processes import BIN, kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

GiB = 1024 * MiB


def thousand(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """The daemon between jobs, with packages that are scheduled for another day."""
    count, seconds = (50, 20.0) if quick else (1000, 180.0)
    (folder / "many").mkdir()
    certificate = issue("server", ca=True, san=("127.0.0.1",))
    (folder / "many.pem").write_bytes(certificate.pem())
    with ManyPackages(folder / "many", certificate.save(folder / "key.pem"), count=count) as many:
        agent = TrancheAgent(folder / "agent", f"https://{many.address}", folder / "many.pem")
        log = folder / "agent.log"
        began = time.perf_counter()
        process = _start(agent, log, "run")
        try:
            wait_until(
                lambda: log.read_text().count("waits: scheduled") == count, "all wait", seconds=900
            )
            took = time.perf_counter() - began
            wait_until(lambda: wake_ups(process.pid, 2) == 0, "it rests")
            before = cpu_seconds(process.pid)
            woke = wake_ups(process.pid, seconds)
            spent = cpu_seconds(process.pid) - before
            yield Result(f"agent: {count} packages assigned at once", took, "s", None)
            yield Result(f"agent: {count} wait, memory", rss(process.pid), "MiB RSS", 60)
            per_minute = woke * 60 / seconds
            yield Result(f"agent: {count} wait, wake-ups", per_minute, "a minute", 1)
            yield Result(f"agent: {count} wait, CPU", spent * 60 / seconds, "s a minute", None)
        finally:
            kill_tree(process)


def huge(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """One STORE package of five GiB, from contact to SUCCESS. Takes 25 GiB of disk for a while."""
    server.without_latencies()
    size = (64 * MiB) if quick else 5 * GiB
    agent = TrancheAgent(folder / "agent", server.https, server.ca_file)
    agent.once()
    archive = _archive(folder / "huge.tar.gz", size)
    store = ["--action", "store", "--file", str(archive), "--path", str(folder / "stored")]
    package_id = server.publish("huge", *store, "--priority", "1", "--fragment-size", "16MiB")
    archive.unlink()
    server.assign(package_id, agent.device_id)
    began = time.perf_counter()
    process = _start(agent, folder / "agent.log", "once", "--no-wait")
    peak = 0.0
    while process.poll() is None:
        with suppress(OSError, AssertionError):  # it ends between two lines
            peak = max(peak, peak_rss(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    assert server.status(package_id, agent.device_id) == "SUCCESS"
    assert (folder / "stored/payload").stat().st_size == size
    name = f"agent: {size / GiB:.3g} GiB"
    yield Result(f"{name}, memory at most", peak, "MiB RSS", 80)
    yield Result(f"{name}, contact to SUCCESS", size / seconds / 1e6, "MB/s", None, better="higher")


def _start(agent: TrancheAgent, log: Path, *command: str) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        words = [str(BIN / "deploy-agent"), *agent.arguments(*command)]
        return subprocess.Popen(words, stdout=file, stderr=file)


class _Repeated(io.RawIOBase):
    """So many bytes that no deflate makes smaller: its window ends long before they come again."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = os.urandom(MiB)

    def read(self, size: int = -1) -> bytes:
        piece = self._block[: min(self._left, size if size >= 0 else MiB)]
        self._left -= len(piece)
        return piece


def _archive(path: Path, size: int) -> Path:
    member = tarfile.TarInfo("payload")
    member.size = size
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.addfile(member, _Repeated(size))
    return path
