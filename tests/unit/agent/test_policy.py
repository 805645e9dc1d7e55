"""Offers against disk and history, patience with silence and with a no, schedules and ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.domain import policy
from deploy_agent.domain.policy import Past, Verdict, judge_offer
from deploy_agent.domain.record import Fault, PackageRecord, Result
from deploy_agent.domain.state import BEFORE_ACTION, State
from deploy_agent.wire.replies import PackageOffer

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
OFFER = PackageOffer("1800000001", "s/download", "s/download", revision=2, attempt=100)
NOTHING = Past()


def record(state: State, *, attempt: int | None = 100) -> PackageRecord:
    result = Result("SUCCESS", NOW) if state in (State.DONE, State.REPORTED) else None
    return PackageRecord(replace(OFFER, attempt=attempt), NOW, state, result=result)


def test_an_offer_of_something_unknown_begins() -> None:
    assert judge_offer(OFFER, None, NOTHING) is Verdict.NEW


@pytest.mark.parametrize("state", [each for each in State if each is not State.REPORTED])
@pytest.mark.parametrize("attempt", [100, None])
def test_the_same_offer_again_changes_no_state(state: State, attempt: int | None) -> None:
    assert judge_offer(replace(OFFER, attempt=attempt), record(state), NOTHING) is Verdict.KNOWN


@pytest.mark.parametrize("state", list(State))
def test_a_new_attempt_begins_before_the_action_and_waits_after_it(state: State) -> None:
    newer = replace(OFFER, attempt=101)
    may_begin = state in BEFORE_ACTION or state is State.REPORTED
    expected = Verdict.NEW if may_begin else Verdict.BUSY
    assert judge_offer(newer, record(state), NOTHING) is expected


def test_an_ended_attempt_is_answered_and_never_begun_again() -> None:
    past = Past(ended=True, revisions=(2,))
    assert judge_offer(OFFER, None, past) is Verdict.ANSWERED
    assert judge_offer(replace(OFFER, force=True), None, past) is Verdict.ANSWERED


@pytest.mark.parametrize(
    ("succeeded", "offered", "held_back"),
    [
        ((), 1, False),
        ((1,), 1, True),
        ((2,), 1, True),
        ((1,), 2, False),
        ((1, 3), 2, True),
        ((None,), 1, True),
        ((None,), 2, False),
        ((1,), None, True),
        ((None,), None, True),
    ],
)
def test_history_holds_back_the_same_and_lower_revisions(
    succeeded: tuple[int | None, ...], offered: int | None, held_back: bool
) -> None:
    offer = replace(OFFER, revision=offered)
    verdict = judge_offer(offer, None, Past(revisions=succeeded))
    assert verdict is (Verdict.ALREADY if held_back else Verdict.NEW)
    assert judge_offer(replace(offer, force=True), None, Past(revisions=succeeded)) is Verdict.NEW


@pytest.mark.parametrize("state", list(State))
def test_another_revision_is_read_again_only_before_the_action(state: State) -> None:
    can = state in BEFORE_ACTION and state is not State.OFFERED
    assert policy.must_reread(OFFER, 1, state) is can
    assert policy.must_reread(OFFER, None, state) is can
    assert not policy.must_reread(OFFER, 2, state)
    assert not policy.must_reread(replace(OFFER, revision=None), 1, state)


def test_definite_answers_count_per_file_and_the_fifth_ends() -> None:
    faults: dict[str, Fault] = {}
    for count in range(1, 5):
        faults, over = policy.count_fault(faults, "info", wrong_bytes=False)
        assert (faults["info"].count, over) == (count, False)
    faults, over = policy.count_fault(faults, "x-1", wrong_bytes=True)
    assert (faults["x-1"], over) == (Fault(1, wrong_bytes=True), False)
    faults, over = policy.count_fault(faults, "info", wrong_bytes=True)
    assert (faults["info"], over) == (Fault(5, wrong_bytes=True), True)


def test_a_success_resets_only_its_own_file() -> None:
    faults = {"a": Fault(4, wrong_bytes=False), "b": Fault(2, wrong_bytes=True)}
    assert policy.without_fault(faults, "a") == {"b": faults["b"]}


@given(st.integers(1, 100), st.floats(0, 1))
def test_backoff_grows_to_a_quarter_of_an_hour_with_jitter(failures: int, jitter: float) -> None:
    full = min(900, 2 * 2 ** (failures - 1))
    assert full / 2 <= policy.backoff_s(failures, jitter) <= full


def test_retry_after_is_obeyed_up_to_a_day() -> None:
    assert policy.backoff_s(1, 0.5, 120) == 120
    assert policy.backoff_s(1, 0.5, 10**9) == 24 * 3600
    assert policy.backoff_s(1, 0.0, 0) == 1


def test_a_retry_code_rests_5_minutes_doubling_up_to_an_hour() -> None:
    delays = [policy.retry_code_delay(n).total_seconds() / 60 for n in range(1, 7)]
    assert delays == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("state", list(State))
def test_only_what_is_not_ready_expires(state: State) -> None:
    old = record(state)
    late = NOW + timedelta(days=30)
    unready = state in BEFORE_ACTION and state is not State.UNPACKED
    assert policy.is_expired(old, 30, late) is unready
    assert not policy.is_expired(old, 30, late - timedelta(seconds=1))


def test_a_package_that_only_got_retry_codes_expires_too() -> None:
    waiting = replace(record(State.UNPACKED), retry_result=Result("ERR_EXIT_CODE_7", NOW))
    assert policy.is_expired(waiting, 1, NOW + timedelta(days=1))


def local(zone: str) -> Callable[[datetime], datetime]:
    return lambda naive: naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026/11/21 23:00", "2026-11-21 22:00"),
        ("2026/3/29 02:30", "2026-03-29 01:00"),  # does not exist: 03:00, the next that does
        ("2026/03/29 02:00", "2026-03-29 01:00"),
        ("2026/03/29 03:00", "2026-03-29 01:00"),
        ("2026/10/25 02:30", "2026-10-25 00:30"),  # exists twice: the first
    ],
)
def test_a_schedule_is_local_time(text: str, expected: str) -> None:
    found = policy.scheduled_at(text, local("Europe/Paris"))
    assert found is not None
    assert f"{found:%Y-%m-%d %H:%M}" == expected
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "tomorrow", "2026/13/01 10:00", "2026-11-21 10:00"])
def test_a_schedule_that_cannot_be_read_is_none(text: str) -> None:
    assert policy.scheduled_at(text, local("Europe/Paris")) is None


def test_a_new_assignment_forgets_all_but_the_number_of_the_last_run() -> None:
    old = replace(record(State.REPORTED), runs=3, exec_tries=1, failures=9)
    offer = replace(OFFER, attempt=101)
    assert policy.renew(old, offer, NOW) == PackageRecord(offer, NOW, runs=3)
    assert policy.renew(None, offer, NOW) == PackageRecord(offer, NOW)
