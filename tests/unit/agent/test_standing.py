"""What people are told about a package that does not move, and what the plan makes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy_agent.domain.plan import Readiness
from deploy_agent.domain.record import PackageRecord, Result
from deploy_agent.domain.standing import Standing, Surroundings, standing
from deploy_agent.domain.state import State
from deploy_agent.wire.info import InfoFile, Notification
from deploy_agent.wire.replies import DownloadSettings, PackageOffer
from deploy_agent.wire.terms import Action

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
RECORD = PackageRecord(PackageOffer("1800000001", "a", "b"), NOW, State.DOWNLOADING)
INFO = InfoFile("1800000001", priority=5, action=Action.LAUNCH, target="run.sh", fragments=10)
AROUND = Surroundings(
    now=NOW,
    settings=DownloadSettings(),
    somebody_there=lambda: False,
    to_utc=lambda naive: naive.replace(tzinfo=UTC),
)


def at(
    record: PackageRecord, info: InfoFile | None = INFO, missing: int = 0, **around: object
) -> Standing:
    return standing(record, info, missing, replace(AROUND, **around))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "missing", "why"),
    [
        ({}, 7, "3 of 10 fragments are here, priority 5"),
        ({}, 0, "complete, acts at its next turn, priority 5"),
        ({"state": State.COMPLETE}, 0, "complete, acts at its next turn, priority 5"),
        ({"state": State.UNPACKED}, 0, "ready to act"),
        ({"retry_at": NOW}, 7, "3 of 10 fragments are here, priority 5"),
    ],
)
def test_what_moves(changes: dict[str, object], missing: int, why: str) -> None:
    found = at(replace(RECORD, **changes), missing=missing)  # type: ignore[arg-type]
    assert found == Standing(Readiness.MOVES, why)


@pytest.mark.parametrize(
    "changes",
    [
        {"retry_at": NOW + timedelta(days=3650)},
        {"state": State.UNPACKED, "act_at": NOW + timedelta(days=3650)},
    ],
)
def test_a_clock_that_was_years_ahead_keeps_nothing_back(changes: dict[str, object]) -> None:
    found = at(replace(RECORD, **changes), missing=0)  # type: ignore[arg-type]
    assert found.readiness is Readiness.MOVES


def test_what_backs_off_says_why_and_until_when() -> None:
    found = at(replace(RECORD, retry_at=LATER, problem="connection refused"), missing=7)
    assert found.readiness is Readiness.BACKS_OFF
    assert found.why == "connection refused; tried again at 2026-11-21 11:00:00 UTC"
    assert found.until == LATER


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": State.OFFERED}, "its info file has to be read"),
        ({"reread": True, "problem": "404"}, "its info file has to be read, last time: 404"),
        ({"state": State.RUNNING}, "its action runs"),
        (
            {"state": State.DONE, "result": Result("ERR_EXECUTE", NOW)},
            "ended with ERR_EXECUTE; the server has to be told",
        ),
        ({"state": State.REPORTED, "result": Result("SUCCESS", NOW)}, "ended with SUCCESS"),
    ],
)
def test_what_waits(changes: dict[str, object], why: str) -> None:
    found = at(replace(RECORD, **changes))  # type: ignore[arg-type]
    assert found == Standing(Readiness.WAITS, why)


def test_without_an_info_file_nothing_moves() -> None:
    assert at(RECORD, info=None).readiness is Readiness.WAITS


@pytest.mark.parametrize("settings", [None, DownloadSettings(on=False)])
def test_switched_off_counts_before_everything_but_the_end(
    settings: DownloadSettings | None,
) -> None:
    off = "deployment is switched off for this computer"
    assert at(replace(RECORD, retry_at=LATER), settings=settings).why == off
    assert at(replace(RECORD, state=State.RUNNING), settings=settings).why == "its action runs"


def test_a_priority_above_the_period_has_no_turn() -> None:
    found = at(RECORD, settings=DownloadSettings(period_length=4))
    assert found.readiness is Readiness.WAITS
    assert "priority 5 is above the period's length of 4 cycles" in found.why


def test_a_retry_code_rests() -> None:
    resting = replace(
        RECORD,
        state=State.UNPACKED,
        act_at=LATER,
        retry_result=Result("ERR_EXIT_CODE_75", NOW, 75),
    )
    found = at(resting)
    assert (found.readiness, found.until) == (Readiness.WAITS, LATER)
    assert "retry code 75" in found.why
    assert at(resting, now=LATER).readiness is Readiness.MOVES


def test_a_schedule_in_the_future_waits() -> None:
    record = replace(
        RECORD, state=State.UNPACKED, offer=replace(RECORD.offer, schedule="2026/11/21 11:00")
    )
    assert at(record).until == LATER
    assert at(record, now=LATER).readiness is Readiness.MOVES
    assert at(replace(record, state=State.DOWNLOADING)).readiness is Readiness.MOVES


def test_a_question_waits_only_while_somebody_is_there() -> None:
    asks = replace(INFO, notification=Notification("May I?"))
    record = replace(RECORD, state=State.UNPACKED)
    assert at(record, asks).readiness is Readiness.MOVES
    assert at(record, asks, somebody_there=lambda: True).readiness is Readiness.WAITS
