"""A power-on storm: ten thousand agents within a minute, in one process, on a real clock.

Each has connections of its own and asks as fast as it is answered. Who is not answered, or with an
error of the server, asks again, as agents do; both are counted.
"""

import ssl
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import insert

from deploy_server.config import load
from deploy_server.serving.worker import raise_file_limit
from deploy_server.storage.database import make_engine
from deploy_server.storage.models import Computer
from deploy_server.storage.types import fold
from tests.benchmarks.crowd import Came, Crowd
from tests.benchmarks.measure import Cpu, Result, memory
from tests.support.apps import OURS
from tests.support.archives import tar_gz
from tests.support.fleet import Fleet
from tests.support.processes import tree
from tests.support.server import RunningServer

#: Agents switched on in a second.
_PER_SECOND = 10_000 / 60

#: Words in the server's log that are about locks.
_LOCKS = ("locked", "deadlock", "OperationalError", "lock timeout")

_GENERATOR = "ten thousand agents in one process share two cores with the server"


def storm(
    server: RunningServer, folder: Path, *, quick: bool, count: int = 10_000
) -> Iterator[Result]:
    """Register the fleet, give each a package, switch all on."""
    count = 40 if quick else count
    raise_file_limit()
    server.without_latencies()
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    ports = server.https_port, server.http_port, tls
    register(server, Fleet(count))
    archive = tar_gz(folder / "fleet.tar.gz", {"a": "b" * 5000})
    options = ("--command", "true", "--file", archive)
    package = server.publish("storm", "--action", "execute", *options)
    assert server.json("assign", package, "--search", "name ~ sim-")["assigned"] == count
    give_way(server)
    # Certificates are verified by agents, each with a processor of its own.
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    with Cpu(server.pid) as cpu:
        came = Crowd(Fleet(count, contacts=1), *ports, within_s=count / _PER_SECOND).run()
    told = server.json("stats", package)["by_status"]
    ended = sum(number for status, number in told.items() if status not in ("WAITING", "NOTIFIED"))
    text = server.log.read_text()
    locks = sum(text.count(word) for word in _LOCKS)
    held = memory(server.pid)
    yield from _results(came, count, min(ended, len(came.agents)), locks, cpu, held)


def register(server: RunningServer, fleet: Fleet) -> None:
    """Let the server know all computers of a fleet, as if they had sent inventories today."""
    now = datetime.now(UTC).replace(microsecond=0)
    texts = {"os": "Debian GNU/Linux 12", "agent": OURS}
    same = {
        **texts,
        **{f"{name}_key": fold(text) for name, text in texts.items()},
        "os_family": "linux",
        **dict.fromkeys(("created_at", "last_contact", "last_inventory"), now),
    }
    rows = [
        {
            **same,
            "device_id": fleet.device_id(n),
            "device_id_key": fold(fleet.device_id(n)),
            "name": f"sim-{n}",
            "name_key": fold(f"sim-{n}"),
        }
        for n in range(fleet.count)
    ]
    engine = make_engine(load(server.data).database_url)
    try:
        with engine.begin() as connection:
            connection.execute(insert(Computer), rows)
    finally:
        engine.dispose()


def give_way(server: RunningServer) -> None:
    """Let the agents run first: each has a computer of its own and does not wait for the server's.

    An agent that is kept waiting here looks to the server like one that sends nothing.
    """
    for process in tree(server.pid):
        process.nice(min(19, psutil.Process().nice() + 5))


def _results(
    came: Came, count: int, done: int, locks: int, cpu: Cpu, held: float
) -> Iterator[Result]:
    name = f"storm of {count}"
    requests = sum(came.statuses.values())
    details = {
        "seconds": round(came.seconds, 1),
        "requests": requests,
        "requests_per_s": round(requests / came.seconds, 1),
        "at_work_at_most": came.at_work_most,
        "generator_cores": round(came.own_cpu / came.seconds, 2),
        "generator_ms_per_agent": round(1000 * came.own_cpu / count, 2),
        "lag_most_s": round(came.lag_most, 2),
        "server_cores": round(cpu.seconds / came.seconds, 2),
        "statuses": dict(came.statuses),
        "stale": came.stale,
        "broken": dict(came.broken),
        "starved": dict(came.starved),
        "ms": {kind: _quantiles(taken) for kind, taken in came.latencies.items()},
        "agent_s": _quantiles(came.agents, 1),
    }
    failed = sum(number for status, number in came.statuses.items() if status >= 500)
    yield Result(f"{name}: agents done", done, "agents", count, better="higher", details=details)
    yield Result(f"{name}: answers 5xx", failed, "answers", 0)
    yield Result(f"{name}: asked again", sum(came.broken.values()), "requests", 0, wall=True)
    yield Result(f"{name}: lock errors in the log", locks, "lines", 0)
    if came.agents:
        slowest, median = max(came.agents), statistics.median(came.agents)
        yield Result(f"{name}: slowest agent", slowest, "s", wall=True, why=_GENERATOR)
        yield Result(
            f"{name}: slowest agent to median", slowest / median, "of the median", wall=True
        )
    yield Result(f"{name}: CPU of an agent", 1000 * cpu.seconds / count, "ms CPU")
    yield Result(f"{name}: memory after it", held, "MiB PSS", 150)


def _quantiles(taken: list[float], per_second: float = 1000) -> dict[str, float]:
    ordered = sorted(taken)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {
        name: round(per_second * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
        for name, share in shares.items()
        if ordered
    }
