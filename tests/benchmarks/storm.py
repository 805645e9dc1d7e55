"""A power-on storm: ten thousand agents within a minute, in one process, on a real clock.

Each has connections of its own and asks as fast as it is answered. Who is not answered, or with an
error of the server, asks again, as agents do; both are counted.
"""

import asyncio
import random
import ssl
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy_server.serving.worker import raise_file_limit
from tests.benchmarks.measure import Cpu, Result, memory
from tests.support.apps import OURS
from tests.support.archives import tar_gz
from tests.support.drive import Drive
from tests.support.fleet import Ask, Fleet, Moves, Told
from tests.support.server import RunningServer

#: Agents switched on in a second.
_PER_SECOND = 10_000 / 60

#: How often an agent asks again, and after how long.
_TRIES, _AGAIN_S = 10, 1.0

#: How long an answer may take, as our agent waits for one.
_ANSWER_S = 120

#: Words in the server's log that are about locks.
_LOCKS = ("locked", "deadlock", "OperationalError", "lock timeout")

_GENERATOR = "ten thousand agents in one process share two cores with the server"


@dataclass
class Came:
    """What came of a storm.

    Attributes:
        seconds: from the first agent's start to the last one's end.
        generator_cpu: seconds of CPU of all agents together.
        agents: seconds of each agent, from its start to the end of its package.
        latencies: seconds of each answer, by kind.
        statuses: of HTTP.
        broken: connections that ended without an answer, by error.
        failures: agents that gave up, by why.
        open_most: agents at work at the same time, at most.
    """

    seconds: float = 0.0
    generator_cpu: float = 0.0
    agents: list[float] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    open_now: int = 0
    open_most: int = 0


class Storm:
    """Switches the agents of a fleet on, one after the other.

    Args:
        fleet: whose.
        https_port: of the server, for messages.
        http_port: of the server, for fragments.
        tls: trusts the server.
    """

    def __init__(self, fleet: Fleet, https_port: int, http_port: int, tls: ssl.SSLContext) -> None:
        self._fleet = fleet
        self._ports = {True: https_port, False: http_port}
        self._tls = tls
        self.came = Came()

    def run(self) -> Came:
        """Let every agent come to its end."""
        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(self._everybody())
        self.came.seconds = time.perf_counter() - began
        self.came.generator_cpu = time.process_time() - cpu
        return self.came

    async def _everybody(self) -> None:
        dice = random.Random(self._fleet.seed)
        within = self._fleet.count / _PER_SECOND
        async with asyncio.TaskGroup() as group:
            for number in range(self._fleet.count):
                group.create_task(self._agent(number, dice.uniform(0, within)))

    async def _agent(self, number: int, starts: float) -> None:
        await asyncio.sleep(starts)
        came, began = self.came, time.perf_counter()
        came.open_now += 1
        came.open_most = max(came.open_most, came.open_now)
        lines = {secure: _Line(port, self._tls if secure else None)
                 for secure, port in self._ports.items()}  # fmt: skip
        try:
            await self._live(self._fleet.life(number), lines)
            came.agents.append(time.perf_counter() - began)
        except (OSError, AssertionError, asyncio.IncompleteReadError) as error:
            came.failures[repr(error)[:200]] += 1
        finally:
            came.open_now -= 1
            for line in lines.values():
                line.close()

    async def _live(self, moves: Moves, lines: dict[bool, "_Line"]) -> None:
        ask = next(moves)
        with suppress(StopIteration):
            while True:  # no wait of its own: latencies are 0, and everybody is impatient
                ask = moves.send(await self._asked(ask, lines[ask.secure]))

    async def _asked(self, ask: Ask, line: "_Line") -> Told:
        for attempt in range(1, _TRIES + 1):
            began = time.perf_counter()
            try:
                async with asyncio.timeout(_ANSWER_S):
                    told = await line.ask(ask)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.came.broken[f"{ask.kind}: {type(error).__name__}"] += 1
                line.close()
                if attempt == _TRIES:
                    raise
            else:
                taken = time.perf_counter() - began
                self.came.latencies.setdefault(ask.kind, []).append(taken)
                self.came.statuses[told.status] += 1
                if told.status < 500:
                    return told
            await asyncio.sleep(_AGAIN_S)
        raise AssertionError(f"{ask.kind} was answered {told.status} to the end")


class _Line:
    """A connection of one agent; opened when it asks."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self._port, self._tls = port, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, ask: Ask) -> Told:
        if self._streams is None:
            name = "localhost" if self._tls else None
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._tls, server_hostname=name
            )
        reader, writer = self._streams
        head = (
            f"{ask.method} {ask.path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {OURS}\r\n"
            f"Content-Length: {len(ask.body)}\r\n\r\n"
        )
        writer.write(head.encode() + ask.body)
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers[b"content-length"]))
        if headers.get(b"connection") == b"close":
            self.close()
        return Told(int(start.split(b" ", 2)[1]), body)

    def close(self) -> None:
        if self._streams is not None:
            # Not closed politely: thousands would wait for the other side's last word.
            self._streams[1].transport.abort()
            self._streams = None


def storm(
    server: RunningServer, folder: Path, *, quick: bool, count: int = 10_000
) -> Iterator[Result]:
    """Register the fleet, give each a package, switch all on."""
    count = 40 if quick else count
    raise_file_limit()
    server.without_latencies()
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    ports = server.https_port, server.http_port, tls
    Drive(Fleet(count, contacts=1), *ports).run()
    archive = tar_gz(folder / "fleet.tar.gz", {"a": "b" * 5000})
    options = ("--command", "true", "--file", archive)
    package = server.publish("storm", "--action", "execute", *options)
    assert server.json("assign", package, "--search", "name ~ sim-")["assigned"] == count
    fleet = Fleet(count, contacts=1)
    with Cpu(server.pid) as cpu:
        came = Storm(fleet, *ports).run()
    told = server.json("stats", package)["by_status"]
    ended = sum(number for status, number in told.items() if status not in ("WAITING", "NOTIFIED"))
    text = server.log.read_text()
    locks = sum(text.count(word) for word in _LOCKS)
    held = memory(server.pid)
    yield from _results(came, count, min(ended, len(came.agents)), locks, cpu, held)


def _results(
    came: Came, count: int, done: int, locks: int, cpu: Cpu, held: float
) -> Iterator[Result]:
    name = f"storm of {count}"
    requests = sum(came.statuses.values())
    details = {
        "seconds": round(came.seconds, 1),
        "requests": requests,
        "requests_per_s": round(requests / came.seconds, 1),
        "at_work_at_most": came.open_most,
        "generator_cores": round(came.generator_cpu / came.seconds, 2),
        "server_cores": round(cpu.seconds / came.seconds, 2),
        "statuses": dict(came.statuses),
        "broken": dict(came.broken),
        "failures": dict(came.failures),
        "ms": {kind: _quantiles(taken) for kind, taken in came.latencies.items()},
        "agent_s": _quantiles(came.agents, 1),
    }
    failed = sum(number for status, number in came.statuses.items() if status >= 500)
    yield Result(f"{name}: agents done", done, "agents", count, better="higher", details=details)
    yield Result(f"{name}: answers 5xx", failed, "answers", 0)
    yield Result(f"{name}: connections broken", sum(came.broken.values()), "connections", 0)
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
