"""What is measured and how it is written down: CPU time and memory of process trees, results."""

import contextlib
import os
import platform
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import psutil

from tests.support.processes import tree

MiB = 1024 * 1024


@dataclass
class Result:
    """One row of the table.

    Attributes:
        measure: what, in words.
        value: the figure that counts.
        unit: of value and limit.
        limit: what nothing in Python here was seen to beat, or another program's figure.
        limit_is: what the limit is.
        better: "lower" or "higher".
        why: shown where the value is an order of magnitude off its limit.
        details: everything else, for the JSON.
    """

    measure: str
    value: float
    unit: str
    limit: float | None = None
    limit_is: str = ""
    better: str = "lower"
    why: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def factor(self) -> float | None:
        """How many times worse than its limit; below 1 is better than it."""
        if not self.limit or not self.value:
            return None
        ratio = self.value / self.limit
        return ratio if self.better == "lower" else 1 / ratio

    @property
    def far_off(self) -> bool:
        return self.factor is not None and self.factor >= 10

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "factor": self.factor}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and everything it started that still lives."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
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
    """CPU seconds that a process tree used while the context lasted."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.seconds = 0.0
        self.wall = 0.0

    def __enter__(self) -> Self:
        self._cpu, self._wall = cpu_seconds(self.pid), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.seconds = cpu_seconds(self.pid) - self._cpu


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


def table(results: list[Result]) -> str:
    """The results for people; a line below each that is an order of magnitude off its limit."""
    rows = [("measure", "value", "limit", "factor", "the limit is")]
    for each in results:
        limit = "" if each.limit is None else f"{each.limit:.4g} {each.unit}"
        factor = "" if each.factor is None else f"{each.factor:.2f}"
        rows.append((each.measure, f"{each.value:.4g} {each.unit}", limit, factor, each.limit_is))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for number, row in enumerate(rows):
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
        elif results[number - 1].far_off:
            lines.append(f"    why: {results[number - 1].why}")
    return "\n".join(line.rstrip() for line in lines)
