"""A whole fleet: what a server does when ten thousand agents are switched on, and work."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import Cpu, Result, memory
from tests.support.archives import tar_gz
from tests.support.drive import Drive, Ran
from tests.support.fleet import Fleet
from tests.support.server import RunningServer

_WHY = "the load generator shares the two cores with the server"


def fleet(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """The storm of a Monday morning, on new connections; then a day with a package for each."""
    count = 100 if quick else 10_000
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    ports = server.https_port, server.http_port, tls
    storm = Fleet(count, contacts=1)
    with Cpu(server.pid) as cpu:
        ran = Drive(storm, *ports, anew=True).run()
    yield _result(f"{count} agents for the first time: PROLOG, INVENTORY", ran, cpu, "Inventory")
    archive = tar_gz(folder / "fleet.tar.gz", {"a": "b" * 5000})
    package = server.publish("fleet", "--action", "execute", "--command", "true", "--file", archive)
    assert server.json("assign", package, "--search", "name ~ sim-")["assigned"] == count
    day = Fleet(count, contacts=2)
    with Cpu(server.pid) as cpu:
        ran = Drive(day, *ports).run()
    yield _result(f"{count} agents, a package each, two contacts", ran, cpu, "Prolog")
    told = server.json("stats", package)["by_status"]
    assert sum(told.values()) == len(day.ended) == count
    assert told["SUCCESS"] == sum(code == "SUCCESS" for code in day.ended.values())
    yield Result(
        "server: memory after that", memory(server.pid), "MiB PSS", 488, "OCS's after load"
    )


def _result(measure: str, ran: Ran, cpu: Cpu, kind: str) -> Result:
    requests = sum(ran.asked.values())
    latencies = sorted(ran.latencies[kind])
    return Result(
        measure,
        requests / ran.seconds,
        "requests/s",
        better="higher",
        why=_WHY,
        wall=True,
        details={
            "requests": dict(ran.asked),
            "cpu_ms_per_request": round(1000 * cpu.seconds / requests, 3),
            f"{kind}_p50_ms": round(1000 * latencies[len(latencies) // 2], 1),
            f"{kind}_p99_ms": round(1000 * latencies[int(len(latencies) * 0.99)], 1),
        },
    )
