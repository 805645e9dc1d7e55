"""What our server is told between offer and report, when, and what never depends on it."""

from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import HttpRefusal, HttpStatus, ServerUnreachable
from deploy_agent.domain.state import State
from deploy_agent.services.agent import Agent
from deploy_agent.services.waiting import PATIENT
from deploy_agent.wire.replies import DownloadSettings
from tests.support.computer import Computer, bring_to
from tests.support.simulator import QUICK

ID = "1800000001"
SLOW = DownloadSettings(frag_latency_s=10, cycle_latency_s=0, period_latency_s=0)


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def states(pc: Computer) -> list[str]:
    return [each.state for each in pc.server.events]


def live(pc: Computer, agent: Agent, steps: int = 1000) -> None:
    """Let a patient agent work until nothing can move."""
    for _ in range(steps):
        wait = agent.step(pc.clock.now() + timedelta(hours=10))
        if wait is None:
            return
        pc.clock.advance(seconds=wait.seconds)


def test_every_state_is_told_in_order(pc: Computer) -> None:
    pc.once()
    assert states(pc) == [
        "OFFERED", "DOWNLOADING", "COMPLETE", "VERIFIED", "UNPACKED", "RUNNING", "DONE",
    ]  # fmt: skip
    last = pc.server.events[-1]
    assert (last.package, last.attempt) == (ID, pc.server.attempt)
    assert (last.reason, last.exit_code, last.output) == ("ended with SUCCESS", 0, "exit 0")
    assert not (pc.folder / "events.jsonl").exists()


def test_an_error_is_told_with_its_reason_and_output(pc: Computer) -> None:
    pc.runner.exit_codes = [3]
    pc.once()
    last = pc.server.events[-1]
    assert (last.state, last.exit_code, last.output) == ("DONE", 3, "exit 3")
    assert last.reason.startswith("ended with ERR_EXIT_CODE_3")


def test_fragments_are_counted(pc: Computer) -> None:
    pc.server.settings = SLOW
    agent = pc.agent(PATIENT)
    agent.poll()
    live(pc, agent)
    pc.clock.advance(minutes=1)
    agent.step()
    downloading = [each for each in pc.server.events if each.state == "DOWNLOADING"]
    assert [(each.done, each.total) for each in downloading] == [(1, 3), (2, 3)]
    assert all(each.reason == "" for each in downloading)


def test_an_ocs_server_is_told_nothing(pc: Computer) -> None:
    pc.server.ours = False
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert (pc.server.events, pc.server.event_messages) == ([], [])
    assert not (pc.folder / "events.jsonl").exists()


def test_many_fragments_are_few_events(pc: Computer) -> None:
    pc.server.publish(content=bytes(1000), fragments=1000)
    pc.trees.unpack = lambda archive, tree: tree.mkdir()  # type: ignore[method-assign]
    pc.server.settings = DownloadSettings(frag_latency_s=1, cycle_latency_s=0)
    agent = pc.agent(PATIENT)
    agent.poll()
    live(pc, agent, 5000)
    assert pc.server.codes == ["SUCCESS"]
    minutes = 1000 / 60
    assert 15 < len(pc.server.events) < minutes + 20
    assert len(pc.server.event_messages) < minutes + 5


def test_a_quick_package_is_told_in_one_message(pc: Computer) -> None:
    agent = pc.agent(PATIENT)
    agent.poll()
    agent.step()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.event_messages == [7]


def test_a_second_message_waits_a_minute(pc: Computer) -> None:
    agent = pc.agent(PATIENT)
    agent.poll()
    agent.step()
    pc.server.publish("1800000002")
    pc.server.assign("1800000002")
    pc.clock.advance(seconds=30)
    agent.poll()
    agent.step()
    assert pc.server.codes == ["SUCCESS", "SUCCESS"]
    assert len(pc.server.event_messages) == 1
    pc.clock.advance(seconds=31)
    agent.step()
    assert len(pc.server.event_messages) == 2
    assert pc.server.events[-1].package == "1800000002"


def test_what_is_told_while_an_action_runs_does_not_wait_for_its_end(pc: Computer) -> None:
    pc.runner.running = True
    agent = pc.agent(PATIENT)
    agent.poll()
    until = pc.clock.now() + timedelta(hours=1)
    agent.step(until)
    assert states(pc) == ["OFFERED", "DOWNLOADING", "COMPLETE", "VERIFIED", "UNPACKED", "RUNNING"]
    agent.step(until)
    assert pc.runner.waits[-1] == 3600.0, "nothing to say: nobody has to wake up for it"


