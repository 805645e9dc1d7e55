"""PROLOG and DOWNLOAD against a running server: CPU per request, latencies, requests per second."""

import asyncio
import ssl
import time
import zlib
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_server.config import load
from deploy_server.web.app import create_app
from deploy_server.web.gateway import Gateway
from tests.benchmarks.load import Load, Target, cycle, hammer, post
from tests.benchmarks.measure import Cpu, Result
from tests.support.archives import tar_gz
from tests.support.server import RunningServer

OCS = "OCS-NG_unified_unix_agent_v2.10.0"
PATH = "/ocsinventory"

_GENERATOR = "the load generator shares the cores with the server"


def prolog_xml(device_id: str) -> bytes:
    xml = f"<REQUEST><DEVICEID>{device_id}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"
    return zlib.compress(xml.encode())


def prolog_of(device_id: str, *, close: bool = False) -> bytes:
    return post(PATH, prolog_xml(device_id), OCS, close=close)


def small_inventory(device_id: str, name: str) -> bytes:
    xml = (
        f"<REQUEST><DEVICEID>{device_id}</DEVICEID><QUERY>INVENTORY</QUERY><CONTENT><HARDWARE>"
        f"<NAME>{name}</NAME><OSNAME>Debian GNU/Linux 12</OSNAME><CHECKSUM>1</CHECKSUM></HARDWARE>"
        "</CONTENT></REQUEST>"
    )
    return post(PATH, zlib.compress(xml.encode()), OCS)


def report(device_id: str, package_id: str) -> bytes:
    xml = f'<REQUEST DEVICEID="{device_id}" ERR="SUCCESS" ID="{package_id}" QUERY="DOWNLOAD"/>'
    return post(PATH, zlib.compress(xml.encode()), OCS)


def device(name: str) -> str:
    return f"{name}-2026-01-02-03-04-05"


