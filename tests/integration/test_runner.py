"""Actions run for real, in a process that outlives whoever started it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from deploy_agent.domain.errors import ActionFailed, OutcomeUnknown, OutOfSpace
from deploy_agent.domain.outcome import Outcome, judge
from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.wire.terms import Action
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


class Start(Protocol):
    def __call__(self, action: Action, target: str, **options: float) -> None: ...


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A package's folder with an empty tree; no runner is left behind in it."""
    made = tmp_path / "1800000001"
    (made / "tree").mkdir(parents=True)
    yield made
    for pid in runners(made):
        os.kill(pid, signal.SIGKILL)


def runners(folder: Path) -> list[int]:
    """The numbers of the runner processes of `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(folder) in arguments and any(b"/runner/" in word for word in arguments):
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def start(folder: Path) -> Start:
    def start(action: Action, target: str, **options: float) -> None:
        job = Job(action, target, folder / "tree", folder.parent / "agent", **options)
        runner.start(job, folder)

    return start


@pytest.fixture
def run(folder: Path, start: Start) -> Callable[..., Outcome]:
    def run(action: Action, target: str, **options: float) -> Outcome:
        start(action, target, **options)
        found = runner.wait(folder, 20)
        assert found is not None, "it did not end within 20 s"
        return found

    return run


def script(folder: Path, name: str, text: str) -> None:
    (folder / "tree" / name).write_text(text)


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
    outcome = run(Action.EXECUTE, "grep -E 'SigIgn|SigBlk' /proc/self/status")
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


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


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


def test_running_then_ended(folder: Path, start: Start) -> None:
    go = folder / "go"
    start(Action.EXECUTE, f"while [ ! -e {go} ]; do sleep 0.02; done")
    assert runner.is_running(folder)
    assert runner.outcome(folder) is None
    assert runner.wait(folder, 0) is None
    assert runner.wait(folder, 0.05) is None
    with pytest.raises(ActionFailed, match="still runs"):
        start(Action.EXECUTE, "true")
    with pytest.raises(ActionFailed, match="still runs"):
        runner.clear(folder)
    go.touch()
    assert runner.wait(folder) == runner.outcome(folder)
    wait_until(lambda: not runner.is_running(folder), "the lock goes after the result")


def test_a_second_run_forgets_the_first(folder: Path, run: Callable[..., Outcome]) -> None:
    assert run(Action.EXECUTE, "exit 1").exit_code == 1
    assert run(Action.EXECUTE, "exit 2").exit_code == 2
    runner.clear(folder)
    assert runner.outcome(folder) is None
    with pytest.raises(OutcomeUnknown):
        runner.wait(folder, 1)


AGENT = """
import sys
from pathlib import Path
from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.wire.terms import Action
folder = Path(sys.argv[1])
runner.start(Job(Action.EXECUTE, sys.argv[2], folder / "tree", Path("/")), folder)
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
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert not set(map(int, children)) & set(runners(folder))
    assert runner.wait(folder, 20) is not None


def test_polite_signals_do_not_stop_the_runner(folder: Path, start: Start) -> None:
    go = folder / "go"
    start(Action.EXECUTE, f"while [ ! -e {go} ]; do sleep 0.02; done")
    (process,) = runners(folder)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(process, number)
    go.touch()
    found = runner.wait(folder, 20)
    assert found is not None
    assert found.exit_code == 0


def test_a_killed_runner_leaves_an_unknown_outcome(folder: Path, start: Start) -> None:
    start(Action.EXECUTE, "exec sleep 64", timeout_s=0)
    (process,) = runners(folder)
    action = int(Path(f"/proc/{process}/task/{process}/children").read_text())
    try:
        os.kill(process, signal.SIGKILL)
        with pytest.raises(OutcomeUnknown) as caught:
            runner.wait(folder, 20)
        assert caught.value.code == "ERR_DONE_FAILED"
    finally:
        os.kill(action, signal.SIGKILL)


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
    (process,) = runners(folder)

    def rss_kib() -> int:
        status = Path(f"/proc/{process}/status").read_text()
        return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS"))

    wait_until(lambda: b"head" not in cmdlines(process), "the output is read")
    assert rss_kib() < 20 * 1024
    go.touch()
    assert runner.wait(folder, 20) is not None


def cmdlines(process: int) -> bytes:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return b" ".join(
        Path(f"/proc/{grandchild}/comm").read_bytes()
        for child in children
        for grandchild in Path(f"/proc/{child}/task/{child}/children").read_text().split()
    )


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


def store_tree(folder: Path) -> Path:
    tree = folder / "tree"
    (tree / "sub/.hidden").mkdir(parents=True)
    (tree / "sub").chmod(0o750)
    (tree / "file").write_text("new")
    (tree / ".dot").write_text("dot")
    (tree / "sub/run").write_text("run")
    (tree / "sub/run").chmod(0o755)
    (tree / "sub/.hidden/é").write_text("é")
    (tree / "link").symlink_to("sub/run")
    (tree / "folder-link").symlink_to("sub")
    return tree


