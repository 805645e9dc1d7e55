"""Events: what is sent is what is read, and nothing hostile gets any further."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.errors import FieldError, FramingError, TooLargeError, WireError
from deploy_agent.wire.events import (
    EVENTS_MAX,
    OUTPUT_MAX,
    STATES,
    PackageEvent,
    parse_events,
    parse_retry,
    write_events,
)

PC = "pc-2026-01-02-03-04-05"
EVENT = PackageEvent(
    event_id="0b0c3f1e-4a57-4d0e-9a3c-1c2f2a9d7b61",
    package="1800000001",
    attempt=1_795_255_200,
    at=datetime(2026, 11, 21, 10, 15, 1, tzinfo=UTC),
    state="DOWNLOADING",
    reason="slow",
    done=12,
    total=40,
)


def message(**changes: Any) -> bytes:
    """A message of one event with other fields; None takes one away."""
    fields = {**EVENT.to_json(), **changes}
    return json.dumps({"device_id": PC, "events": [fields]}).encode()


def test_the_form_is_the_contracts() -> None:
    assert EVENT.to_json() == {
        "event_id": "0b0c3f1e-4a57-4d0e-9a3c-1c2f2a9d7b61",
        "package": "1800000001",
        "attempt": 1795255200,
        "at": "2026-11-21T10:15:01Z",
        "state": "DOWNLOADING",
        "reason": "slow",
        "done": 12,
        "total": 40,
        "exit_code": None,
        "output": "",
        "truncated": False,
    }


@given(
    st.builds(
        PackageEvent,
        event_id=st.uuids().map(str),
        package=st.from_regex(r"[0-9]{1,20}", fullmatch=True),
        attempt=st.none() | st.integers(0, 2**53),
        at=st.integers(0, 253_000_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
        state=st.sampled_from(sorted(STATES)),
        reason=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        done=st.none() | st.integers(0, 2**53),
        total=st.none() | st.integers(0, 2**53),
        exit_code=st.none() | st.integers(-(2**31), 2**32),
        output=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        truncated=st.booleans(),
    )
)
def test_what_is_sent_is_what_is_read(event: PackageEvent) -> None:
    event = replace(event, reason=event.reason[:1000])
    sent = json.dumps(write_events(PC, [event, event])).encode()
    assert parse_events(sent) == (PC, [event, event])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_id": None}, "event_id"),
        ({"event_id": 7}, "event_id"),
        ({"event_id": "x" * 36}, "event_id"),
        ({"package": "18x"}, "package"),
        ({"package": ""}, "package"),
        ({"package": "9" * 21}, "package"),
        ({"package": True}, "package"),
        ({"package": ["1"]}, "package"),
        ({"attempt": "1"}, "attempt"),
        ({"attempt": -1}, "attempt"),
        ({"attempt": 2**64}, "attempt"),
        ({"attempt": True}, "attempt"),
        ({"done": 1.5}, "done"),
        ({"total": -1}, "total"),
        ({"exit_code": 2**40}, "exit_code"),
        ({"state": "WAITING"}, "state"),
        ({"state": None}, "state"),
        ({"state": {}}, "state"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-11-21T10:15:01"}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "at"),
        ({"at": 5}, "at"),
        ({"reason": 5}, "reason"),
        ({"output": ["x"]}, "output"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as raised:
        parse_events(message(**changes))
    assert raised.value.field == field


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b"{}",
        b'{"device_id": "pc-2026-01-02-03-04-05"}',
        b'{"device_id": "pc-2026-01-02-03-04-05", "events": {}}',
        b'{"device_id": "pc-2026-01-02-03-04-05", "events": [null]}',
        b'{"device_id": 7, "events": []}',
        b'{"device_id": "pc", "events": []}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"events": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_events(data)


def test_too_many_events_are_too_much() -> None:
    many = json.dumps(write_events(PC, [EVENT] * (EVENTS_MAX + 1))).encode()
    with pytest.raises(TooLargeError):
        parse_events(many)


def test_long_texts_are_cut_and_say_so() -> None:
    _, (event,) = parse_events(message(reason="r" * 5000, output="a" + "b" * OUTPUT_MAX))
    assert event.reason == "r" * 1000
    assert event.output == "b" * OUTPUT_MAX
    assert event.truncated
    _, (event,) = parse_events(message(output="b" * OUTPUT_MAX))
    assert not event.truncated


def test_no_database_chokes_on_a_text() -> None:
    sent = message(reason="PLACE").replace(b"PLACE", rb"a\u0000b\ud800c")
    _, (event,) = parse_events(sent)
    assert event.reason == "a\ufffdb?c"


def test_a_package_may_be_a_number_and_more_may_be_said() -> None:
    _, (event,) = parse_events(message(package=1800000001, more={"x": [1]}))
    assert event == EVENT


def test_a_question_for_another_attempt() -> None:
    assert parse_retry(json.dumps({"device_id": PC, "package": "1800000001"}).encode()) == (
        PC,
        "1800000001",
    )
    for wrong in (b"", b"[]", b"{}", b'{"device_id": "pc-2026-01-02-03-04-05"}'):
        with pytest.raises((FieldError, FramingError)):
            parse_retry(wrong)
