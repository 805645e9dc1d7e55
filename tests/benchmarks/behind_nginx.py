"""Fragments behind nginx as examples/production has it, against nginx with nothing but the folder.

There nginx sends packages from the disk itself (`root` in a location, no X-Accel-Redirect), so no
process of ours is asked; what is compared is what the example's rules cost.
"""

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.load import Load, Target, cycle, get, hammer
from tests.benchmarks.measure import Cpu, MiB, Result
from tests.support.archives import tar_gz
from tests.support.nginx import Nginx
from tests.support.production import configured
from tests.support.server import RunningServer

#: Bytes, what they are called, and how many are asked for.
_SIZES = ((65536, "64 KiB", 8000), (MiB, "1 MiB", 1600))

#: Both are asked so often by turns: what slows the machine down then slows down both.
_TURNS = 10

_GOAL = 0.95
_WHY = "the example's rules: a regular expression and three headers for each fragment"


class _Behind(Nginx):
    """nginx with the example's configuration."""

    def __init__(self, folder: Path, server: RunningServer) -> None:
        super().__init__(folder, server.data, server.certificate)
        ports = {"80": self.http_port, "443": self.https_port}
        ports |= {"8443": server.https_port, "8080": server.http_port}
        settings = "access_log off; keepalive_requests 1000000;"
        self.configuration = configured(folder, server.data, server.data, ports, settings)


def behind_nginx(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """64 KiB and 1 MiB, over HTTP and HTTPS, by turns."""
    archive = tar_gz(folder / "behind.tar.gz", {"payload": os.urandom(9 * MiB)})
    context = ssl.create_default_context(cafile=str(server.ca_file))
    places = [folder / "alone", folder / "behind"]
    for place in places:
        place.mkdir()
    with (
        Nginx(places[0], server.data, server.certificate) as alone,
        _Behind(places[1], server) as behind,
    ):
        for size, label, count in _SIZES:
            options = ("--action", "store", "--file", archive, "--path", "/opt/x")
            package_id = server.publish(f"behind {label}", *options, "--fragment-size", str(size))
            requests = [get(f"/download/{package_id}/{package_id}-{n}") for n in range(1, 9)]
            total = max(8, (count // 20 if quick else count) // _TURNS)
            for scheme, tls in (("http", None), ("https", context)):
                ports = [getattr(each, f"{scheme}_port") for each in (alone, behind)]
                pids = (alone.pid, behind.pid)
                sides = [
                    _Side(Target(port, tls), pid) for port, pid in zip(ports, pids, strict=True)
                ]
                for _ in range(_TURNS):
                    for side in sides:
                        side.ask(requests, total)
                yield from _compared(f"fragments {label} behind nginx, {scheme}", *sides)


@dataclass
class _Side:
    """One nginx: what it was asked, and what that took."""

    target: Target
    pid: int
    loads: list[Load] = field(default_factory=list)
    cpu_s: float = 0.0

    def ask(self, requests: list[bytes], total: int) -> None:
        with Cpu(self.pid) as cpu:
            load = hammer(self.target, cycle(requests, total))
        assert set(load.statuses) == {200}, load.statuses
        self.loads.append(load)
        self.cpu_s += cpu.seconds

    @property
    def requests(self) -> int:
        return sum(load.requests for load in self.loads)

    @property
    def rates(self) -> list[float]:
        return [load.per_second for load in self.loads]

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.requests


def _compared(measure: str, alone: _Side, behind: _Side) -> Iterator[Result]:
    turns = zip(behind.rates, alone.rates, strict=True)
    details = {
        "requests_per_s": round(median(behind.rates), 1),
        "nginx_requests_per_s": round(median(alone.rates), 1),
        "cpu_ms": round(behind.cpu_ms, 4),
        "nginx_cpu_ms": round(alone.cpu_ms, 4),
        "generator_cores": round(max(load.share for load in behind.loads), 2),
    }
    rate = median(ours / theirs for ours, theirs in turns)
    yield Result(
        f"{measure}: rate", rate, "of nginx alone", _GOAL, better="higher", wall=True, why=_WHY,
        details=details,
    )  # fmt: skip
    # A quick run may end between two ticks of the clock that CPU time is counted by.
    times = behind.cpu_s / alone.cpu_s if alone.cpu_s else 1.0
    yield Result(f"{measure}: CPU", times, "x nginx alone", details=details)
