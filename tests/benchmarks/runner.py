"""Runs the rows: each several times, on a server of its own; and leaves no process behind."""

import ctypes
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from tests.benchmarks.anchors import speed
from tests.benchmarks.measure import Result
from tests.benchmarks.report import Figure, Sample, collected
from tests.support.server import RunningServer

_PR_SET_CHILD_SUBREAPER = 36


class Benchmark(Protocol):
    """Yields the figures of one run, taken in an empty folder."""

    def __call__(self, folder: Path, *, quick: bool) -> Iterator[Result]: ...


class ServerBenchmark(Protocol):
    """The same, of a server that runs."""

    def __call__(self, server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]: ...


@dataclass(frozen=True)
class Row:
    """Some lines of the table that are measured together.

    Attributes:
        benchmark: yields them once.
        about: what is measured, for --help.
        runs: how many there are at most; None for as many as were asked for.
        is_full: it takes so long that only --full, or its name, has it.
        by_name_only: not even --full has it.
    """

    benchmark: Benchmark
    about: str
    runs: int | None = None
    is_full: bool = False
    by_name_only: bool = False


@dataclass(frozen=True)
class Served:
    """A benchmark with a server of its own in each run, so that none inherits another's load.

    Attributes:
        benchmark: of a server.
    """

    benchmark: ServerBenchmark

    def __call__(self, folder: Path, *, quick: bool) -> Iterator[Result]:
        with RunningServer(folder) as server:
            yield from self.benchmark(server, folder, quick=quick)


@dataclass
class Runner:
    """Runs rows one after the other.

    Attributes:
        runs: of each row.
        quick: small sizes, for trying it out.
        told: gets each line of progress.
        shared: a server for all rows, because its start takes longest; None for one of each run.
        is_stopped: somebody does not want to wait for the rest.
    """

    runs: int
    quick: bool
    told: Callable[[str], object]
    shared: RunningServer | None = None
    is_stopped: bool = False

    def run(self, name: str, row: Row) -> tuple[list[Figure], str]:
        """Return the figures of a row, and why it broke off; '' where it did not."""
        samples: list[Sample] = []
        runs = min(self.runs, row.runs or self.runs)
        for number in range(1, runs + 1):
            self.told(f"{name}: run {number} of {runs}")
            try:
                samples += self._once(row)
            except KeyboardInterrupt:
                self.is_stopped = True
                return collected(name, samples), "stopped; the runs before are kept"
            except (Exception, pytest.skip.Exception) as error:
                # One row that breaks, whatever it is, must not take the others' figures with it.
                reason = f"{type(error).__name__}: {error}"
                self.told(f"{name}: broke off: {reason}")
                return collected(name, samples), reason
        return collected(name, samples), ""

    def _once(self, row: Row) -> list[Sample]:
        results: list[Result] = []
        before, others = speed(), _Others()
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            for result in self._results(row.benchmark, Path(place)):
                self.told(f"    {result.measure}: {result.value:.4g} {result.unit}")
                results.append(result)
        cores = others.cores()
        slower = (before + speed()) / 2
        return [Sample(each, slower, cores) for each in results]

    def _results(self, benchmark: Benchmark, folder: Path) -> Iterator[Result]:
        if self.shared is None or not isinstance(benchmark, Served):
            return benchmark(folder, quick=self.quick)
        return benchmark.benchmark(self.shared, folder, quick=self.quick)


class _Others:
    """How many cores programs use that we did not start."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._before = self._others()

    def cores(self) -> float:
        seconds = max(0.01, time.perf_counter() - self._began)
        return max(0.0, (self._others() - self._before) / seconds)

    @staticmethod
    def _others() -> float:
        # At the end of a run everything that we started has ended, so it is in our children's.
        times, ours = psutil.cpu_times(), os.times()
        busy = times.user + times.nice + times.system + times.irq + times.softirq
        return busy - sum(ours[:4])


@contextmanager
def nothing_left() -> Iterator[None]:
    """End everything that was started within, however this process is told to stop.

    Raises:
        KeyboardInterrupt: by SIGTERM, too.
    """
    # What outlives its parent becomes ours, so that it is found.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        left = psutil.Process().children(recursive=True)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)


def to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
