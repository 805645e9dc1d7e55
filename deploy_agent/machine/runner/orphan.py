"""An action whose runner was killed: whether it lives, and how it is ended when its time is over.

The runner notes which process the action is, so that an agent that finds neither runner nor result
does not take an action for over that goes on, start it again beside itself, or take its tree away.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ACTION = "action.json"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAME_S = 5.0  # two ways to tell when a process began may differ by so much
_TICKS, _STATE = 19, 0  # in /proc/PID/stat, counted from behind the name


class Orphan(NamedTuple):
    """A process that lives.

    Attributes:
        pid: its number, and its group's.
        age_s: seconds since it began.
    """

    pid: int
    age_s: float

    def end(self, *, force: bool) -> None:
        """Ask its whole group to end; with `force` end it."""
        with suppress(OSError):  # it has just ended
            if sys.platform == "win32":
                os.kill(self.pid, signal.SIGTERM)
            else:
                os.killpg(self.pid, signal.SIGKILL if force else signal.SIGTERM)


def note(folder: Path, pid: int) -> None:
    """Write down that the action of `folder` is the process `pid`, or is about to be."""
    known = {"pid": pid, "began": _began(pid), "at": time.time()}
    with suppress(OSError):  # a disk that is full now; the action runs, and this is a second net
        descriptor = os.open(folder / ACTION, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(json.dumps(known))


def find(folder: Path) -> Orphan | None:
    """Return the action of `folder`, None where it has ended or nobody knows of any."""
    try:
        known = json.loads((folder / ACTION).read_bytes())
        pid, began, at = int(known["pid"]), str(known["began"]), float(known["at"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if not began:  # not Linux
        return _by_time(pid, at)
    return Orphan(pid, _age_s(began)) if began == _began(pid) else None


def _began(pid: int) -> str:
    """Return what no other process can have: the boot, and the tick at which it began.

    '' where it has ended, and where the system has no such thing.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        if fields[_STATE] in "ZX":  # it has ended, and nobody has asked how
            return ""
        return f"{_BOOT_ID.read_text('ascii').strip()} {fields[_TICKS]}"
    except (OSError, IndexError):
        return ""


def _age_s(began: str) -> float:
    ticks = int(began.split()[-1])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _by_time(pid: int, at: float) -> Orphan | None:
    import psutil  # the agent has it; the runner, which also imports this, has not

    try:
        process = psutil.Process(pid)
        began = process.create_time()
        if abs(began - at) > _SAME_S or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    return Orphan(pid, max(0.0, time.time() - began))