def test_store(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(tmp_path))
    store_tree(folder)
    target = tmp_path / "a/b c/d"
    for _ in range(2):  # repeatable
        outcome = run(Action.STORE, "${WHERE}/a/b c/d")
        assert judge(outcome).code == "SUCCESS"
        wait_until(lambda: not runner.is_running(folder), "the runner is gone")
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == [
        ".dot",
        "file",
        "folder-link",
        "link",
        "sub",
        "sub/.hidden",
        "sub/.hidden/é",
        "sub/run",
    ]
    assert os.readlink(target / "folder-link") == "sub"
    assert (target / "link").read_text() == "run"
    assert (target / "sub/run").stat().st_mode & 0o777 == 0o755
    assert (target / "sub").stat().st_mode & 0o777 == 0o750
    assert (target.stat().st_mode & 0o777, (tmp_path / "a").stat().st_mode & 0o777) == (
        0o755,
        0o755,
    )


def test_store_replaces_files_and_spares_the_rest(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    store_tree(folder)
    target = tmp_path / "target"
    (target / "real").mkdir(parents=True)
    (target / "other").write_text("other")
    (target / "victim").write_text("victim")
    (target / "file").symlink_to("victim")
    (target / "sub").symlink_to("real")  # as /bin is a link to /usr/bin
    (target / ".tranche-store.part").write_text("left by a run that was killed")
    with (target / "victim").open() as open_before:
        assert judge(run(Action.STORE, str(target))).code == "SUCCESS"
        assert open_before.read() == "victim"
    assert (target / "file").read_text() == "new"
    assert not (target / "file").is_symlink()
    assert (target / "other").read_text() == "other"
    assert (target / "victim").read_text() == "victim"
    assert (target / "real/run").read_text() == "run"
    assert not (target / ".tranche-store.part").exists()


def test_store_to_the_agents_folder(folder: Path, run: Callable[..., Outcome]) -> None:
    store_tree(folder)
    assert judge(run(Action.STORE, "INSTALL_PATH/plugins")).code == "SUCCESS"
    assert (folder.parent / "agent/plugins/file").read_text() == "new"


def test_store_where_a_folder_stands_in_the_way(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    store_tree(folder)
    (tmp_path / "target/file").mkdir(parents=True)
    outcome = run(Action.STORE, str(tmp_path / "target"))
    assert judge(outcome).code == "ERR_EXECUTE"
    assert f"{tmp_path}/target/file" in outcome.error
    assert not list((tmp_path / "target").glob("*.part"))


def test_store_has_a_timeout(folder: Path, tmp_path: Path, run: Callable[..., Outcome]) -> None:
    store_tree(folder)
    outcome = run(Action.STORE, str(tmp_path / "target"), timeout_s=0.000001)
    assert judge(outcome).code == "ERR_EXECUTE_TIMEOUT"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", point], check=True)
    yield point
    subprocess.run(["umount", "-l", point], check=True)


@root_only
def test_store_that_does_not_fit_changes_nothing(
    folder: Path, small_disk: Path, run: Callable[..., Outcome]
) -> None:
    for name in "abc":
        (folder / "tree" / name).write_bytes(bytes(1_000_000))
    outcome = run(Action.STORE, f"{small_disk}/new")
    assert judge(outcome).code == "ERR_OUT_OF_SPACE"
    assert list(small_disk.iterdir()) == []


@root_only
def test_store_again_fits_beside_what_it_replaces(
    folder: Path, small_disk: Path, run: Callable[..., Outcome]
) -> None:
    for name in "abc":
        (folder / "tree" / name).write_bytes(bytes(500_000))
    for _ in range(2):
        assert judge(run(Action.STORE, str(small_disk))).code == "SUCCESS"
        wait_until(lambda: not runner.is_running(folder), "the runner is gone")


@root_only
def test_an_action_that_fills_the_disk_still_has_its_result(small_disk: Path) -> None:
    folder = small_disk / "1800000001"
    (folder / "tree").mkdir(parents=True)
    command = "seq 20000; cat /dev/zero > full; exit 7"
    runner.start(Job(Action.EXECUTE, command, folder / "tree", folder), folder)
    found = runner.wait(folder, 20)
    assert found is not None
    assert (found.exit_code, found.output, found.truncated) == (7, "", True)


@root_only
def test_a_full_disk_starts_nothing(small_disk: Path) -> None:
    folder = small_disk / "1800000001"
    (folder / "tree").mkdir(parents=True)
    subprocess.run(["sh", "-c", f"cat /dev/zero > {small_disk}/full"], check=False)
    with pytest.raises(OutOfSpace):
        runner.start(Job(Action.EXECUTE, "touch ran", folder / "tree", folder), folder)
    assert not (folder / "tree/ran").exists()
