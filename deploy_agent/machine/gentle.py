"""Work that stands back behind whatever else the computer does: low priority of CPU and disk.

A priority that was lowered cannot be raised again without privileges, so it is not this process
that is made nice but a thread that ends with the work. Where the system refuses, the work is done
all the same.
"""

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

NICE = 10
BEST_EFFORT_LOWEST = 7  # not the idle class: on a busy disk that would never end
_BACKGROUND_BEGIN = 0x00010000  # THREAD_MODE_BACKGROUND_BEGIN: CPU, disk and memory

T = TypeVar("T")

log = logging.getLogger(__name__)


def gently(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises, after doing it at low priority."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            _stand_back()
            done.append(work())
        except BaseException as error:  # whatever it is, it is for whoever wanted the work done
            failed.append(error)

    # Nothing waits for it where the process ends: whatever it does may stop at any line.
    thread = threading.Thread(target=run, name="gently", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed.pop()
    return done[0]


def _stand_back() -> None:
    """Lower the priority of this thread, and of no other."""
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.SetThreadPriority(kernel.GetCurrentThread(), _BACKGROUND_BEGIN)
    elif sys.platform == "linux":  # elsewhere a priority belongs to a process
        number = threading.get_native_id()
        with suppress(OSError):
            nice = os.getpriority(os.PRIO_PROCESS, number)
            os.setpriority(os.PRIO_PROCESS, number, max(nice, NICE))
        _stand_back_at_the_disk(number)


def _stand_back_at_the_disk(number: int) -> None:
    import psutil  # takes its time, and only an agent with something to unpack needs it

    with suppress(psutil.Error, OSError):
        psutil.Process(number).ionice(psutil.IOPRIO_CLASS_BE, BEST_EFFORT_LOWEST)
