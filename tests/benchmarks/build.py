"""Building a package against sha256sum and cp of the same file, from the page cache."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import Cpu, MiB, PeakMemory, Result
from tests.support.processes import BIN, program
from tests.support.server import RunningServer

GiB = 1024 * MiB

_WHY = (
    "three digests of every byte, the archive unpacked once to judge it, every fragment on the disk"
    " before the row is; and the program's own start"
)


def big_archive(folder: Path, size: int) -> Path:
    """A tar.gz of ``size`` bytes that did not have to be compressed: gzip of stored blocks."""
    path = folder / "big.tar.gz"
    inside = folder / "payload"
    block = os.urandom(MiB)
    with inside.open("wb") as out:
        for number in range(size // MiB):
            # Different in every block, and as random as the first.
            out.write(number.to_bytes(8, "big") + block[8:])
    subprocess.run(
        [program("tar"), "-C", folder, "-I", "gzip -1", "-cf", path, inside.name], check=True
    )
    inside.unlink()
    return path


def timed(*command: str | Path) -> float:
    began = time.perf_counter()
    subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def build(server: RunningServer, folder: Path, *, quick: bool, size: int = GiB) -> Iterator[Result]:
    """The command line's build: the same streaming pass as the console's."""
    size = 8 * MiB if quick else size
    archive = big_archive(folder, size)
    hashing = timed(program("sha256sum"), archive)
    copying = timed(program("cp"), archive, folder / "copy")
    (folder / "copy").unlink()
    idle, _ = watched(server, "package", "list")
    options = ["--os", "linux", "--action", "store", "--path", "/opt/x", "--file", str(archive)]
    name = f"build {size // MiB} MiB"
    with Cpu(os.getpid()) as cpu:
        peak, seconds = watched(server, "package", "build", name, *options)
    archive.unlink()
    details = {
        "seconds": round(seconds, 2),
        "cpu_s": round(cpu.seconds, 2),
        "sha256sum_s": round(hashing, 2),
        "cp_s": round(copying, 2),
        "idle_mib": round(idle, 1),
    }
    yield Result(
        f"{name}: time", seconds / hashing, "of sha256sum", 1.3, wall=True, why=_WHY,
        details=details,
    )  # fmt: skip
    yield Result(f"{name}: peak memory", peak, "MiB RSS", 100, details=details)


def watched(server: RunningServer, *arguments: str) -> tuple[float, float]:
    """Peak memory in MiB and seconds of a command that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [BIN / "deploy-server", *arguments],
        env={**os.environ, **server.environ},
        stdout=subprocess.DEVNULL,
    )
    with PeakMemory(process.pid, "rss") as memory:
        assert process.wait() == 0
    return memory.peak, time.perf_counter() - began
