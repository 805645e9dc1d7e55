"""LAUNCH and EXECUTE, run for real."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent.domain.outcome import Outcome, judge
from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.wire.terms import Action
from tests.integration.runner.packages import alive, begin, root_only, runners, script
from tests.support.waiting import wait_until


def test_launch(folder: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWO_WORDS", "two words")
    script(folder, "setup.sh", "#!/bin/sh\npwd\nprintf '[%s]' \"$@\"\nexit 3\n")
    outcome = run(Action.LAUNCH, "setup.sh 'a b' $TWO_WORDS $UNKNOWN_NAME INSTALL_PATH")
    tree = folder / "tree"
    assert outcome.output == f"{tree}\n[a b][two words][$UNKNOWN_NAME][INSTALL_PATH]"
    assert (outcome.started, outcome.exit_code, outcome.truncated) == (True, 3, False)
    assert judge(outcome).code == "ERR_EXIT_CODE_3"
    assert outcome.started_at <= outcome.ended_at
    assert outcome.started_at.utcoffset() is not None


def test_execute(
    folder: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRICKY", "; echo no")
    outcome = run(
        Action.EXECUTE, 'echo out; echo err >&2; echo "$TRICKY ${TRICKY}"; pwd; umask; cat; exit 0'
    )
    assert outcome.output == f"out\nerr\n; echo no ; echo no\n{folder / 'tree'}\n0022\n"
    assert judge(outcome).code == "SUCCESS"


def test_the_environment_of_an_action(
    folder: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_AGENT", "é")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.delenv("HOME")
    outcome = run(Action.EXECUTE, "env; ps -o pid=,pgid=,sid=,tty= -p $$; ls -l /proc/$$/fd")
    lines = outcome.output.splitlines()
    assert {"OF_THE_AGENT=é", "PYTHONPATH=/somewhere"} <= set(lines)
    assert f"INSTALL_PATH={folder.parent / 'agent'}" in lines
    assert any(line.startswith("HOME=/") for line in lines)
    assert not any(line.startswith("NOTIFY_SOCKET=") for line in lines)
    process = next(line.split() for line in lines if line.endswith("?"))
    assert process[0] == process[1] == process[2]
    assert not any("run.lock" in line or "result" in line for line in lines)
    assert any(line.endswith("/dev/null") for line in lines)


def test_exit_by_signal(folder: Path, run: Callable[..., Outcome]) -> None:
    outcome = run(Action.EXECUTE, "kill -SEGV $$")
    assert outcome.exit_code == 128 + signal.SIGSEGV
    assert judge(outcome).code == "ERR_EXIT_CODE_139"


def test_signals_are_at_their_defaults(folder: Path, run: Callable[..., Outcome]) -> None:
    """An ignored signal would stay ignored in everything that a package starts."""
    was = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as in a shell's background
    try:
        outcome = run(Action.EXECUTE, "grep -E 'SigIgn|SigBlk' /proc/self/status")
    finally:
        signal.signal(signal.SIGQUIT, was)
    assert outcome.output.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x7fELF but not really", "Exec format error"),
        (b"echo a script without an interpreter\n", "Exec format error"),
        (b"#!/no/such/interpreter\n", "No such file"),
        (b"", "Exec format error"),
    ],
)
def test_a_format_that_the_system_cannot_run(
    content: bytes, reason: str, folder: Path, run: Callable[..., Outcome]
) -> None:
    (folder / "tree/setup").write_bytes(content)
    outcome = run(Action.LAUNCH, "setup")
    assert (outcome.started, outcome.exit_code) == (False, None)
    assert judge(outcome).code == "ERR_EXECUTE"
    assert reason in outcome.error
    assert "#!/bin/sh" in outcome.error


@pytest.mark.parametrize(
    ("action", "target", "code"),
    [
        (Action.LAUNCH, "missing.sh", "ERR_EXECUTE"),
        (Action.LAUNCH, "", "ERR_EXECUTE_PACK"),
        (Action.LAUNCH, "sub/setup.sh", "ERR_BAD_PARAM"),
        (Action.EXECUTE, " ", "ERR_EXECUTE_PACK"),
        (Action.EXECUTE, "a\0b", "ERR_EXECUTE"),
        (Action.STORE, "", "ERR_BAD_PARAM"),
        (Action.STORE, "relative/path", "ERR_BAD_PARAM"),
        (Action.STORE, "/tmp/a\0b", "ERR_BAD_PARAM"),
        (Action.STORE, "/dev/null/x", "ERR_EXECUTE"),
    ],
)
def test_what_cannot_be_done_has_its_code(
    action: Action, target: str, code: str, folder: Path, run: Callable[..., Outcome]
) -> None:
    script(folder, "file", "x")
    outcome = run(action, target)
    assert not outcome.started
    assert judge(outcome).code == code
    assert outcome.error


def test_a_tree_that_is_gone(folder: Path, run: Callable[..., Outcome]) -> None:
    (folder / "tree").rmdir()
    outcome = run(Action.EXECUTE, "true")
    assert judge(outcome).code == "ERR_EXECUTE"
    assert "is gone" in outcome.error


def test_much_output_is_bounded(folder: Path, run: Callable[..., Outcome]) -> None:
    outcome = run(Action.EXECUTE, "head -c 1000000 /dev/zero | tr '\\0' é; printf '\\377end'")
    assert outcome.truncated
    assert len(outcome.output.encode()) <= 3 * 64 * 1024
    assert outcome.output.endswith("\ufffdend")


def test_a_timeout_ends_the_whole_group(folder: Path, run: Callable[..., Outcome]) -> None:
    child = folder / "child"
    outcome = run(
        Action.EXECUTE,
        f"sleep 61 & echo $! > {child}; echo begun; trap 'echo asked; exit 5' TERM; wait",
        timeout_s=0.3,
        grace_s=5,
    )
    assert outcome.timed_out
    assert judge(outcome).code == "ERR_EXECUTE_TIMEOUT"
    assert outcome.output == "begun\nasked\n"
    assert "0.3 s" in outcome.error
    wait_until(lambda: not alive(int(child.read_text())), "the child is gone")


def test_a_program_that_ignores_term_is_killed(folder: Path, run: Callable[..., Outcome]) -> None:
    child = folder / "child"
    began = time.monotonic()
    outcome = run(
        Action.EXECUTE,
        f"trap '' TERM; (trap '' TERM; sleep 62) & echo $! > {child}; sleep 63",
        timeout_s=0.2,
        grace_s=0.3,
    )
    assert outcome.timed_out
    assert time.monotonic() - began < 10
    wait_until(lambda: not alive(int(child.read_text())), "the child is gone")


def test_what_keeps_running_keeps_running(folder: Path, run: Callable[..., Outcome]) -> None:
    """A service that the package starts holds the output open; that holds nobody up."""
    proof = folder / "proof"
    go = folder / "go"
    outcome = run(
        Action.EXECUTE,
        f"(while [ ! -e {go} ]; do sleep 0.02; done; echo late; echo late; echo ok > {proof}) &"
        " echo started",
    )
    assert judge(outcome).code == "SUCCESS"
    assert outcome.output == "started\n"
    assert not runner.is_running(folder)
    go.touch()
    wait_until(proof.exists, "the service survives writing to its output")
    wait_until(lambda: not runners(folder), "the runner goes with the last writer")


def test_zero_is_no_timeout(folder: Path, run: Callable[..., Outcome]) -> None:
    assert judge(run(Action.EXECUTE, "sleep 0.2", timeout_s=0)).code == "SUCCESS"


@root_only
def test_a_file_system_that_runs_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,noexec", "none", disk], check=True)
    try:
        (disk / "tree").mkdir()
        script(disk, "setup.sh", "#!/bin/sh\n")
        begin(Job(Action.LAUNCH, "setup.sh", disk / "tree", disk), disk)
        found = runner.wait(disk, 20)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert found is not None
    assert judge(found).code == "ERR_EXECUTE"
    assert "noexec" in found.error
