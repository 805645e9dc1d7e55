"""Our agent: a download against curl of the same files, a contact, and its memory."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from deploy_agent.config import load
from deploy_agent.machine.clock import SystemClock
from deploy_agent.services.agent import Agent
from deploy_agent.services.once import run_once
from deploy_agent.services.setup import StateFiles, make_agent
from deploy_agent.services.waiting import Patience
from tests.benchmarks.measure import Cpu, MiB, PeakMemory, Result, memory
from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.processes import program, stop
from tests.support.server import RunningServer
from tests.support.waiting import wait_until


def agent(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """A fresh computer that gets one STORE package in fragments of 1 MiB, and small ones."""
    server.without_latencies()
    size = (8 if quick else 256) * MiB
    computer = TrancheAgent(folder / "agent", server.https, server.ca_file)
    computer.once()
    yield from contact(computer)
    yield from in_one_process(server, computer, folder, rounds=1 if quick else 3)
    package_id = publish(server, folder, "agent download", size)
    server.assign(package_id, computer.device_id)
    began = time.perf_counter()
    process = computer.start("once", "--no-wait")
    with PeakMemory(process.pid, "rss") as peak:
        output, _ = process.communicate(timeout=600)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, output
    assert server.status(package_id, computer.device_id) == "SUCCESS"
    fetching = between(output, "info file read", "joined and checked", "fragment")
    fetched, hashed = curl(server, package_id, folder)
    yield Result(
        f"agent: {size // MiB} MiB in fragments fetched, checked and synced",
        size / fetching / 1e6,
        "MB/s",
        size / (fetched + hashed) / 1e6,
        "curl, then sha256sum, of the same",
        better="higher",
        wall=True,
        details={"curl_s": fetched, "sha256sum_s": hashed},
    )
    yield Result(
        f"agent: {size // MiB} MiB, contact to SUCCESS",
        seconds,
        "s",
        fetched,
        "curl of the same fragments",
        why="it also hashes three times, joins, unpacks, stores, fsyncs and reports",
        wall=True,
        details={"mb_per_s": round(size / seconds / 1e6, 1)},
    )
    yield Result("agent: peak memory of that", peak.peak, "MiB RSS", 60)
    yield from daemon(computer)


def publish(server: RunningServer, folder: Path, name: str, size: int, *options: str) -> str:
    """Build a package that stores so many random bytes; its id."""
    archive = tar_gz(folder / f"{name}.tar.gz".replace(" ", "-"), {"payload": os.urandom(size)})
    stored = ("--path", str(folder / "stored"), "--priority", "1")
    return server.publish(name, "--action", "store", "--file", archive, *stored, *options)


def between(log: str, first: str, last: str, within: str) -> float:
    """Seconds from the line with `first` to the last line with `within` before `last`."""
    times: list[tuple[datetime, str]] = []
    for line in log.splitlines():
        with suppress(ValueError):
            times.append((datetime.fromisoformat(line[:23].replace(",", ".")), line))
    began = next(at for at, line in times if first in line)
    until = next(at for at, line in times if last in line)
    ended = max(at for at, line in times if within in line and at <= until)
    return (ended - began).total_seconds()


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


def in_one_process(
    server: RunningServer, computer: TrancheAgent, folder: Path, *, rounds: int
) -> Iterator[Result]:
    """What a running daemon takes for a small package and for a contact with nothing to do."""
    config = load(computer.config, {}, {"state": computer.state})
    taken: list[tuple[float, Syncs]] = []
    with StateFiles(config.state).lock():
        for number in range(rounds):
            package_id = publish(server, folder, f"small {number}", 10**7, "--fragments", "10")
            server.assign(package_id, computer.device_id)
            agent = make_agent(config, Patience(latencies=False, silences=3))
            with Syncs() as syncs:
                began = time.perf_counter()
                left = run_once(agent, SystemClock(), wait=False)
                seconds = time.perf_counter() - began
            assert left.ended == ((package_id, "SUCCESS"),)
            taken.append((seconds, syncs))
        idle = cpu_of_contacts(agent)
        inventory = full_inventory(server, agent)
    seconds, syncs = sorted(taken, key=lambda each: each[0])[len(taken) // 2]
    yield Result(
        "agent: 10 MB in 10 fragments, contact to SUCCESS",
        seconds,
        "s",
        0.5,
        why="fsyncs, of which each takes what the disk takes: fsync_s in the JSON",
        wall=True,
        details={
            "fsyncs": syncs.count,
            "fsync_s": round(syncs.seconds, 3),
            "fsync_ms": round(syncs.mean_ms, 2),
            "rounds": rounds,
        },
    )
    yield Result("agent: a contact with nothing to do", idle, "s CPU", 0.02)
    yield inventory


def cpu_of_contacts(agent: Agent, count: int = 20) -> float:
    """CPU seconds of one contact of a daemon, each with a connection of its own."""
    agent.poll()
    began = time.process_time()
    for _ in range(count):
        agent.contact._transport.close()  # type: ignore[attr-defined] # hours pass between two
        agent.poll()
    return (time.process_time() - began) / count


def full_inventory(server: RunningServer, agent: Agent) -> Result:
    """A contact of a daemon that the server asks for an inventory, and its programs' CPU."""
    server.set(FREQUENCY=0)
    with Cpu(os.getpid()) as all_of_us, Cpu(server.pid) as theirs:
        agent.poll()
    shown = server.json("computer", "show", agent.contact.identity.device_id)
    packages = len(subprocess.run(
        [program("dpkg-query"), "--show"], check=True, capture_output=True
    ).stdout.splitlines())  # fmt: skip
    assert shown["last_inventory"], shown
    seconds = all_of_us.seconds - theirs.seconds
    return Result(f"agent: inventory of {packages} packages", seconds, "s CPU", 0.5)


class Syncs:
    """Counts the fsyncs of this process while the context lasts."""

    def __enter__(self) -> Self:
        self.count, self.seconds = 0, 0.0
        self._fsync = os.fsync
        os.fsync = self._count  # type: ignore[assignment] # the agent gives it what it takes
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync = self._fsync

    def _count(self, file: Any) -> None:
        began = time.perf_counter()
        self._fsync(file)
        self.seconds += time.perf_counter() - began
        self.count += 1

    @property
    def mean_ms(self) -> float:
        return 1000 * self.seconds / max(1, self.count)


def curl(server: RunningServer, package_id: str, folder: Path) -> tuple[float, float]:
    """Seconds of one curl for the same fragments, to files, and of sha256sum for those."""
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
    fetched = time.perf_counter()
    files = map(str, target.iterdir())
    subprocess.run([program("sha256sum"), *files], check=True, stdout=subprocess.DEVNULL)
    return fetched - began, time.perf_counter() - fetched


def daemon(computer: TrancheAgent) -> Iterator[Result]:
    """Memory of the daemon between contacts."""
    process = computer.start("run")
    try:
        wait_until(lambda: memory(process.pid, "rss") > 10 and _idle(process), "it waits")
        yield Result("agent: daemon at rest", memory(process.pid, "rss"), "MiB RSS", 60)
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()


def _idle(process: "subprocess.Popen[str]") -> bool:
    with Cpu(process.pid) as cpu:
        time.sleep(0.5)
    return cpu.seconds < 0.02
