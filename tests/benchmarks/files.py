"""Fragments from our server against nginx serving the same files in the same run."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.load import Target, cycle, get, hammer
from tests.benchmarks.measure import Cpu, Result
from tests.support.archives import tar_gz
from tests.support.nginx import Nginx
from tests.support.server import RunningServer

_WHY = "granian sends them; nginx in front takes them over (examples/production)"


def fragments(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """64 KiB and 1 MiB, over HTTP and HTTPS, ours and nginx's by turns."""
    archive = tar_gz(folder / "files.tar.gz", {"payload": os.urandom(9 * 1024 * 1024)})
    context = ssl.create_default_context(cafile=str(server.ca_file))
    nginx_folder = folder / "nginx"
    nginx_folder.mkdir()
    with Nginx(nginx_folder, server.data, server.certificate) as nginx:
        for size, label, count in ((65536, "64 KiB", 4000), (1048576, "1 MiB", 600)):
            package_id = server.publish(
                f"files {label}",
                "--action",
                "store",
                "--file",
                archive,
                "--path",
                "/opt/x",
                "--fragment-size",
                str(size),
            )
            requests = [get(f"/download/{package_id}/{package_id}-{n}") for n in range(1, 9)]
            total = count // 20 if quick else count
            for scheme, ours, theirs in (
                ("http", Target(server.http_port), Target(nginx.http_port)),
                ("https", Target(server.https_port, context), Target(nginx.https_port, context)),
            ):
                with Cpu(nginx.pid) as nginx_cpu:
                    other = hammer(theirs, cycle(requests, total))
                with Cpu(server.pid) as cpu:
                    load = hammer(ours, cycle(requests, total))
                assert set(load.statuses) == set(other.statuses) == {200}
                yield Result(
                    f"fragments {label}, {scheme}",
                    load.per_second,
                    "requests/s",
                    other.per_second,
                    "nginx, same files",
                    better="higher",
                    why=_WHY,
                    details={
                        "cpu_ms": round(1000 * cpu.seconds / load.requests, 3),
                        "nginx_cpu_ms": round(1000 * nginx_cpu.seconds / other.requests, 3),
                        "mb_per_s": round(load.received / load.seconds / 1e6, 1),
                    },
                )
