"""The activity log: lines that nobody can forge, a file for each day, the last days kept."""

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy_server.services.activity import Activity, Caller, log
from deploy_server.serving.activity import DailyFile, log_activity_to

DAY = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[DailyFile]:
    handler = DailyFile(tmp_path / "log", kept_days=2)
    yield handler
    handler.close()


def record(text: str, moment: datetime = DAY) -> logging.LogRecord:
    made = logging.LogRecord("tranche.activity", logging.INFO, "", 0, text, None, None)
    made.created = moment.timestamp()
    return made


def test_a_line_has_its_time_and_its_process(handler: DailyFile, tmp_path: Path) -> None:
    handler.handle(record("100;pc;192.0.2.7;OCS-NG;STOP, 0 packages"))
    (file,) = (tmp_path / "log").iterdir()
    assert file.name == "activity-2026-11-21.log"
    assert file.read_text() == (
        f"2026-11-21T23:59:59Z;{os.getpid()};100;pc;192.0.2.7;OCS-NG;STOP, 0 packages\n"
    )
    assert file.stat().st_mode & 0o007 == 0


def test_a_new_day_is_a_new_file_and_old_ones_go(handler: DailyFile, tmp_path: Path) -> None:
    other = tmp_path / "log" / "notes.txt"
    for days in range(5):
        handler.handle(record("x", DAY + timedelta(days=days)))
        other.touch()
    names = sorted(each.name for each in (tmp_path / "log").iterdir())
    days_kept = [f"activity-2026-11-{day}.log" for day in (23, 24, 25)]
    assert names == [*days_kept, "notes.txt"]


def test_two_workers_append_to_one_file(handler: DailyFile, tmp_path: Path) -> None:
    second = DailyFile(tmp_path / "log")
    for number in range(100):
        for each in (handler, second):
            each.handle(record(f"{number}"))
    second.close()
    (file,) = (tmp_path / "log").iterdir()
    lines = file.read_text().splitlines()
    assert len(lines) == 200
    assert all(line.count(";") == 2 for line in lines)


def test_a_disk_that_refuses_stops_nobody(
    handler: DailyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    (tmp_path / "log").write_text("in the way")
    handler.handle(record("x"))


def test_the_log_goes_to_its_folder_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.NOTSET)
    log_activity_to(tmp_path / "log")
    Caller("pc", "::1", "UA;with\nsigns").note(Activity.RESULT, "1800000001 ERR;\r\nforged")
    (file,) = (tmp_path / "log").iterdir()
    (line,) = file.read_text().splitlines()
    assert line.split(";")[2:] == ["2001", "pc", "::1", "UA,with�signs", "1800000001 ERR,��forged"]
    assert caplog.messages == []
    log.handlers[0].close()
