"""The runner in a systemd scope, by a systemd-run of ours: none of this needs a running systemd."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent.domain.outcome import Outcome, judge
from deploy_agent.machine import runner
from deploy_agent.machine.runner import scope
from deploy_agent.wire.terms import Action
from tests.integration.runner.packages import root_only

pytestmark = root_only

#: As the real one does: it says who it is to systemd, then becomes the command.
OBEYS = """#!/bin/sh
printf '%s\\n' "$@" > {note}
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
REFUSES = """#!/bin/sh
echo x >> {note}
echo "Failed to connect to bus: No such file or directory" >&2
exit 1
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A computer where systemd runs, with a systemd-run of this text; what it notes down."""

    def make(text: str) -> Path:
        programs, note = tmp_path / "programs", tmp_path / "note"
        programs.mkdir()
        (programs / "systemd-run").write_text(text.format(note=note))
        (programs / "systemd-run").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setattr(scope, "RUNNING", tmp_path)
        return note

    return make


def test_the_runner_gets_a_scope_and_keeps_its_lock(
    systemd: Callable[[str], Path], folder: Path, run: Callable[..., Outcome]
) -> None:
    note = systemd(OBEYS)
    outcome = run(Action.EXECUTE, "echo ran; exit 5")
    assert (outcome.exit_code, outcome.output) == (5, "ran\n")
    words = note.read_text().splitlines()
    assert words[0] == "--scope"
    (name,) = [word for word in words if word.startswith("--unit=")]
    assert name.startswith("--unit=deploy-agent-action-")
    assert any(str(folder) in word for word in words if word.startswith("--description="))


def test_two_runs_have_two_scopes(
    systemd: Callable[[str], Path], run: Callable[..., Outcome]
) -> None:
    note = systemd(OBEYS)
    names = set()
    for _ in range(2):
        run(Action.EXECUTE, "true")
        names |= {word for word in note.read_text().splitlines() if word.startswith("--unit=")}
    assert len(names) == 2


def test_without_a_scope_it_runs_once(
    systemd: Callable[[str], Path],
    folder: Path,
    tmp_path: Path,
    run: Callable[..., Outcome],
    caplog: pytest.LogCaptureFixture,
) -> None:
    note = systemd(REFUSES)
    outcome = run(Action.EXECUTE, f"echo x >> {tmp_path}/runs; exit 3")
    assert judge(outcome).code == "ERR_EXIT_CODE_3"
    assert note.read_text() == "x\n"
    assert (tmp_path / "runs").read_text() == "x\n"
    assert "no scope" in caplog.text


def test_without_systemd_nobody_is_asked(
    systemd: Callable[[str], Path],
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    note = systemd(OBEYS)
    monkeypatch.setattr(scope, "RUNNING", tmp_path / "none")
    assert run(Action.EXECUTE, "true").exit_code == 0
    assert not note.exists()
    monkeypatch.setattr(scope, "RUNNING", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert scope.scope_command("x") == []
    monkeypatch.undo()
    assert not runner.is_running(tmp_path)
