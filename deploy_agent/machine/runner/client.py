"""The agent's side: start a runner, look for it, wait for it, read what it left."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from deploy_agent.domain.errors import ActionFailed, OutcomeUnknown, OutOfSpace
from deploy_agent.domain.outcome import Outcome
from deploy_agent.machine.runner import lock, orphan, processes
from deploy_agent.machine.runner.job import (
    FULL,
    JOB,
    RESULT,
    Job,
    read_job,
    read_result,
    withdraw_job,
    write_job,
)

LOG = "runner.log"  # what Python says when the runner itself breaks
START_S = 30  # how long a runner may take to lock its file, where it does so itself
TRACES = (JOB, orphan.ACTION, RESULT)  # of a start

_FIRST_LOOK_S = 0.005
_LONGEST_LOOK_S = 0.25
_MAIN = Path(__file__).with_name("__main__.py")


def prepare(job: Job, folder: Path) -> None:
    """Write down what is to be run, before the intent to run it is saved.

    From then on `withdraw` can prove that it was not.

    Args:
        job: what to run.
        folder: of this run alone, existing; the runner's files are kept there.

    Raises:
        OutcomeUnknown: something was started there that nobody knows of any more.
        ActionFailed: it cannot be written, or an action runs there.
        OutOfSpace: the disk is too full to write it.
    """
    held = _own(folder)
    try:
        if any((folder / each).exists() for each in TRACES):
            raise OutcomeUnknown(
                f"an action was started in '{folder}' before, and the agent's record knows nothing"
                " of it",
                "Look on the computer what the action did, then assign the package again",
            )
        write_job(folder, job)
    except OSError as error:
        raise _not_started(error, folder) from error
    finally:
        os.close(held)


def start(job: Job, folder: Path) -> None:
    """Start `job` in a runner that outlives this process; return as soon as it has an owner.

    Args:
        job: what was prepared.
        folder: where.

    Raises:
        ActionFailed: it could not be started, or an earlier one still runs. Nothing was run.
        OutOfSpace: the disk is too full to start it. Nothing was run.
    """
    held = _own(folder)
    try:
        _spawn(job, folder, held)
    except OSError as error:
        if withdraw_job(folder):
            raise _not_started(error, folder) from error
    finally:
        os.close(held)
    if sys.platform == "win32":
        _await_owner(folder)


def withdraw(folder: Path) -> bool:
    """Return whether nothing of what was prepared in `folder` was run; then nothing will be."""
    return withdraw_job(folder)


def _own(folder: Path) -> int:
    """Return the lock of `folder`."""
    try:
        held = lock.take(folder)
    except OSError as error:
        raise _not_started(error, folder) from error
    if held is None:
        raise ActionFailed(f"an action still runs in '{folder}'", "Wait for its end")
    return held


def _not_started(error: OSError, folder: Path) -> ActionFailed | OutOfSpace:
    if error.errno in FULL:
        return OutOfSpace(
            f"the disk of '{folder}' is full: the action was not started",
            "Free some space and assign the package again",
        )
    return ActionFailed(
        f"the runner could not be started: {error.strerror}{_log_end(folder)}",
        "Look at the agent's folder and installation",
    )


def outcome(folder: Path) -> Outcome | None:
    """Return how the action in `folder` ended, None while nothing says so.

    Raises:
        OutcomeUnknown: the result is there and cannot be understood.
    """
    return read_result(folder)


def is_running(folder: Path) -> bool:
    """Return whether a runner works on `folder`: its result is to come."""
    return lock.is_held(folder)


def wait(folder: Path, timeout_s: float | None = None) -> Outcome | None:
    """Wait for the end of the action in `folder`.

    Args:
        folder: the package's.
        timeout_s: how long to wait, in seconds; None is for ever, 0 only looks.

    Returns:
        How it ended; None when it still runs after `timeout_s`.

    Raises:
        OutcomeUnknown: there is neither a runner nor a result that can be understood, and the
            action itself has ended.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause = _FIRST_LOOK_S
    while True:
        running = is_running(folder)  # first: the result is written before the lock goes
        found = outcome(folder)
        if found is not None:
            return found
        if not running and not _goes_on_alone(folder):
            raise OutcomeUnknown(
                "the action was started, and nothing is left that says how it ended"
                f"{_log_end(folder)}",
                "Look on the computer what the action did, then assign the package again",
            )
        left = pause if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK_S)


def _goes_on_alone(folder: Path) -> bool:
    """Whether the action lives though its runner is gone; it is ended when its time is over."""
    action = orphan.find(folder)
    if action is None:
        return False
    with suppress(OSError, ValueError, LookupError):
        job = read_job(folder)
        if job.timeout_s and action.age_s > job.timeout_s:
            action.end(force=action.age_s > job.timeout_s + job.grace_s)
    return True


def _spawn(job: Job, folder: Path, held: int) -> None:
    # Isolated and without site-packages: the runner needs the standard library and this package
    # alone, starts in half the time and cannot be led astray by what lies in a folder.
    command = [sys.executable, "-I", "-S", str(_MAIN), str(folder.resolve()), str(held)]
    env = processes.environment(os.environ, job.install_path)
    with (folder / LOG).open("wb") as log:
        (folder / LOG).chmod(0o600)
        processes.spawn_runner(command, env, log.fileno(), held)


def _await_owner(folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while not is_running(folder) and outcome(folder) is None:
        if time.monotonic() > deadline and withdraw_job(folder):
            raise ActionFailed(
                f"the runner did not start within {START_S} s{_log_end(folder)}",
                "Look at the agent's installation",
            )
        time.sleep(_FIRST_LOOK_S)


def _log_end(folder: Path) -> str:
    """Return the last line of the runner's own errors, ready to be appended to a message."""
    try:
        lines = (folder / LOG).read_bytes().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:200]})" if last else ""
