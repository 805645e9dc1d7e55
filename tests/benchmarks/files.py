"""Fragments from our server against nginx serving the same files in the same run."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.load import Load, Target, cycle, exchange, get, hammer
from tests.benchmarks.measure import Cpu, MiB, Result
from tests.support.archives import tar_gz
from tests.support.nginx import Nginx
from tests.support.server import RunningServer

#: Bytes, what they are called, how many are asked for, and the share of nginx that is wanted.
_SIZES = ((65536, "64 KiB", 4000, 0.25), (MiB, "1 MiB", 600, 0.6))

_WHY = "granian sends them; nginx in front takes them over (examples/production)"
_TARGET = "of nginx"


def fragments(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """64 KiB and 1 MiB, over HTTP and HTTPS, ours and nginx's by turns."""
    archive = tar_gz(folder / "files.tar.gz", {"payload": os.urandom(9 * MiB)})
    context = ssl.create_default_context(cafile=str(server.ca_file))
    place = folder / "nginx"
    place.mkdir()
    with Nginx(place, server.data, server.certificate) as nginx:
        for size, label, count, share in _SIZES:
            options = ("--action", "store", "--file", archive, "--path", "/opt/x")
            package_id = server.publish(f"files {label}", *options, "--fragment-size", str(size))
            requests = [get(f"/download/{package_id}/{package_id}-{n}") for n in range(1, 9)]
            for scheme, ours, theirs in (
                ("http", Target(server.http_port), Target(nginx.http_port)),
                ("https", Target(server.https_port, context), Target(nginx.https_port, context)),
            ):
                _check_range(ours, requests[0])
                total = count // 20 if quick else count
                with Cpu(nginx.pid) as nginx_cpu:
                    other = hammer(theirs, cycle(requests, total))
                with Cpu(server.pid) as cpu:
                    load = hammer(ours, cycle(requests, total))
                assert set(load.statuses) == set(other.statuses) == {200}
                measure = f"fragments {label}, {scheme}"
                yield from _results(measure, share, (load, cpu), (other, nginx_cpu))


def _results(
    measure: str, share: float, ours: tuple[Load, Cpu], theirs: tuple[Load, Cpu]
) -> Iterator[Result]:
    (load, cpu), (other, nginx_cpu) = ours, theirs
    milliseconds = 1000 * cpu.seconds / load.requests
    nginx_milliseconds = 1000 * nginx_cpu.seconds / other.requests
    details = {
        "requests_per_s": round(load.per_second, 1),
        "nginx_requests_per_s": round(other.per_second, 1),
        "cpu_ms": round(milliseconds, 3),
        "nginx_cpu_ms": round(nginx_milliseconds, 3),
        "mb_per_s": round(load.received / load.seconds / 1e6, 1),
        "generator_cores": round(load.share, 2),
        "generator_cores_nginx": round(other.share, 2),
    }
    yield Result(
        f"{measure}: rate", load.per_second / other.per_second, _TARGET, share, better="higher",
        wall=True, why=_WHY, details=details,
    )  # fmt: skip
    yield Result(measure, milliseconds, "ms CPU", details=details)


def _check_range(target: Target, request: bytes) -> None:
    """Part of a fragment is answered as part; `exchange` insists on Content-Length anyway."""
    part = request.replace(b"\r\n\r\n", b"\r\nRange: bytes=100-299\r\n\r\n")
    connection: socket.socket = target.connect()
    with connection:
        assert exchange(connection, part, bytearray(65536)) == (206, 200)
