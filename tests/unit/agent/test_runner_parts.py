"""The runner's pure parts: variables, command lines, the end of an output, its files."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.domain.errors import ActionFailed, BadInfo, NoCommand, OutcomeUnknown
from deploy_agent.domain.outcome import Outcome
from deploy_agent.machine.runner import job as files
from deploy_agent.machine.runner import processes
from deploy_agent.machine.runner.actions import execute_command, launch_command, split
from deploy_agent.machine.runner.expand import expand, expand_path
from deploy_agent.machine.runner.job import Job
from deploy_agent.machine.runner.output import OUTPUT_MAX, Tail
from deploy_agent.wire.terms import Action
from tests.support.repository import ROOT

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
VARIABLES = {"HOME": "/root", "A_1": "x y", "DOLLAR": "$HOME", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$HOME/bin", "/root/bin"),
        ("${HOME}bin", "/rootbin"),
        ("$HOMEbin", "$HOMEbin"),
        ("$A_1-${A_1}", "x y-x y"),
        ("$UNKNOWN ${UNKNOWN}", "$UNKNOWN ${UNKNOWN}"),
        ("$DOLLAR", "$HOME"),
        ("[$EMPTY]", "[]"),
        ("$1 $$ $ ${} ${HOME ${1} $(HOME)", "$1 $$ $ ${} ${HOME ${1} $(HOME)"),
        ("%HOME%", "%HOME%"),
    ],
)
def test_variables(text: str, expanded: str) -> None:
    assert expand(text, VARIABLES) == expanded


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%HOME%\\bin", "/root\\bin"),
        ("%home%", "/root"),
        ("%UNKNOWN%", "%UNKNOWN%"),
        ("100% of %HOME%", "100% of /root"),
        ("$HOME", "$HOME"),
    ],
)
def test_variables_on_windows(text: str, expanded: str) -> None:
    assert expand(text, VARIABLES, windows=True) == expanded


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("INSTALL_PATH", "/agent"),
        ("INSTALL_PATH/plugins", "/agent/plugins"),
        ("/opt/INSTALL_PATHS/MY_INSTALL_PATH", "/opt/INSTALL_PATHS/MY_INSTALL_PATH"),
        ("$INSTALL_PATH/x", "/agent/x"),
        ("$HOME/INSTALL_PATH", "/root//agent"),
    ],
)
def test_install_path(text: str, expanded: str) -> None:
    variables = {**VARIABLES, "INSTALL_PATH": "/agent"}
    assert expand_path(text, variables, Path("/agent")) == expanded


def job(target: str, tree: Path = Path("/nowhere"), action: Action = Action.LAUNCH) -> Job:
    return Job(action, target, tree, Path("/agent"))


def test_launch_splits_first_and_expands_then(tmp_path: Path) -> None:
    (tmp_path / "my setup.sh").write_text("#!/bin/sh\n")
    (tmp_path / "my setup.sh").chmod(0o600)
    command = launch_command(
        job("'my setup.sh' $A_1 \"two words\" '' a\\ b # ${HOME}", tmp_path),
        VARIABLES,
        windows=False,
    )
    program = str(tmp_path / "my setup.sh")
    assert command == [program, "x y", "two words", "", "a b", "#", "/root"]
    assert os.stat(program).st_mode & 0o777 == 0o755


def test_the_name_itself_is_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "$HOME").write_text("")
    assert launch_command(job("$HOME", tmp_path), VARIABLES, windows=False) == [
        str(tmp_path / "$HOME")
    ]


def test_backslashes_are_no_escapes_on_windows() -> None:
    assert split('setup.exe /D=C:\\dir "C:\\a b"', windows=True) == [
        "setup.exe",
        "/D=C:\\dir",
        "C:\\a b",
    ]


@pytest.mark.parametrize("target", ["", "  ", "''", "'' arg"])
def test_launch_without_a_name(target: str) -> None:
    with pytest.raises(NoCommand):
        launch_command(job(target), {}, windows=False)


@pytest.mark.parametrize("target", ["bin/run", "/bin/sh", "../run", "'unclosed", "run \\"])
def test_launch_of_what_is_no_name(target: str) -> None:
    with pytest.raises(BadInfo) as caught:
        launch_command(job(target), {}, windows=False)
    assert caught.value.field == "NAME"


@pytest.mark.parametrize("name", ["missing", "folder", ".", "..", "out", "a\0b"])
def test_launch_of_what_is_no_file(name: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tmp_path / "victim").write_text("")
    (tree / "out").symlink_to("../victim")
    before = (tmp_path / "victim").stat().st_mode
    with pytest.raises(ActionFailed):
        launch_command(job(name, tree), {}, windows=False)
    assert (tmp_path / "victim").stat().st_mode == before


def test_a_missing_file_is_told_with_what_there_is(tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / name).write_text("")
    with pytest.raises(ActionFailed, match="a, b, c, d, e and 2 more"):
        launch_command(job("setup.sh", tmp_path), {}, windows=False)


def test_execute_leaves_the_line_to_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "echo '$HOME' $HOME; exit 3"
    command = execute_command(job(line, action=Action.EXECUTE), windows=False)
    assert command == ["/bin/sh", "-c", line]
    monkeypatch.setenv("COMSPEC", "C:\\cmd.exe")
    command = execute_command(job('"a b" %X%', action=Action.EXECUTE), windows=True)
    assert command == 'C:\\cmd.exe /d /s /c ""a b" %X%"'
    with pytest.raises(NoCommand):
        execute_command(job(" \n", action=Action.EXECUTE), windows=False)


def test_tail_keeps_the_end() -> None:
    tail = Tail()
    tail.add(b"x" * OUTPUT_MAX)
    assert tail.text() == ("x" * OUTPUT_MAX, False)
    tail.add(b"end")
    text, truncated = tail.text()
    assert truncated
    assert len(text) == OUTPUT_MAX
    assert text.endswith("xend")


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_tail_never_fails_on_bytes(pieces: list[bytes]) -> None:
    tail = Tail()
    for piece in pieces:
        tail.add(piece)
    assert tail.text() == (b"".join(pieces).decode(errors="replace"), False)


def test_tail_does_not_begin_inside_a_character() -> None:
    for surplus in range(4):
        tail = Tail()
        tail.add("😀".encode() * (OUTPUT_MAX // 4) + b"!" * surplus)
        text, truncated = tail.text()
        assert truncated == (surplus > 0)
        assert text.startswith("😀")
        assert "\ufffd" not in text


def test_job_is_read_as_it_was_written_and_hidden(tmp_path: Path) -> None:
    written = Job(Action.STORE, 'é "<&>\n\ud800', tmp_path / "é", Path("/agent"), 0.5, 2.5)
    files.write_job(tmp_path, written)
    assert [path.name for path in tmp_path.iterdir()] == ["waiting.json"]
    assert files.take_job(tmp_path) == written
    assert files.read_job(tmp_path) == written
    assert os.stat(tmp_path / "job.json").st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_a_job_is_taken_or_withdrawn_and_never_both(tmp_path: Path) -> None:
    written = Job(Action.EXECUTE, "true", tmp_path, tmp_path)
    assert not files.withdraw_job(tmp_path), "where nothing waits, nothing is proved"
    files.write_job(tmp_path, written)
    assert files.withdraw_job(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.take_job(tmp_path)
    (tmp_path / "void.json").unlink()
    files.write_job(tmp_path, written)
    files.take_job(tmp_path)
    assert not files.withdraw_job(tmp_path)


outcomes = st.builds(
    Outcome,
    started=st.booleans(),
    started_at=st.just(NOW),
    ended_at=st.datetimes(timezones=st.just(UTC)),
    exit_code=st.none() | st.integers(0, 2**32),
    timed_out=st.booleans(),
    code=st.sampled_from(["", "ERR_EXECUTE"]),
    error=st.text(st.characters(exclude_categories=["Cs"])),
    output=st.text(st.characters(exclude_categories=["Cs"])),
    truncated=st.booleans(),
)


@given(outcomes)
def test_result_is_read_as_it_was_written(outcome: Outcome) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert files.read_result(folder) is None
        files.ResultFile(folder).write(outcome)
        assert files.read_result(folder) == outcome
        assert os.stat(folder / "result.json").st_mode & 0o777 == 0o600
        assert [each.name for each in folder.iterdir()] == ["result.json"]


def test_no_character_breaks_the_result(tmp_path: Path) -> None:
    files.ResultFile(tmp_path).write(Outcome(True, NOW, NOW, error="\ud800\udcff", output="\0\x1b"))
    found = files.read_result(tmp_path)
    assert found is not None
    assert (found.error, found.output) == ("??", "\0\x1b")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"null", b"\xff", json.dumps({"exit_code": "x"}).encode()],
)
def test_a_result_that_cannot_be_understood(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(OutcomeUnknown) as caught:
        files.read_result(tmp_path)
    assert caught.value.code == "ERR_DONE_FAILED"


def test_environment_is_the_agents_without_the_services_own() -> None:
    inherited = {"PATH": "/bin", "HOME": "/root", "NOTIFY_SOCKET": "@x", "LANG": "C.UTF-8"}
    assert processes.environment(inherited, Path("/agent")) == {
        "PATH": "/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "INSTALL_PATH": "/agent",
    }


def test_environment_of_a_service_gets_what_programs_count_on() -> None:
    made = processes.environment({}, Path("/agent"))
    assert "/usr/bin" in made["PATH"].split(":")
    assert Path(made["HOME"]).is_absolute()


@pytest.mark.parametrize(("returncode", "exit_code"), [(0, 0), (3, 3), (-9, 137), (-15, 143)])
def test_signals_as_exit_codes(returncode: int, exit_code: int) -> None:
    assert processes.exit_code_of(returncode) == exit_code


def test_the_runner_imports_nothing_that_takes_long() -> None:
    """Every action waits for its start."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import deploy_agent.machine.runner.__main__;"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    slow = {"dataclasses", "inspect", "shutil", "lzma", "logging", "ctypes", "lxml", "psutil"}
    assert not slow & set(done.stdout.split())
