"""What is measured: CPU time and memory of process trees, and what a run came to."""

import contextlib
import os
import platform
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

import psutil

from tests.support.processes import tree

MiB = 1024 * 1024


@dataclass
class Result:
    """One figure of one run.

    Attributes:
        measure: what, in words.
        value: the figure that counts.
        unit: of value and limit.
        limit: the target, or another program's figure; None where there is none.
        limit_is: "target", or what else stands beside the figure to be compared.
        better: "lower" or "higher".
        why: shown where the limit is not held.
        wall: it depends on who else uses the machine; CPU times and bytes do not.
        details: everything else, for the JSON.
    """

    measure: str
    value: float
    unit: str
    limit: float | None = None
    limit_is: str = "target"
    better: str = "lower"
    why: str = ""
    wall: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_target(self) -> bool:
        """Whether the limit is to be held."""
        return self.limit is not None and self.limit_is.startswith("target")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and everything it started, also of what has ended."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory(pid: int, kind: str = "pss") -> float:
    """MiB of a process tree; PSS counts shared pages once."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += getattr(process.memory_full_info(), kind)
    return total / MiB


class PeakMemory:
    """The highest memory of a process tree while the context lasts."""

    def __init__(self, pid: int, kind: str = "rss") -> None:
        self.pid = pid
        self.kind = kind
        self.peak = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, memory(self.pid, self.kind))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


class Cpu:
    """CPU seconds that process trees used while the context lasted."""

    def __init__(self, *pids: int) -> None:
        self.pids = pids
        self.seconds = 0.0
        self.wall = 0.0

    def __enter__(self) -> Self:
        self._cpu, self._wall = self._so_far(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.seconds = self._so_far() - self._cpu

    def _so_far(self) -> float:
        return sum(map(cpu_seconds, self.pids))


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = ""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as cpuinfo:
        model = next((line.split(":")[1].strip() for line in cpuinfo if "model name" in line), "")
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_mib": psutil.virtual_memory().total // MiB,
        "python": platform.python_version(),
        "load_at_start": os.getloadavg()[0],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
