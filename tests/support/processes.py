"""Starting and ending the processes that tests drive: each by its own pid, with its tree."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

#: The programs of this environment, whether or not it was activated.
BIN = Path(sys.executable).parent


def program(*names: str) -> str:
    """The path of a program, by the first name that is there; without any the test is skipped."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin:/usr/local/sbin"
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    pytest.skip(f"{names[0]} is not installed: sh tests/run.sh installs it")


def tree(pid: int) -> list[psutil.Process]:
    """The process and everything it started that still lives."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_tree(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End the process and its children at once, as a power cut would."""
    for member in reversed(tree(process.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait(10)


def stop(process: "subprocess.Popen[str] | subprocess.Popen[bytes]", seconds: float = 15) -> int:
    """Ask the process to end (SIGTERM), insist after the deadline; its exit status."""
    family = tree(process.pid)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_tree(process)
        raise AssertionError(
            f"pid {process.pid} did not end within {seconds} s of SIGTERM"
        ) from None
    finally:
        for member in family[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if member.is_running():
                    member.kill()