@dataclass(frozen=True)
class Site:
    """A server that messages are sent to.

    Attributes:
        server: which.
        folder: for files.
        quick: small numbers.
        name: put before each measure.
        database: the process of the database, where that is not the server.
        times: how many times the targets are allowed.
    """

    server: RunningServer
    folder: Path
    quick: bool
    name: str = ""
    database: int | None = None
    times: float = 1.0

    def count(self, usual: int) -> int:
        return max(8, usual // 20) if self.quick else usual

    @property
    def target(self) -> Target:
        return Target(
            self.server.https_port, ssl.create_default_context(cafile=str(self.server.ca_file))
        )

    def sent(
        self, requests: list[bytes], count: int, *, connections: int = 8, tolerant: bool = False
    ) -> tuple[Load, Cpu]:
        """Send so many of the requests; what came of it, and what it took of the server's CPU."""
        pids = [self.server.pid] if self.database is None else [self.server.pid, self.database]
        with Cpu(*pids) as cpu:
            load = hammer(
                self.target, cycle(requests, count), connections=connections, tolerant=tolerant
            )
        assert tolerant or set(load.statuses) == {200}, load.statuses
        return load, cpu

    def cpu(self, measure: str, load: Load, cpu: Cpu, limit_ms: float | None) -> Result:
        """The row of a target for CPU."""
        limit = None if limit_ms is None else limit_ms * self.times
        figure = 1000 * cpu.seconds / load.requests
        measure = f"{self.name}{measure}"
        return Result(measure, figure, "ms CPU", limit, details=load.about())

    def p99(self, measure: str, load: Load, limit_ms: float | None = None) -> Result:
        measure = f"{self.name}{measure}: p99"
        figure = load.percentile(0.99)
        return Result(
            measure, figure, "ms", limit_ms, wall=True, why=_GENERATOR, details=load.about()
        )

    def rate(self, measure: str, load: Load, limit: float | None = None) -> Result:
        measure, figure = f"{self.name}{measure}: rate", load.per_second
        return Result(
            measure, figure, "/s", limit, better="higher", wall=True, why=_GENERATOR,
            details=load.about(),
        )  # fmt: skip

    def computers(self, kind: str, count: int) -> list[str]:
        """Make so many of them known; their device ids."""
        devices = [device(f"{kind}-{number}") for number in range(count)]
        everyone = [small_inventory(each, each[: -len(device(""))]) for each in devices]
        hammer(self.target, cycle(everyone, count))
        return devices

    def assigned(self, kind: str, count: int, name: str) -> str:
        """Build a package that all computers of that kind get; its id."""
        archive = tar_gz(self.folder / f"{name}.tar.gz", {"a": "b"})
        options = ("--action", "store", "--file", archive, "--path", "/opt/bench")
        package_id = self.server.publish(name, *options)
        answer = self.server.json("assign", package_id, "--search", f'name ~ "{kind}-"')
        assert answer["assigned"] == count, answer
        return package_id


def prolog(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """A known computer with nothing to do: over the wire, then in this process."""
    site = Site(server, folder, quick)
    yield from prologs(site)
    yield in_process(server, site.count(4000))


def prologs(site: Site) -> Iterator[Result]:
    site.server.set(FREQUENCY=1)
    known = [prolog_of(each) for each in site.computers("idle", 100)]
    site.sent(known, site.count(400))  # warm
    load, cpu = site.sent(known, site.count(4000))
    yield site.cpu("PROLOG, nothing to do, c=8", load, cpu, 0.55)
    yield site.rate("PROLOG, nothing to do, c=8", load)
    load, cpu = site.sent(known, site.count(4000), connections=32)
    yield site.cpu("PROLOG, nothing to do, c=32", load, cpu, 0.55)
    yield site.p99("PROLOG, nothing to do, c=32", load, 50)


def offers(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """A thousand computers with a package each."""
    yield from offered(Site(server, folder, quick))


def offered(site: Site) -> Iterator[Result]:
    site.server.set(FREQUENCY=1)
    count = site.count(1000)
    asking = [prolog_of(each) for each in site.computers("offered", count)]
    site.assigned("offered", count, "to offer")
    yield site.cpu("PROLOG, a package, first offer", *site.sent(asking, count), None)
    load, cpu = site.sent(asking, 3 * count)
    yield site.cpu("PROLOG, a package, c=8", load, cpu, 0.65)
    yield site.rate("PROLOG, a package, c=8", load)
    load, _ = site.sent(asking, 3 * count, connections=32)
    yield site.p99("PROLOG, a package, c=32", load)


def reports(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """Results of many computers at once; each is on the disk before it is answered."""
    yield from reported(Site(server, folder, quick))


def reported(site: Site) -> Iterator[Result]:
    site.server.set(FREQUENCY=1)
    count = site.count(1000)
    devices = site.computers("told", count)
    packages = [site.assigned("told", count, f"to report {n}") for n in range(3)]
    site.sent([prolog_of(each) for each in devices], count)
    told = [report(each, package) for package in packages for each in devices]
    load, cpu = site.sent(told, len(told), connections=32)
    for package in packages:
        assert site.server.json("stats", package)["by_status"] == {"SUCCESS": count}
    yield site.cpu("DOWNLOAD report, durable, c=32", load, cpu, 0.65)
    yield site.rate("DOWNLOAD report, durable, c=32", load)
    yield site.p99("DOWNLOAD report, durable, c=32", load)


def in_process(server: RunningServer, count: int) -> Result:
    """What is left when there is no network: all between two lines of the asynchronous server."""
    messages: list[MutableMapping[str, Any]] = []
    with ExitStack() as stack:
        config = load(server.data)
        app = create_app(config, faces=("comm",), stopping=stack)
        gateway = Gateway(
            app,
            threads=config.threads,
            spool_bytes=config.max_message_bytes,
            shortcuts=app.shortcuts,
        )
        stack.callback(gateway.close)

        async def run() -> float:
            for _ in range(50):  # warm
                await _asked(gateway, messages)
            began = time.process_time()
            for _ in range(count):
                await _asked(gateway, messages)
            return time.process_time() - began

        seconds = asyncio.run(run())
    assert {each["status"] for each in messages if "status" in each} == {200}
    return Result("PROLOG, nothing to do, in process", 1000 * seconds / count, "ms CPU", 0.40)


async def _asked(gateway: Gateway, messages: list[MutableMapping[str, Any]]) -> None:
    body = prolog_xml(device("idle-0"))
    headers = [
        (b"host", b"localhost"),
        (b"user-agent", OCS.encode()),
        (b"content-type", b"application/x-compress"),
        (b"content-length", str(len(body)).encode()),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "https", "path": PATH, "raw_path": PATH.encode(), "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 443), "state": {},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    await gateway(scope, receive, send)
