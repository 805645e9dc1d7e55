"""The gate before an action, actions that outlive the agent, and ends that nobody knows."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.state import State
from deploy_agent.machine.runner import Job
from deploy_agent.services.waiting import For
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action
from tests.support.computer import Computer, bring_to

ID = "1800000001"


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


# The gate.


def test_a_schedule_downloads_now_and_acts_then(pc: Computer) -> None:
    pc.server.offer(schedule="2026/11/21 12:00")
    left = pc.once()
    assert left.exit_status == 3
    assert "scheduled for 2026/11/21 12:00" in left.waiting[0][1]
    assert f"{ID}-3" in pc.server.asked()
    assert pc.runner.started == []
    pc.clock.advance(hours=2)
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]


@pytest.mark.parametrize("schedule", ["soon", "2025/01/01 00:00", ""])
def test_a_schedule_that_is_past_or_none_means_now(pc: Computer, schedule: str) -> None:
    pc.server.offer(schedule=schedule)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_new_schedule_counts(pc: Computer) -> None:
    pc.server.offer(schedule="2026/11/21 12:00")
    pc.once()
    pc.server.offer(schedule="")
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_package_that_waits_at_the_gate_does_not_expire(pc: Computer) -> None:
    pc.server.offer(schedule="2027/03/01 12:00")
    pc.once()
    pc.clock.advance(days=101)
    assert pc.once().waiting == ()
    assert pc.server.codes == ["SUCCESS"]


# Actions that outlive the agent, and those of which nobody knows the end.


def test_an_action_that_still_runs_is_waited_for(pc: Computer) -> None:
    pc.runner.running = True
    agent = pc.agent()
    agent.poll()
    until = pc.clock.now() + timedelta(minutes=5)
    wait = agent.step(until)
    assert wait is not None
    assert (wait.what, "runs" in wait.why) == (For.PACE, True)
    assert pc.runner.waits == [60.0]  # until events go to the server
    pc.runner.running = False
    pc.once()  # another life of the agent
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 1


def test_nothing_else_moves_while_an_action_runs(pc: Computer) -> None:
    pc.server.publish("1800000002")
    pc.server.assign("1800000002")
    bring_to(pc, State.UNPACKED)
    pc.runner.running = True
    agent = pc.agent()
    agent.step(pc.clock.now() + timedelta(minutes=1))
    asked = len(pc.server.requests)
    agent.step(pc.clock.now() + timedelta(minutes=1))
    assert len(pc.server.requests) == asked


@pytest.mark.parametrize(
    ("tries", "vanish", "code", "starts"),
    [(1, 1, "ERR_DONE_FAILED", 1), (2, 1, "SUCCESS", 2), (2, 2, "ERR_DONE_FAILED", 2)],
)
def test_an_unknown_end_is_said_unless_another_try_is_allowed(
    pc: Computer, tries: int, vanish: int, code: str, starts: int
) -> None:
    pc.max_exec_tries = tries
    pc.runner.vanish = vanish
    pc.once()
    assert pc.server.codes == [code]
    assert len(pc.runner.started) == starts


def test_storing_is_repeated_when_nobody_knows(pc: Computer) -> None:
    pc.server.publish(action=Action.STORE, target="/opt/x")
    pc.runner.vanish = 3
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 4


def test_killed_between_intent_and_start_nothing_is_unknown(pc: Computer) -> None:
    bring_to(pc, State.RUNNING)
    assert pc.runner.started == []
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 1


@pytest.mark.parametrize(
    ("what", "restarted"),
    [("run-1", False), ("run-1/job.json", False), ("run-1", True), ("run-1/job.json", True)],
)
def test_an_action_that_removes_its_own_traces_is_not_repeated(
    pc: Computer, what: str, restarted: bool
) -> None:
    started, pc.runner.vanish = pc.runner.start, 9

    def start(job: Job, run: Path) -> None:
        started(job, run)
        gone = run.parent / what
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        if restarted:
            raise KeyboardInterrupt

    pc.runner.start = start  # type: ignore[assignment, method-assign]
    if restarted:
        with pytest.raises(KeyboardInterrupt):
            pc.once()
    pc.once()
    assert len(pc.runner.started) == 1
    assert pc.server.codes == ["ERR_DONE_FAILED"]


def test_a_runner_that_ends_before_it_begins_is_started_again(pc: Computer) -> None:
    pc.runner.stillborn = 3
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 1


def test_runners_that_never_begin_are_not_started_for_ever(pc: Computer) -> None:
    pc.runner.stillborn = 99
    pc.once()
    assert pc.server.codes == ["ERR_EXECUTE"]
    assert pc.runner.started == []
    assert pc.runner.stillborn == 94


def test_runners_are_counted_in_a_row(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.runner.exit_codes = [75, 0]
    pc.runner.stillborn = 4
    pc.once()
    pc.clock.advance(hours=1)
    pc.runner.stillborn = 4
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 2


def test_a_store_whose_end_is_never_known_is_not_tried_for_ever(pc: Computer) -> None:
    pc.server.publish(action=Action.STORE, target="/opt/x")
    pc.runner.vanish = 99
    pc.once()
    assert len(pc.runner.started) == 5
    assert pc.server.codes == ["ERR_DONE_FAILED"]


def test_every_run_has_a_folder_of_its_own(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.runner.exit_codes = [75, 0]
    pc.once()
    pc.clock.advance(hours=1)
    pc.once()
    assert [folder.name for folder in pc.runner.outcomes] == ["run-1", "run-2"]


@pytest.mark.parametrize("state", [State.OFFERED, State.DOWNLOADING, State.COMPLETE])
def test_what_is_not_ready_in_time_expires(pc: Computer, state: State) -> None:
    bring_to(pc, state)
    pc.server.settings = DownloadSettings(timeout_days=2)
    pc.clock.advance(days=2)
    pc.once()
    assert pc.server.codes == ["ERR_TIMEOUT"]
    assert pc.runner.started == []
