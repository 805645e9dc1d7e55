"""PROLOG and INVENTORY against a running server: requests per second and CPU per request."""

import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.load import Load, Target, cycle, hammer, post
from tests.benchmarks.measure import Cpu, Result, memory
from tests.support.archives import tar_gz
from tests.support.server import RunningServer
from tests.support.vectors import Exchange

OCS = "OCS-NG_unified_unix_agent_v2.10.0"
PATH = "/ocsinventory"

_WHY = "the load generator shares the cores with the server, and every thread's turn costs"
_TARGET = "target over all processes"


def prolog(device_id: str, *, close: bool = False) -> bytes:
    xml = f"<REQUEST><DEVICEID>{device_id}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"
    return post(PATH, zlib.compress(xml.encode()), OCS, close=close)


def inventory(device_id: str, name: str, *, close: bool = False) -> bytes:
    """The recorded inventory of 860 packages, as another computer's."""
    recorded = Exchange("agent-02-inventory-first").request.xml
    changed = recorded.replace(b"host-a-2026-11-21-10-24-07", device_id.encode())
    changed = changed.replace(b"<NAME>host-a</NAME>", f"<NAME>{name}</NAME>".encode())
    assert changed != recorded
    return post(PATH, zlib.compress(changed), OCS, close=close)


def small_inventory(device_id: str, name: str) -> bytes:
    xml = (
        f"<REQUEST><DEVICEID>{device_id}</DEVICEID><QUERY>INVENTORY</QUERY><CONTENT><HARDWARE>"
        f"<NAME>{name}</NAME><OSNAME>Debian GNU/Linux 12</OSNAME><CHECKSUM>1</CHECKSUM></HARDWARE>"
        "</CONTENT></REQUEST>"
    )
    return post(PATH, zlib.compress(xml.encode()), OCS)


def report(device_id: str, package: int) -> bytes:
    xml = f'<REQUEST DEVICEID="{device_id}" ERR="SUCCESS" ID="{package}" QUERY="DOWNLOAD"/>'
    return post(PATH, zlib.compress(xml.encode()), OCS)


def device(number: int) -> str:
    return f"pc-{number}-2026-01-02-03-04-05"


class Wire:
    """The benchmarks of the agents' messages on one server."""

    def __init__(self, server: RunningServer, folder: Path, *, quick: bool) -> None:
        self.server = server
        self.folder = folder
        self.scale = 20 if quick else 1
        self.https = Target(
            server.https_port, ssl.create_default_context(cafile=str(server.ca_file))
        )

    def measured(
        self, requests: list[bytes], count: int, *, connections: int = 8, keep_alive: bool = True
    ) -> tuple[Load, Cpu]:
        with Cpu(self.server.pid) as cpu:
            load = hammer(
                self.https, cycle(requests, count), connections=connections, keep_alive=keep_alive
            )
        assert set(load.statuses) == {200}, load.statuses
        return load, cpu

    def row(self, measure: str, load: Load, cpu: Cpu, limit_ms: float, limit_is: str) -> Result:
        return Result(
            measure,
            1000 * cpu.seconds / load.requests,
            "ms CPU",
            limit_ms,
            limit_is,
            why=_WHY,
            details={
                "requests": load.requests,
                "requests_per_s": round(load.per_second, 1),
                "p50_ms": round(load.percentile(0.5), 2),
                "p99_ms": round(load.percentile(0.99), 2),
            },
        )

    def run(self) -> Iterator[Result]:
        self.server.set(FREQUENCY=1)
        yield from self.prologs()
        yield from self.reports()
        yield from self.inventories()
        yield Result(
            "server: memory after that load",
            memory(self.server.pid),
            "MiB PSS",
            488,
            "OCS's server after load",
        )

    def prologs(self) -> Iterator[Result]:
        """A known computer with nothing to do; then a thousand computers with a package each."""
        hammer(self.https, cycle([small_inventory(device(0), "pc-0")], 1), connections=1)
        known = [prolog(device(0))]
        self.measured(known, 200)  # warm
        yield self.row(
            "PROLOG, known, STOP, keep-alive",
            *self.measured(known, 6000 // self.scale),
            0.55,
            _TARGET,
        )
        yield self.row(
            "PROLOG, known, STOP, c=32",
            *self.measured(known, 6000 // self.scale, connections=32),
            0.55,
            _TARGET,
        )
        closing = [prolog(device(0), close=True)]
        yield self.row(
            "PROLOG, known, new TLS connection each",
            *self.measured(closing, 2000 // self.scale, keep_alive=False),
            0.55,
            _TARGET,
        )
        count = 1000 // self.scale
        everyone = [small_inventory(device(n), f"pc-{n}") for n in range(count)]
        hammer(self.https, cycle(everyone, count))
        archive = tar_gz(self.folder / "one.tar.gz", {"a": "b"})
        package_id = self.server.publish(
            "bench", "--action", "store", "--file", archive, "--path", "/opt/bench"
        )
        answer = self.server.json("assign", package_id, "--search", 'name ~ "pc-"')
        assert answer["assigned"] == count, answer
        asking = [prolog(device(n)) for n in range(count)]
        yield self.row(
            f"PROLOG, {count} computers, first offer", *self.measured(asking, count), 0.65, _TARGET
        )
        yield self.row(
            f"PROLOG, {count} computers, offered again",
            *self.measured(asking, 3 * count),
            0.65,
            _TARGET,
        )

    def inventories(self) -> Iterator[Result]:
        """The recorded 340 KB inventory: new computers, then the same again."""
        count = max(10, 200 // self.scale)
        fresh = [inventory(device(100_000 + n), f"big-{n}") for n in range(count)]
        new = self.measured(fresh, count)
        yield self.row("INVENTORY 340 KB, new computer", *new, 20.0, _TARGET)
        same = self.measured(fresh, count)
        yield self.row("INVENTORY 340 KB, unchanged", *same, 6.0, _TARGET)

    def reports(self) -> Iterator[Result]:
        """Results of many computers at once; each is on the disk before it is answered."""
        count = 1000 // self.scale
        everyone = [small_inventory(device(n), f"pc-{n}") for n in range(count)]
        hammer(self.https, cycle(everyone, count))
        results = [report(device(n), 1_700_000_000 + n % 7) for n in range(count)]
        measured = self.measured(results, count, connections=32)
        yield self.row("DOWNLOAD report, durable, c=32", *measured, 0.65, _TARGET)
