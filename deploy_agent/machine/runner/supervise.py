"""Runs one program under an execution timeout and keeps the end of its output."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from deploy_agent.machine.runner import processes
from deploy_agent.machine.runner.output import Tail

LAST_WORDS_S = 0.3  # how long output may still arrive after the program has ended
_PIECE = 64 * 1024


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        exit_code: 128 + s where signal s ended it; None where it could not even be killed.
        timed_out: it was stopped.
        output: the end of its output.
        truncated: whether there was more.
        reader: still reads, when something that the program left running may write.
    """

    exit_code: int | None
    timed_out: bool
    output: str
    truncated: bool
    reader: threading.Thread


def run(
    command: Sequence[str] | str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float,
    grace_s: float,
    started: Callable[[int], None] = lambda _pid: None,
) -> Ended:
    """Run `command` to its end, or to its timeout.

    Args:
        command: the program and its arguments; a line for the command processor on Windows.
        cwd: its working directory.
        env: its environment.
        timeout_s: seconds after which the whole process group gets TERM; 0 means never.
        grace_s: seconds after which it gets KILL then.
        started: told the number of the process; by itself, before it becomes the program, so that
            there is no moment at which the program runs and nobody has been told.

    Raises:
        OSError: it could not be started.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **processes.group_options(started),
    )
    assert process.stdout is not None
    if sys.platform == "win32":
        started(process.pid)
    tail = Tail()
    reader = threading.Thread(target=_read, args=(process.stdout, tail), daemon=True)
    reader.start()
    ended = _watch(process)
    timed_out = not ended.wait(timeout_s or None)
    if timed_out:
        _stop(process, ended, grace_s)
    # Reaping only now: until here the number of the group could not become another's.
    exit_code = processes.exit_code_of(process.wait()) if ended.is_set() else None
    reader.join(LAST_WORDS_S)
    return Ended(exit_code, timed_out, *tail.text(), reader)


def _watch(process: subprocess.Popen[bytes]) -> threading.Event:
    ended = threading.Event()

    def wait() -> None:
        processes.await_end(process)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def _stop(process: subprocess.Popen[bytes], ended: threading.Event, grace_s: float) -> None:
    processes.end_group(process, force=False)
    ended.wait(grace_s)
    processes.end_group(process, force=True)
    ended.wait(grace_s)  # a process that waits for a dead disk does not even die of KILL


def _read(pipe: IO[bytes], tail: Tail) -> None:
    with pipe:
        while piece := os.read(pipe.fileno(), _PIECE):
            tail.add(piece)
