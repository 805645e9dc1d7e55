"""The table leads every package to an end, and a kill never loses or repeats an action."""

import pytest

from deploy_agent.domain.state import (
    BEFORE_ACTION,
    ENDED,
    TRANSITIONS,
    Event,
    Reload,
    State,
    next_state,
    on_reload,
)


def test_the_way_of_a_package_with_a_file() -> None:
    way = [
        Event.INFO_READ,
        Event.LAST_FRAGMENT,
        Event.CHECKED,
        Event.TREE_READY,
        Event.BEGIN,
        Event.END,
        Event.ACKNOWLEDGED,
    ]
    state = State.OFFERED
    states = [state := next_state(state, event) for event in way]
    assert states == [
        State.DOWNLOADING,
        State.COMPLETE,
        State.VERIFIED,
        State.UNPACKED,
        State.RUNNING,
        State.DONE,
        State.REPORTED,
    ]


def test_a_package_without_file_is_complete_at_once() -> None:
    assert next_state(State.OFFERED, Event.INFO_READ_NO_FILE) is State.COMPLETE


@pytest.mark.parametrize("state", [each for each in State if each not in ENDED])
def test_every_unfinished_state_can_end(state: State) -> None:
    assert next_state(state, Event.END) is State.DONE


@pytest.mark.parametrize("state", list(State))
def test_an_edit_starts_over_only_before_the_action(state: State) -> None:
    if state in BEFORE_ACTION:
        assert next_state(state, Event.REVISED) is State.OFFERED
    else:
        with pytest.raises(ValueError, match="cannot happen"):
            next_state(state, Event.REVISED)


def test_nothing_leads_out_of_the_end_but_the_acknowledgement() -> None:
    out = {key: to for key, to in TRANSITIONS.items() if key[0] in ENDED}
    assert out == {(State.DONE, Event.ACKNOWLEDGED): State.REPORTED}


def test_only_the_saved_intent_leads_to_running() -> None:
    assert [key for key, to in TRANSITIONS.items() if to is State.RUNNING] == [
        (State.UNPACKED, Event.BEGIN)
    ]


@pytest.mark.parametrize("state", [each for each in State if each is not State.RUNNING])
def test_every_state_but_running_repeats_its_work(state: State) -> None:
    assert on_reload(state, tries=1, max_tries=1) is Reload.CONTINUE


def test_killed_while_running_the_outcome_counts_before_everything() -> None:
    found = on_reload(State.RUNNING, has_outcome=True, runner_lives=True, repeatable=True, tries=1)
    assert found is Reload.COLLECT


def test_killed_while_running_a_living_runner_is_waited_for() -> None:
    assert on_reload(State.RUNNING, runner_lives=True, tries=1, max_tries=9) is Reload.WAIT


@pytest.mark.parametrize(
    ("tries", "max_tries", "expected"),
    [(1, 1, Reload.UNKNOWN), (1, 2, Reload.AGAIN), (2, 2, Reload.UNKNOWN), (3, 2, Reload.UNKNOWN)],
)
def test_killed_while_running_without_a_trace(tries: int, max_tries: int, expected: Reload) -> None:
    assert on_reload(State.RUNNING, tries=tries, max_tries=max_tries) is expected


def test_storing_files_may_always_be_repeated() -> None:
    assert on_reload(State.RUNNING, repeatable=True, tries=7, max_tries=1) is Reload.AGAIN


def test_killed_between_intent_and_start_nothing_is_unknown() -> None:
    assert on_reload(State.RUNNING, begun=False, tries=1, max_tries=1) is Reload.AGAIN
