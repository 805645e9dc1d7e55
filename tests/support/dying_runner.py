"""The runner, which kills itself: ``python -I -S dying_runner.py FOLDER LOCK``.

It is the program that agents start, with its moments counted from outside: before and after each
of its writes and steps. At the one that TRANCHE_RUNNER_DIES names (FILE NUMBER) it ends by SIGKILL,
the first time only; it leaves its moments in FILE, one a line.
"""

import functools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

VARIABLE = "TRANCHE_RUNNER_DIES"


def main() -> None:
    moments, number = os.environ[VARIABLE].rsplit(" ", 1)
    if not Path(moments).exists() and Path(sys.argv[1]).name.startswith("run-"):
        _watch_everything(Path(moments), int(number))
    from deploy_agent.machine.runner import __main__ as program

    program.main(Path(sys.argv[1]), int(sys.argv[2]))


def _watch_everything(path: Path, number: int) -> None:
    from deploy_agent.machine.runner import __main__ as program
    from deploy_agent.machine.runner import job, processes, supervise

    write = os.write
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    passed: list[str] = []
    one_at_a_time = threading.Lock()

    def moment(what: str) -> None:
        with one_at_a_time:
            passed.append(what)
            write(descriptor, f"{what}\n".encode())
            if len(passed) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def watched(*arguments: Any, **named: Any) -> Any:
            moment(f"before {name}")
            result = original(*arguments, **named)
            moment(f"after {name}")
            return result

        setattr(owner, name, watched)

    watch(program, "_detach")
    watch(program, "take_job")
    watch(program, "perform")
    watch(job.ResultFile, "__init__")
    watch(job.ResultFile, "write")
    watch(job, "_sync_folder")
    watch(Path, "rename")
    watch(Path, "replace")
    for name in ("fsync", "ftruncate", "write"):
        watch(os, name)
    watch(subprocess, "Popen")
    watch(supervise, "_watch")
    watch(processes, "await_end")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