def test_the_reason_for_waiting_is_told_when_it_changes(pc: Computer) -> None:
    pc.server.offer(schedule="2099/01/01 00:00")
    agent = pc.agent(PATIENT)
    agent.poll()
    agent.step()
    assert pc.server.told[-1] == ("UNPACKED", "scheduled for 2099/01/01 00:00")
    count = len(pc.server.events)
    for _ in range(3):
        pc.clock.advance(minutes=2)
        agent.poll()
        agent.step()
    assert len(pc.server.events) == count
    pc.server.settings = DownloadSettings(on=False)
    agent.poll()
    agent.step()
    assert pc.server.told[-1] == ("UNPACKED", "deployment is switched off for this computer")


def test_a_user_s_answer_is_told_at_once(pc: Computer) -> None:
    pc.server.offer(schedule="2099/01/01 00:00")
    agent = pc.agent(PATIENT)
    agent.poll()
    agent.step()
    package = agent.packages.get(ID)
    assert package is not None
    package.tell("the user put it off by an hour")
    pc.clock.advance(minutes=1)
    agent.step()
    assert pc.server.told[-1] == ("UNPACKED", "the user put it off by an hour")


def test_an_edited_package_says_why_it_starts_over(pc: Computer) -> None:
    pc.server.offer(schedule="2099/01/01 00:00")
    pc.once()
    pc.server.publish(fragments=2, revision=2)
    pc.server.offer(revision=2)
    pc.once()
    assert ("OFFERED", "it was edited; it starts over") in pc.server.told


# Servers that do not take them.


@pytest.mark.parametrize(
    "fault",
    [(404, None), (404, {"error": "x"}), (401, None), (200, None), (200, {"accepted": "x"}),
     (200, {}), HttpStatus("503", status=503), ServerUnreachable("away"),
     HttpRefusal("403", status=403)],
)  # fmt: skip
def test_what_is_not_taken_waits_for_the_next_contact(
    pc: Computer, fault: Exception | tuple[int, object]
) -> None:
    pc.server.events_fault = fault
    asked = []
    post = pc.server.post_json
    pc.server.post_json = lambda *call: asked.append(1) or post(*call)  # type: ignore[method-assign,func-returns-value]
    agent = pc.agent(PATIENT)
    agent.poll()
    for _ in range(5):
        agent.step()
        pc.clock.advance(minutes=10)
    assert pc.server.codes == ["SUCCESS"], "a report depends on nothing of it"
    assert len(asked) == 1
    pc.server.events_fault = None
    agent.step()
    assert len(asked) == 1
    agent.poll()
    agent.step()
    assert len(pc.server.events) == 7


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_for_good_is_not_sent_again(pc: Computer, status: int) -> None:
    pc.server.events_fault = (status, {"error": "x"})
    pc.once()
    pc.server.events_fault = None
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.events == []


def test_retry_after_is_obeyed(pc: Computer) -> None:
    pc.server.events_fault = HttpStatus("503", status=503, retry_after_s=3600)
    agent = pc.agent(PATIENT)
    agent.poll()
    agent.step()
    pc.server.events_fault = None
    pc.clock.advance(minutes=59)
    agent.poll()
    agent.step()
    assert pc.server.events == []
    pc.clock.advance(minutes=2)
    agent.step()
    assert len(pc.server.events) == 7


def test_results_go_first(pc: Computer) -> None:
    pc.server.report_fault = HttpStatus("503", status=503)
    agent = pc.agent(PATIENT)
    agent.poll()
    agent.step()
    assert pc.server.event_messages == []
    pc.server.report_fault = None
    pc.clock.advance(minutes=20)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.server.events) == 7


def test_events_outlive_a_restart_and_come_once(pc: Computer) -> None:
    pc.server.events_fault = (404, None)
    pc.server.report_fault = HttpStatus("503", status=503)
    pc.once()
    pc.server.events_fault = pc.server.report_fault = None
    pc.once()
    assert states(pc)[-1] == "DONE"
    assert states(pc).count("DONE") == 1
    assert len(pc.server.events) == 7


def test_a_lost_spool_is_no_error(pc: Computer) -> None:
    pc.server.events_fault = (404, None)
    bring_to(pc, State.DOWNLOADING)
    (pc.folder / "events.jsonl").write_bytes(b"\0" * 500)
    pc.server.events_fault = None
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert states(pc)[-1] == "DONE"


def test_nothing_is_sent_while_the_server_knows_the_computer_by_another_name(
    pc: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = pc.agent(PATIENT)
    agent.poll()
    monkeypatch.setattr(agent.contact, "known_device_id", lambda: None)
    agent.step()
    assert pc.server.event_messages == []


def test_once_tells_everything_before_it_ends(pc: Computer) -> None:
    for number in range(2, 12):
        pc.server.publish(f"18000000{number:02d}")
        pc.server.assign(f"18000000{number:02d}")
    pc.once()
    assert len(pc.server.events) == 11 * 7
    assert pc.server.settings == QUICK
