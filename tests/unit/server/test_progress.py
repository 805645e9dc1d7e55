import sys
import time

import pytest

from deploy_server.cli.package.progress import ProgressReport

MIB = 1024 * 1024


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that tests move."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport() as report:
        for taken in range(1, 31):
            seconds[0] += 1
            report(taken * MIB, 40 * MIB)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        " 25 %  10 MiB of 40 MiB", " 50 %  20 MiB of 40 MiB", " 75 %  30 MiB of 40 MiB",
    ]  # fmt: skip


def test_nobody_knows_how_much_there_is(
    seconds: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressReport() as report:
        seconds[0] += 11
        report(5 * MIB, None)
    assert capsys.readouterr().err == "5 MiB\n"


def test_a_bar_on_a_terminal(
    seconds: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("click._compat.should_strip_ansi", lambda *_: False)
    with ProgressReport() as report:
        report(1, 4)
        seconds[0] += 1
        report(10 * MIB, 40 * MIB)
    bar, gone = capsys.readouterr().err.split("\r")[1:]
    assert "[#######.......................]" in bar
    assert "25 %" in bar
    assert gone.strip("\x1b[K") == ""


def test_nothing_is_drawn_for_what_is_done_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport() as report:
        report(1, 1)
    assert capsys.readouterr().err == ""
