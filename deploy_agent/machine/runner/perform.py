"""Does what a job says, and says how it went; never raises."""

import errno
import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from deploy_agent.domain.errors import (
    ActionFailed,
    ActionTimeout,
    BadInfo,
    OutcomeUnknown,
    PackageError,
)
from deploy_agent.domain.outcome import Outcome
from deploy_agent.machine.runner import orphan
from deploy_agent.machine.runner.actions import execute_command, launch_command
from deploy_agent.machine.runner.copying import store
from deploy_agent.machine.runner.expand import expand_path
from deploy_agent.machine.runner.job import Job
from deploy_agent.machine.runner.supervise import run
from deploy_agent.wire.terms import Action

WINDOWS = os.name == "nt"


class Performed(NamedTuple):
    """What came of a job.

    Attributes:
        outcome: how it ended.
        reader: reads what the action's remaining processes write, if there are any.
    """

    outcome: Outcome
    reader: threading.Thread | None = None


def perform(job: Job, env: Mapping[str, str], folder: Path) -> Performed:
    """Do what `job` says.

    Args:
        job: what to do.
        env: the environment of the action, from which variables get their values.
        folder: of the run; it is noted there which process the action is.
    """
    started_at = datetime.now(UTC)
    try:
        if job.action is Action.STORE:
            _store(job, env)
            return Performed(Outcome(True, started_at, datetime.now(UTC), exit_code=0))
        return _run(job, env, started_at, folder)
    except ActionTimeout as error:
        now = datetime.now(UTC)
        return Performed(Outcome(True, started_at, now, timed_out=True, error=str(error)))
    except PackageError as error:
        now = datetime.now(UTC)
        return Performed(Outcome(False, started_at, now, code=error.code, error=str(error)))
    except Exception as error:  # a fault of ours must not leave the package without a result
        text = f"the runner failed: {type(error).__name__}: {error}"
        now = datetime.now(UTC)
        return Performed(Outcome(True, started_at, now, code=OutcomeUnknown.code, error=text))


def _run(job: Job, env: Mapping[str, str], started_at: datetime, folder: Path) -> Performed:
    command = (
        launch_command(job, env, windows=WINDOWS)
        if job.action is Action.LAUNCH
        else execute_command(job, windows=WINDOWS)
    )
    try:
        ended = run(
            command,
            cwd=job.tree,
            env=env,
            timeout_s=job.timeout_s,
            grace_s=job.grace_s,
            started=partial(orphan.note, folder),
        )
    except (OSError, ValueError) as error:
        raise _not_started(error, job) from error
    outcome = Outcome(
        started=True,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        exit_code=ended.exit_code,
        timed_out=ended.timed_out,
        error=f"stopped after {job.timeout_s:g} s" if ended.timed_out else "",
        output=ended.output,
        truncated=ended.truncated,
    )
    return Performed(outcome, ended.reader)


def _store(job: Job, env: Mapping[str, str]) -> None:
    path = expand_path(job.target, env, job.install_path, windows=WINDOWS)
    if not Path(path).is_absolute() or "\0" in path:
        raise BadInfo(
            f"PATH is '{path}', which is no absolute folder here",
            field="PATH",
            hint="Build the package again with an absolute PATH",
        )
    deadline = time.monotonic() + job.timeout_s if job.timeout_s else None

    def check() -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise ActionTimeout(f"stopped after {job.timeout_s:g} s; some files are copied")

    store(job.tree, Path(path), check)


def _not_started(error: OSError | ValueError, job: Job) -> ActionFailed:
    reason = getattr(error, "strerror", None) or str(error)
    if not job.tree.is_dir():
        return ActionFailed(f"the folder '{job.tree}' is gone", "Assign the package again")
    hint = "Look whether the program is made for this computer"
    number = getattr(error, "errno", None)
    if number in (errno.ENOEXEC, errno.ENOENT):
        hint += "; the first line of a script names its interpreter, such as #!/bin/sh"
    elif number == errno.EACCES:
        hint = f"Look whether the file system of '{job.tree}' is mounted noexec"
    return ActionFailed(f"'{job.target}' could not be started: {reason}", hint)
