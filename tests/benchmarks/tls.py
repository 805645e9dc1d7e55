"""What a polling fleet does: a new TLS connection for each PROLOG, beside nginx's empty answer."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.load import Load, Target, cycle, hammer, post
from tests.benchmarks.measure import Cpu, Result
from tests.benchmarks.wire import OCS, Site, prolog_of, prolog_xml
from tests.support.nginx import Nginx
from tests.support.server import RunningServer

_GENERATOR = "the generator's handshakes share the cores; the ratio of CPU times leaves them out"
_TARGET = "of nginx"


@dataclass
class _Sum:
    """Loads of one server, by turns with the other's."""

    connections: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    generator: float = 0.0

    def add(self, load: Load, cpu: Cpu) -> None:
        self.connections += load.requests
        self.seconds += load.seconds
        self.cpu += cpu.seconds
        self.generator += load.own_cpu

    @property
    def rate(self) -> float:
        return self.connections / self.seconds

    @property
    def milliseconds(self) -> float:
        return 1000 * self.cpu / self.connections


def tls(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """Ours and nginx's by turns, with the same certificate and the same client."""
    site = Site(server, folder, quick)
    server.set(FREQUENCY=1)
    one = site.computers("tls", 1)[0]
    # Who verifies the certificate is the client, whose work is not what is measured.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    asked = [prolog_of(one, close=True)]
    nothing = [post("/nothing", prolog_xml(one), OCS, close=True)]
    ours, theirs = _Sum(), _Sum()
    place = folder / "nginx"
    place.mkdir()
    with Nginx(place, server.data, server.certificate) as nginx:
        for _ in range(2 if quick else 4):
            for total, pid, port, requests in (
                (theirs, nginx.pid, nginx.https_port, nothing),
                (ours, server.pid, server.https_port, asked),
            ):
                with Cpu(pid) as cpu:
                    count = site.count(600)
                    load = hammer(Target(port, context), cycle(requests, count), keep_alive=False)
                assert set(load.statuses) == {200}, load.statuses
                total.add(load, cpu)
    yield from _results(ours, theirs)


def _results(ours: _Sum, theirs: _Sum) -> Iterator[Result]:
    measure = "PROLOG, new TLS connection each"
    details = {
        "ours_per_s": round(ours.rate, 1),
        "nginx_per_s": round(theirs.rate, 1),
        "nginx_cpu_ms": round(theirs.milliseconds, 3),
        "generator_cores": round(ours.generator / ours.seconds, 2),
        "generator_cores_nginx": round(theirs.generator / theirs.seconds, 2),
    }
    yield Result(f"{measure}, c=8", ours.milliseconds, "ms CPU", details=details)
    yield Result(
        f"{measure}: connections/s", ours.rate / theirs.rate, _TARGET, 0.3, better="higher",
        wall=True, why=_GENERATOR, details=details,
    )  # fmt: skip
    yield Result(
        f"{measure}: connections per second of CPU", theirs.milliseconds / ours.milliseconds,
        _TARGET, 0.3, better="higher", details=details,
    )  # fmt: skip
