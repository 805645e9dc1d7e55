"""A record comes back as it was written, and what is no record is named as such."""

import json
from datetime import UTC, datetime

import pytest

from deploy_agent.domain.record import (
    Answer,
    Fault,
    PackageRecord,
    Post,
    Reply,
    Result,
    UnreadableRecord,
    format_time,
    from_json,
    parse_time,
    to_json,
)
from deploy_agent.domain.state import Event, State
from deploy_agent.wire.replies import PackageOffer

NOW = datetime(2026, 11, 21, 10, 0, 0, 250_000, tzinfo=UTC)
OFFER = PackageOffer("1800000001", "a/b", "c/d", postcmd="REBOOT", attempt=7, revision=2)
FULL = PackageRecord(
    offer=OFFER,
    since=NOW,
    state=State.DONE,
    faults={"1800000001-2": Fault(3, wrong_bytes=True)},
    failures=2,
    retry_at=NOW,
    problem="no route",
    reread=True,
    fresh=True,
    exec_tries=1,
    runs=4,
    retries=1,
    retry_result=Result("ERR_EXIT_CODE_75", NOW, 75),
    act_at=NOW,
    result=Result("SUCCESS", NOW, 0, "done"),
    started=True,
    ask_at=NOW,
    consented=True,
    answers=(Answer(NOW, "alice", Reply.LATER), Answer(NOW, "", Reply.NOTHING, "logged off")),
    post=Post(NOW, "f8a1", restart=True, note="?"),
)


@pytest.mark.parametrize("record", [FULL, PackageRecord(OFFER, NOW)])
def test_a_record_survives_its_json(record: PackageRecord) -> None:
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": None},
        {"state": "ASLEEP"},
        {"since": "yesterday"},
        {"since": "2026-11-21T10:00:00"},
        {"offer": {"package_id": "../etc", "info_loc": "", "pack_loc": ""}},
        {"offer": None},
        {"faults": []},
        {"result": {"code": "SUCCESS"}},
        {"answers": [{"at": "2026-11-21T10:00:00Z", "who": "alice", "reply": "perhaps"}]},
        {"post": {"restart": True}},
    ],
)
def test_what_is_no_record_is_said_to_be_none(change: dict[str, object]) -> None:
    with pytest.raises(UnreadableRecord):
        from_json({**to_json(FULL), **change})


def test_a_record_of_an_agent_that_asked_nobody_is_read() -> None:
    newer = ("started", "ask_at", "consented", "answers", "post")
    older = {name: value for name, value in to_json(FULL).items() if name not in newer}
    record = from_json(older)
    assert record.result == FULL.result
    assert (record.started, record.answers, record.post) == (False, (), None)


@pytest.mark.parametrize("data", [[], None, "record", {}])
def test_other_json_is_no_record(data: object) -> None:
    with pytest.raises(UnreadableRecord):
        from_json(data)


def test_unknown_fields_are_left_out() -> None:
    assert from_json({**to_json(FULL), "mood": "good"}) == FULL


def test_times_are_utc_with_z() -> None:
    assert format_time(NOW) == "2026-11-21T10:00:00.250000Z"
    assert parse_time("2026-11-21T11:00:00.25+01:00") == NOW


def test_the_key_is_the_attempt_or_the_moment_of_the_offer() -> None:
    assert PackageRecord(OFFER, NOW).key == "7"
    unnamed = PackageOffer("1800000001", "a", "b")
    assert PackageRecord(unnamed, NOW).key == "t1795255200"


def test_an_event_leads_on_and_brings_changes() -> None:
    record = PackageRecord(OFFER, NOW).after(Event.INFO_READ, failures=1)
    assert (record.state, record.failures, record.needs_info) == (State.DOWNLOADING, 1, False)
