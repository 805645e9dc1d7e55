"""The runner as a process: it outlives whoever started it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent.domain.errors import ActionFailed, OutcomeUnknown, OutOfSpace
from deploy_agent.domain.outcome import Outcome, judge
from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.wire.terms import Action
from tests.integration.runner.packages import (
    ROOT,
    Start,
    begin,
    children,
    root_only,
    runner_of,
    runners,
)
from tests.support.waiting import wait_until


def test_running_then_ended(folder: Path, start: Start) -> None:
    go = folder / "go"
    start(Action.EXECUTE, f"while [ ! -e {go} ]; do sleep 0.02; done")
    assert runner.is_running(folder)
    assert runner.outcome(folder) is None
    assert runner.wait(folder, 0) is None
    assert runner.wait(folder, 0.05) is None
    job = Job(Action.EXECUTE, "true", folder / "tree", folder)
    for again in (runner.prepare, runner.start):
        with pytest.raises(ActionFailed, match="still runs"):
            again(job, folder)
    go.touch()
    assert runner.wait(folder) == runner.outcome(folder)
    wait_until(lambda: not runner.is_running(folder), "the lock goes after the result")


@pytest.mark.parametrize("left", ["job.json", "action.json", "result.json"])
def test_nothing_starts_where_something_was_started(
    folder: Path, run: Callable[..., Outcome], left: str
) -> None:
    assert run(Action.EXECUTE, "exit 1").exit_code == 1
    wait_until(lambda: not runner.is_running(folder), "the lock goes after the result")
    for name in {"job.json", "action.json", "result.json"} - {left}:
        (folder / name).unlink()
    with pytest.raises(OutcomeUnknown, match=r"was started in .* before"):
        runner.prepare(Job(Action.EXECUTE, "true", folder / "tree", folder), folder)


def test_what_waits_can_be_withdrawn_and_starts_no_more(folder: Path) -> None:
    job = Job(Action.EXECUTE, f"touch {folder}/ran", folder / "tree", folder)
    runner.prepare(job, folder)
    assert not runner.is_running(folder)
    assert runner.withdraw(folder)
    assert runner.withdraw(folder), "it stays so"
    runner.start(job, folder)
    with pytest.raises(OutcomeUnknown, match="no job waits"):
        runner.wait(folder, 20)
    assert runner.withdraw(folder)
    assert not (folder / "ran").exists()


def test_what_was_taken_cannot_be_withdrawn(folder: Path, run: Callable[..., Outcome]) -> None:
    run(Action.EXECUTE, "true")
    assert not runner.withdraw(folder)
    for name in ("job.json", "action.json", "result.json", "run.lock", "runner.log"):
        (folder / name).unlink()
        assert not runner.withdraw(folder), f"an action that removes {name} was not run"


AGENT = """
import sys
from pathlib import Path
from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.wire.terms import Action
folder = Path(sys.argv[1])
job = Job(Action.EXECUTE, sys.argv[2], folder / "tree", Path("/"))
runner.prepare(job, folder)
runner.start(job, folder)
print("started", flush=True)
sys.stdin.read()
"""


def test_the_action_outlives_the_agent(folder: Path) -> None:
    """The agent is killed with everything in its session, as a service manager would do it."""
    go = folder / "go"
    command = f"while [ ! -e {go} ]; do sleep 0.02; done; echo done; exit 4"
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, folder, command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"started\n"
        os.killpg(agent.pid, signal.SIGKILL)
    assert runner.is_running(folder)
    go.touch()
    found = runner.wait(folder, 20)
    assert found is not None
    assert (found.exit_code, found.output) == (4, "done\n")


def test_the_agent_has_no_child_to_wait_for(folder: Path, start: Start) -> None:
    start(Action.EXECUTE, "sleep 0.1")
    assert not set(children(os.getpid())) & set(runners(folder))
    assert runner.wait(folder, 20) is not None


def test_polite_signals_do_not_stop_the_runner(folder: Path, start: Start) -> None:
    go = folder / "go"
    start(Action.EXECUTE, f"while [ ! -e {go} ]; do sleep 0.02; done")
    process = runner_of(folder, "sleep")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(process, number)
    go.touch()
    found = runner.wait(folder, 20)
    assert found is not None
    assert found.exit_code == 0


def orphan_of(folder: Path, start: Start, **options: float) -> int:
    """An action whose runner was killed."""
    start(Action.EXECUTE, "trap '' TERM; sleep 64 & wait; sleep 64", **options)
    process = runner_of(folder, "sleep")
    (action,) = children(process)
    wait_until(lambda: (folder / "action.json").exists(), "it is noted")
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not runner.is_running(folder), "its runner is gone")
    return action


def test_an_action_without_its_runner_is_not_over(folder: Path, start: Start) -> None:
    action = orphan_of(folder, start, timeout_s=0)
    assert runner.wait(folder, 0) is None
    assert runner.wait(folder, 0.05) is None
    os.killpg(action, signal.SIGKILL)
    with pytest.raises(OutcomeUnknown) as caught:
        runner.wait(folder, 20)
    assert caught.value.code == "ERR_DONE_FAILED"


def test_an_action_without_its_runner_has_its_timeout(folder: Path, start: Start) -> None:
    action = orphan_of(folder, start, timeout_s=3, grace_s=0.2)
    with pytest.raises(OutcomeUnknown):
        runner.wait(folder, 20)
    assert not Path(f"/proc/{action}").exists() or children(action) == []


def test_another_process_of_that_number_is_not_waited_for(folder: Path, start: Start) -> None:
    action = orphan_of(folder, start, timeout_s=0)
    known = json.loads((folder / "action.json").read_text())
    os.killpg(action, signal.SIGKILL)
    (folder / "action.json").write_text(json.dumps({**known, "pid": os.getpid()}))
    with pytest.raises(OutcomeUnknown):
        runner.wait(folder, 20)


def test_nothing_that_lies_around_is_imported(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path, folder, folder / "tree"):
        (place / "json.py").write_text("raise SystemExit('evil')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert judge(run(Action.EXECUTE, "true")).code == "SUCCESS"


def test_the_runner_is_small(folder: Path, start: Start) -> None:
    go = folder / "go"
    start(Action.EXECUTE, f"head -c 3000000 /dev/zero; while [ ! -e {go} ]; do sleep 0.02; done")
    process = runner_of(folder, "sleep")

    def rss_kib() -> int:
        status = Path(f"/proc/{process}/status").read_text()
        return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS"))

    assert rss_kib() < 20 * 1024
    go.touch()
    assert runner.wait(folder, 20) is not None


def test_a_runner_that_cannot_start(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ActionFailed, match="No such file"):
        start(Action.EXECUTE, "true")
    assert not runner.is_running(folder)


def test_a_runner_that_breaks_says_why(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no such wheel')")
    monkeypatch.setattr("deploy_agent.machine.runner.client._MAIN", broken)
    with pytest.raises(ActionFailed, match="no such wheel"):
        start(Action.EXECUTE, "true")


def test_files_are_hidden(folder: Path, run: Callable[..., Outcome]) -> None:
    run(Action.EXECUTE, "echo secret")
    for name in ("job.json", "result.json", "run.lock", "runner.log"):
        assert os.stat(folder / name).st_mode & 0o077 == 0
    assert json.loads((folder / "result.json").read_text())["output"] == "secret\n"


@root_only
def test_an_action_that_fills_the_disk_still_has_its_result(small_disk: Path) -> None:
    folder = small_disk / "1800000001"
    (folder / "tree").mkdir(parents=True)
    command = "seq 20000; cat /dev/zero > full; exit 7"
    begin(Job(Action.EXECUTE, command, folder / "tree", folder), folder)
    found = runner.wait(folder, 20)
    assert found is not None
    assert (found.exit_code, found.output, found.truncated) == (7, "", True)


@root_only
def test_a_full_disk_starts_nothing(small_disk: Path) -> None:
    folder = small_disk / "1800000001"
    (folder / "tree").mkdir(parents=True)
    subprocess.run(["sh", "-c", f"cat /dev/zero > {small_disk}/full"], check=False)
    with pytest.raises(OutOfSpace):
        begin(Job(Action.EXECUTE, "touch ran", folder / "tree", folder), folder)
    assert not (folder / "tree/ran").exists()
