"""History: one entry for each ended attempt, found again by name, whatever happens to the rest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.policy import Past
from deploy_agent.domain.record import PackageRecord, Result
from deploy_agent.domain.state import State
from deploy_agent.machine.history import History, Output
from deploy_agent.wire.replies import PackageOffer

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
ID = "1800000001"


def ended(code: str, *, attempt: int | None = 7, package_id: str = ID) -> PackageRecord:
    offer = PackageOffer(package_id, "a", "b", attempt=attempt)
    return PackageRecord(offer, NOW, State.DONE, result=Result(code, NOW, 3, "it said so"))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def test_an_empty_history_knows_nothing(history: History) -> None:
    assert history.past(ID, 7) == Past()
    assert history.result(ID, 7) is None
    assert history.succeeded() == ()
    assert history.read_all() == []


def test_an_entry_is_found_by_this_and_by_a_later_agent(history: History, tmp_path: Path) -> None:
    history.add(ended("SUCCESS"), 2, Output("hello", truncated=True))
    for each in (history, History(tmp_path / "history")):
        assert each.past(ID, 7) == Past(ended=True, revisions=(2,))
        assert each.past(ID, 8) == Past(ended=False, revisions=(2,))
        assert each.past(ID, None) == Past(ended=False, revisions=(2,))
        assert each.result(ID, 7) == Result("SUCCESS", NOW, 3, "it said so")
        assert each.succeeded() == (ID,)
        (entry,) = each.read_all()
        assert (entry["package"], entry["output"], entry["truncated"]) == (ID, "hello", True)
        assert entry["result"]["code"] == "SUCCESS"


def test_the_same_end_twice_is_one_entry(history: History, tmp_path: Path) -> None:
    history.add(ended("SUCCESS"), 1, Output())
    history.add(ended("SUCCESS"), 1, Output())
    History(tmp_path / "history").add(ended("SUCCESS"), 1, Output())
    assert len(history.read_all()) == 1


@pytest.mark.parametrize("code", ["ERR_EXIT_CODE_3", "ERR_EXIT_CODE_-1", "ERR_TIMEOUT"])
def test_a_failure_is_kept_but_not_in_history(history: History, code: str) -> None:
    history.add(ended(code), None, Output())
    assert history.past(ID, 7) == Past(ended=True)
    assert history.succeeded() == ()
    assert History(history._folder).result(ID, 7) is not None


def test_a_later_failure_takes_no_success_away(history: History) -> None:
    history.add(ended("SUCCESS", attempt=None), None, Output())
    later = replace(ended("ERR_EXECUTE", attempt=None), since=NOW + timedelta(days=1))
    history.add(later, None, Output())
    assert history.past(ID, None).revisions == (None,)
    assert history.succeeded() == (ID,)


def test_successes_are_all_that_count_as_such(history: History) -> None:
    codes = ["SUCCESS", "SUCCESS_REBOOT_REQUIRED", "ERR_ALREADY_SETUP", "ERR_BAD_DIGEST"]
    for number, code in enumerate(codes):
        history.add(ended(code, package_id=str(number)), 1, Output())
    assert history.succeeded() == ("0", "1", "2")


def test_a_damaged_entry_still_counts_by_its_name(
    history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history.add(ended("SUCCESS"), 1, Output())
    (path,) = (tmp_path / "history").iterdir()
    path.write_bytes(b"{")
    fresh = History(tmp_path / "history")
    assert fresh.past(ID, 7) == Past(ended=True, revisions=(1,))
    result = fresh.result(ID, 7)
    assert result is not None
    assert result.code == "SUCCESS"
    assert fresh.read_all() == []
    assert path.name in caplog.text


def test_other_files_are_no_entries(history: History, tmp_path: Path) -> None:
    history.add(ended("SUCCESS"), 1, Output())
    (tmp_path / "history" / "x.json.part").write_bytes(b"")
    (tmp_path / "history" / "notes.txt").write_bytes(b"")
    assert History(tmp_path / "history").succeeded() == (ID,)
