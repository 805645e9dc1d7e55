"""What a process costs a computer, as the kernel counts it: memory and wake-ups."""

import time
from pathlib import Path

MiB = 1024 * 1024
LOOK_S = 0.2  # what happens within one look is one wake-up


def rss(pid: int) -> float:
    """MiB of memory that the process has at this moment."""
    return _kib(pid, "VmRSS:") / 1024


def peak_rss(pid: int) -> float:
    """The most MiB that the process ever had."""
    return _kib(pid, "VmHWM:") / 1024


def switches(pid: int) -> int:
    """How often the threads of the process went to sleep; each wake-up ends in that."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


def wake_ups(pid: int, seconds: float) -> int:
    """How often the process woke up in that time."""
    found, before = 0, switches(pid)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        now = switches(pid)
        found += now != before
        before = now
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of the process so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def _kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise AssertionError(f"the kernel does not say {name}")
