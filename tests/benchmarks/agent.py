"""Our agent: a download against curl of the same files, a contact, and its memory."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import Cpu, MiB, PeakMemory, Result, memory
from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.processes import program, stop
from tests.support.server import RunningServer
from tests.support.waiting import wait_until


def agent(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """A fresh computer that gets one STORE package in fragments of 1 MiB."""
    server.without_latencies()
    size = (8 if quick else 256) * MiB
    computer = TrancheAgent(folder / "agent", server.https, server.ca_file)
    computer.once()
    yield from contact(computer)
    archive = tar_gz(folder / "agent.tar.gz", {"payload": os.urandom(size)})
    package_id = server.publish(
        "agent download",
        "--action",
        "store",
        "--file",
        archive,
        "--path",
        str(folder / "stored"),
        "--priority",
        "1",
    )
    server.assign(package_id, computer.device_id)
    began = time.perf_counter()
    process = computer.start("once", "--no-wait")
    with PeakMemory(process.pid, "rss") as peak:
        output, _ = process.communicate(timeout=600)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, output
    assert server.status(package_id, computer.device_id) == "SUCCESS"
    yield Result(
        f"agent: {size // MiB} MiB, contact to SUCCESS",
        seconds,
        "s",
        curl(server, package_id, folder),
        "curl of the same fragments",
        why="it also hashes three times, joins, unpacks, stores, fsyncs and reports",
        details={"mb_per_s": round(size / seconds / 1e6, 1)},
    )
    yield Result("agent: peak memory of that", peak.peak, "MiB RSS", 60, "goal")
    yield from daemon(computer)


def contact(computer: TrancheAgent) -> Iterator[Result]:
    """One contact with nothing to do, the start of the interpreter included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    computer.once()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    yield Result(
        "agent: once, nothing to do",
        seconds,
        "s CPU",
        0.16,
        "OCS's agent, per run",
        why="starting Python and importing five libraries is nearly all of it; the daemon does not",
    )


def curl(server: RunningServer, package_id: str, folder: Path) -> float:
    """Seconds that one curl process needs for the same fragments, to files."""
    count = len(list(server.package_folder(package_id).glob(f"{package_id}-*")))
    url = f"{server.http}/download/{package_id}/{package_id}-[1-{count}]"
    target = folder / "curl"
    target.mkdir()
    began = time.perf_counter()
    subprocess.run(
        [program("curl"), "-sSf", url, "-o", str(target / "#1")],
        check=True,
        env={**os.environ, "no_proxy": "*"},
    )
    return time.perf_counter() - began


def daemon(computer: TrancheAgent) -> Iterator[Result]:
    """Memory of the daemon between contacts."""
    process = computer.start("run")
    try:
        wait_until(lambda: memory(process.pid, "rss") > 10 and _idle(process), "it waits")
        yield Result("agent: daemon at rest", memory(process.pid, "rss"), "MiB RSS", 60, "goal")
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()


def _idle(process: "subprocess.Popen[str]") -> bool:
    with Cpu(process.pid) as cpu:
        time.sleep(0.5)
    return cpu.seconds < 0.02
