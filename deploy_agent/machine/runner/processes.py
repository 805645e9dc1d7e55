"""What differs between systems about processes: groups, sessions, detaching."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy_agent.domain.outcome import SIGNAL_BASE
from deploy_agent.machine.runner.scope import scope_command

UMASK = 0o022  # an agent's own is stricter, and programs expect this one

# What systemd tells a service about itself; a program that believes it would speak for the agent.
_SERVICE_ONLY = {
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "MAINPID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(inherited: Mapping[str, str], install_path: Path) -> dict[str, str]:
    """Return the environment of an action: see the package's docstring."""
    made = {name: value for name, value in inherited.items() if name not in _SERVICE_ONLY}
    made["INSTALL_PATH"] = str(install_path)
    if sys.platform != "win32":
        made.setdefault("PATH", _PATH)
        made.setdefault("HOME", os.path.expanduser("~"))  # noqa: PTH111 - from the user database
    return made


if sys.platform == "win32":

    def spawn_runner(command: Sequence[str], env: Mapping[str, str], log: int, lock: int) -> None:
        """Start the runner, tied to nothing of ours; it takes the lock itself.

        Raises:
            OSError: it did not start.
        """
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            _popen(command, env, log, flags | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:
            # The agent is in a job that nobody may leave, as under some task schedulers. The runner
            # starts inside it, and ends with it.
            _popen(command, env, log, flags)

    def _popen(command: Sequence[str], env: Mapping[str, str], log: int, flags: int) -> None:
        subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            creationflags=flags,
        )

    def group_options(started: Callable[[int], None]) -> dict[str, Any]:
        """Return what makes a program the head of a group that can be ended."""
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}

    def await_end(process: subprocess.Popen[bytes]) -> None:
        """Return when `process` has ended."""
        process.wait()

    def end_group(process: subprocess.Popen[bytes], *, force: bool) -> None:
        """Ask `process` and what it started to end; with `force` end them."""
        command = ["taskkill", "/T", "/PID", str(process.pid)]
        subprocess.run([*command, "/F"] if force else command, check=False, capture_output=True)

else:

    def spawn_runner(command: Sequence[str], env: Mapping[str, str], log: int, lock: int) -> None:
        """Start the runner in a session and, under systemd, a scope of its own.

        It gets the descriptor `lock`, forks once more, and its first process ends, so that init
        looks after the runner and the agent has no child left to wait for. A first process that
        ends with another status than 0 has run nothing. One that was killed may have; then the job
        was taken, or is still there.

        Raises:
            OSError: it did not start.
        """
        scope = scope_command(f"Tranche: the action in {command[-2]}")
        status = _first_process([*scope, *command], env, log, lock)
        if status != 0 and scope:
            _warn(f"systemd gave the action no scope (status {status}); it runs without")
            status = _first_process(command, env, log, lock)
        if status > 0:
            raise OSError(0, f"the runner ended at once with status {status}")

    def _warn(text: str) -> None:
        import logging  # the runner imports this file too, has no log and has to start fast

        logging.getLogger(__name__).warning(text)

    def _first_process(command: Sequence[str], env: Mapping[str, str], log: int, lock: int) -> int:
        return subprocess.Popen(
            command,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
        ).wait()

    def group_options(started: Callable[[int], None]) -> dict[str, Any]:
        """Return what makes a program the head of a group that can be ended.

        Args:
            started: told its number, in the new process; the lock is held until it has been.
        """
        # The runner has one thread then, so the new process may do what it wants.
        told = {"preexec_fn": lambda: started(os.getpid())}
        return {"start_new_session": True, "umask": UMASK, **told}

    def await_end(process: subprocess.Popen[bytes]) -> None:
        """Return when `process` has ended.

        Where the system can do that it is left a zombie: until somebody reaps it, its number, and
        so its group's, is nobody else's.
        """
        if sys.platform == "linux":
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:
            process.wait()

    def end_group(process: subprocess.Popen[bytes], *, force: bool) -> None:
        """Ask `process` and its whole group to end; with `force` end them."""
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)


def exit_code_of(returncode: int) -> int:
    """Return an exit code as people know it: 128 + s where signal s ended the program."""
    return SIGNAL_BASE - returncode if returncode < 0 and sys.platform != "win32" else returncode
