"""Agents by the hundred: ``python -m tests.support.fork_server``.

A process that has imported everything forks an agent for each line on its standard input, and
answers with a line when that has ended. An agent is the program ``deploy-agent`` from its entry
point on; around its writes, messages and starts its moments are counted here, from outside, and at
the one that the line names it kills itself with SIGKILL.

Shape: {"arguments": ["once", ...], "kill_at": 17, "moments": "/tmp/x/moments", "log": "/tmp/x/log",
"runner_dies": "/tmp/x/runner 3"}
answered {"status": -9}
"""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import dying_runner
from tests.support.repository import ROOT

_life: dict[str, Any] = {"number": 0, "kill_at": 0, "moments": -1}


class Agents:
    """The fork server as its client sees it; a context."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def run(
        self,
        *arguments: str,
        kill_at: int | str,
        moments: Path,
        log: Path,
        runner_dies: str = "",
    ) -> int:
        """Run an agent to its end; its exit status, or the signal that ended it below 0.

        ``kill_at`` is the number or the name of its last moment, 0 for none; ``runner_dies`` says
        when its runner ends, as dying_runner reads it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {
            "arguments": arguments,
            "kill_at": kill_at,
            "moments": str(moments),
            "log": str(log),
            "runner_dies": runner_dies,
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline())["status"])


def _moment(what: str) -> None:
    _life["number"] += 1
    os.write(_life["moments"], f"{what}\n".encode())
    if _life["kill_at"] in (_life["number"], what):
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(owner: Any, name: str, of: Callable[..., object] = lambda *_: "") -> None:
    """Make moments before and after calls of a function; ``of`` tells of what they are."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*arguments: Any, **named: Any) -> Any:
        what = f"{name.strip('_')} {of(*arguments)}".strip()
        _moment(f"before {what}")
        result = original(*arguments, **named)
        _moment(f"after {what}")
        return result

    setattr(owner, name, watched)


def _watch_everything() -> None:
    from deploy_agent.machine import runner
    from deploy_agent.machine.disk import Disk
    from deploy_agent.machine.runner import client
    from deploy_agent.machine.transport import HttpTransport
    from deploy_agent.services import setup

    for name in ("create", "make_folder", "put", "append", "remove", "remove_folder"):
        _watch(Disk, name, lambda _, path, *rest: path.name)
    _watch(Disk, "rename", lambda _, source, target: target.name)
    for name in ("sync", "sync_folder"):
        _watch(Disk, name)
    for name in ("post", "post_json"):
        _watch(HttpTransport, name)
    for name in ("read", "fetch"):
        _watch(HttpTransport, name, lambda _, url, *rest: url.rpartition("/")[2])
    for name in ("unpack", "empty_tree"):
        _watch(setup, name)
    _watch(client, "write_job")
    _watch(client, "_spawn")
    _watch(client, "withdraw_job")
    for name in ("prepare", "start"):
        _watch(runner, name)


def _agent(wanted: dict[str, Any]) -> None:
    from deploy_agent.cli import main
    from deploy_agent.machine.runner import client

    if wanted["runner_dies"]:
        os.environ[dying_runner.VARIABLE] = wanted["runner_dies"]
        client._MAIN = Path(dying_runner.__file__)
    log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    _life["moments"] = os.open(wanted["moments"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    _life["kill_at"] = wanted["kill_at"]
    status = 70
    try:
        main(wanted["arguments"], prog_name="deploy-agent")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    # So that no agent has to.
    import psutil

    import deploy_agent.cli
    import deploy_agent.machine.transport
    import deploy_agent.services.once

    assert psutil
    assert deploy_agent.services.once
    _watch_everything()
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            _agent(json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve()
