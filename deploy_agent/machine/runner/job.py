"""The files between the agent and the runner: a job on the way in, `result.json` back.

A job's name says what became of it: it is `waiting.json` until the runner takes it by making it
`job.json`, before it starts anything, or the agent withdraws it by making it `void.json`. A rename
has one winner, so nothing starts after that. Only a file that is there proves that nothing was run:
an action may remove every trace of itself.
"""

import errno
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from deploy_agent.domain.errors import OutcomeUnknown
from deploy_agent.domain.outcome import Outcome
from deploy_agent.wire.terms import Action

WAITING = "waiting.json"
JOB = "job.json"
VOID = "void.json"
RESULT = "result.json"
FULL = (errno.ENOSPC, errno.EDQUOT)
_PART = ".part"
_RESERVE = 16 * 1024  # bytes of disk kept for a result without output
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


# What the runner imports uses no dataclasses: they bring what takes it as long as all the rest.
class Job(NamedTuple):
    """One run of a package's action.

    Attributes:
        action: what is done.
        target: NAME, COMMAND or PATH, as the info file has it.
        tree: the unpacked archive; an existing folder, perhaps an empty one.
        install_path: the agent's folder, for the word INSTALL_PATH.
        timeout_s: the execution timeout in seconds; 0 means none.
        grace_s: seconds between TERM and KILL at a timeout.
    """

    action: Action
    target: str
    tree: Path
    install_path: Path
    timeout_s: float = 0
    grace_s: float = 10


def write_job(folder: Path, job: Job) -> None:
    """Write `waiting.json`, readable by nobody else: commands hold secrets.

    Raises:
        OSError: it could not be written.
    """
    content = {
        "action": job.action.value,
        "target": job.target,
        "tree": str(job.tree),
        "install_path": str(job.install_path),
        "timeout_s": job.timeout_s,
        "grace_s": job.grace_s,
    }
    path = folder / WAITING
    part = path.with_suffix(_PART)
    descriptor = os.open(part, _NEW_FILE, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(content).encode())
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    _sync_folder(folder)


def take_job(folder: Path) -> Job:
    """Take the job that waits in `folder`; it is on the disk that it was taken.

    Raises:
        OSError: there is none, or it was withdrawn.
        ValueError: it is no job.
        LookupError: it is no job.
    """
    (folder / WAITING).rename(folder / JOB)
    _sync_folder(folder)
    return read_job(folder)


def withdraw_job(folder: Path) -> bool:
    """See to it that no runner takes the job of `folder` any more; whether none has."""
    try:
        (folder / WAITING).rename(folder / VOID)
        _sync_folder(folder)
    except OSError:
        return (folder / VOID).exists()
    return True


def read_job(folder: Path) -> Job:
    """Read `job.json`.

    Raises:
        OSError: it is not there.
        ValueError: it is no job.
        LookupError: it is no job.
    """
    content = json.loads((folder / JOB).read_bytes())
    return Job(
        action=Action(content["action"]),
        target=str(content["target"]),
        tree=Path(content["tree"]),
        install_path=Path(content["install_path"]),
        timeout_s=float(content["timeout_s"]),
        grace_s=float(content["grace_s"]),
    )


class ResultFile:
    """`result.json` in the making.

    It takes its space on the disk before the action starts, so that an action that fills the
    disk still gets its result, if need be without output.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULT
        self._part = self._path.with_suffix(_PART)
        self._descriptor = os.open(self._part, _NEW_FILE, 0o600)
        if hasattr(os, "posix_fallocate"):
            with suppress(OSError):  # a full disk or a file system without it
                os.posix_fallocate(self._descriptor, 0, _RESERVE)

    def write(self, outcome: Outcome) -> None:
        """Make `outcome` the result, whole and on the disk.

        Raises:
            OSError: not even a result without output could be written.
        """
        try:
            self._fill(outcome_to_json(outcome))
        except OSError:
            self._fill(outcome_to_json(outcome, with_output=False))
        os.close(self._descriptor)
        self._part.replace(self._path)
        _sync_folder(self._path.parent)

    def _fill(self, content: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.ftruncate(self._descriptor, len(content))
        os.fsync(self._descriptor)


def outcome_to_json(outcome: Outcome, *, with_output: bool = True) -> bytes:
    """Return `outcome` as the bytes of `result.json`.

    Shape: {"started": true, "started_at": "2026-11-21T10:00:00+00:00", "exit_code": 0, ...}
    """
    content = {
        "started": outcome.started,
        "started_at": outcome.started_at.isoformat(),
        "ended_at": outcome.ended_at.isoformat(),
        "exit_code": outcome.exit_code,
        "timed_out": outcome.timed_out,
        "code": outcome.code,
        "error": outcome.error,
        "output": outcome.output if with_output else "",
        "truncated": outcome.truncated or not with_output,
    }
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def read_result(folder: Path) -> Outcome | None:
    """Return what `result.json` says, None when there is none.

    Raises:
        OutcomeUnknown: it is there and cannot be understood.
    """
    try:
        content = json.loads((folder / RESULT).read_bytes())
        exit_code = content["exit_code"]
        return Outcome(
            started=bool(content["started"]),
            started_at=datetime.fromisoformat(content["started_at"]),
            ended_at=datetime.fromisoformat(content["ended_at"]),
            exit_code=None if exit_code is None else int(exit_code),
            timed_out=bool(content["timed_out"]),
            code=str(content["code"]),
            error=str(content["error"]),
            output=str(content["output"]),
            truncated=bool(content["truncated"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OutcomeUnknown(
            f"the result of the action in '{folder / RESULT}' cannot be read: {error}",
            "Look on the computer what the action did, then assign the package again",
        ) from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders; its renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
