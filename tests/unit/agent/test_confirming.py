"""NEED_DONE_ACTION: the result is saved, and nothing else happens until the user confirms."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy_agent.domain.record import Reply
from deploy_agent.domain.state import State
from deploy_agent.services.agent import Agent
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.info import Notification
from deploy_agent.wire.replies import DownloadSettings
from tests.support.computer import Computer, bring_to
from tests.support.dialogs import ALICE

ID = "1800000001"
OTHER = "1800000002"


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish(done_text="Please plug in the <b>new</b> keyboard.")
    computer.server.assign()
    computer.dialog.users = [ALICE]
    return computer


def daemon(pc: Computer) -> Agent:
    agent = pc.agent(Patience())
    agent.asking.wake = lambda: None
    agent.poll()
    agent.step()
    return agent


def test_the_result_is_saved_and_not_reported_until_the_user_confirms(pc: Computer) -> None:
    agent = daemon(pc)
    (window,) = pc.dialog.open_windows
    assert window.question.replies == (Reply.DONE,)
    assert window.question.countdown_s is None
    assert window.question.hint == ""
    record = pc.store.read(ID)
    assert record is not None
    assert record.state is State.CONFIRMING
    assert record.result is not None
    assert record.result.code == "SUCCESS"
    pc.clock.advance(days=2)
    agent.poll()
    agent.step()
    assert pc.server.codes == []
    assert "which a user has to confirm" in agent.standings()[0][1].why
    window.say(Reply.DONE)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.history.read_all()[0]["answers"] == [
        {"at": "2026-11-23T10:00:00.000000Z", "note": "", "reply": "done", "who": "alice"}
    ]


def test_it_is_asked_as_soon_as_the_action_ends_whatever_the_pace(pc: Computer) -> None:
    pc.server.settings = DownloadSettings(frag_latency_s=0, cycle_latency_s=3600)
    agent = pc.agent(Patience())
    agent.poll()
    for _ in range(20):
        if pc.runner.started:
            break
        pc.clock.advance(hours=1)
        agent.step()
    assert len(pc.dialog.open_windows) == 1


def test_no_other_package_acts_or_asks_meanwhile(pc: Computer) -> None:
    agent = daemon(pc)
    pc.server.publish(OTHER, notification=Notification("May I?"))
    pc.server.assign(OTHER)
    agent.poll()
    agent.step()
    assert len(pc.runner.started) == 1
    assert len(pc.dialog.windows) == 1
    whys = {package.id: found.why for package, found in agent.standings()}
    assert whys[OTHER] == f"waits until a user has confirmed the end of package {ID}"
    pc.dialog.open_windows[0].say(Reply.DONE)
    agent.step()
    assert pc.dialog.open_windows[0].question.package_id == OTHER


def test_a_question_about_another_package_gives_way(pc: Computer) -> None:
    pc.server.publish(OTHER, notification=Notification("May I?", countdown_s=0), priority=0)
    pc.server.assign(OTHER)
    agent = pc.agent(Patience())
    pc.server.assigned[ID].status, held = "x", pc.server.assigned[ID]
    agent.poll()
    agent.step()
    assert pc.dialog.open_windows[0].question.package_id == OTHER
    held.status = "WAITING"
    agent.poll()
    agent.step()
    agent.step()
    (window,) = pc.dialog.open_windows
    assert window.question.package_id == ID


def test_nobody_logged_in_goes_straight_on(pc: Computer) -> None:
    pc.dialog.users = []
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]
    (answer,) = pc.history.read_all()[0]["answers"]
    assert (answer["who"], answer["note"]) == ("", "nobody is logged in")


def test_where_nothing_can_show_it_others_need_not_wait_for_ever(pc: Computer) -> None:
    pc.dialog.unable = True
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]


def test_a_locked_screen_is_waited_for(pc: Computer) -> None:
    pc.dialog.change(locked=True)
    agent = daemon(pc)
    assert (pc.dialog.windows, pc.server.codes) == ([], [])
    pc.dialog.change(locked=False)
    pc.clock.advance(minutes=1)
    agent.step()
    pc.dialog.change(locked=True)  # it has no countdown that could run out unseen
    pc.clock.advance(minutes=1)
    agent.step()
    assert len(pc.dialog.open_windows) == 1


def test_a_log_off_ends_the_dialog_and_whoever_comes_next_is_asked(pc: Computer) -> None:
    agent = daemon(pc)
    pc.dialog.users = [replace(ALICE, id="8", user="carol")]
    pc.clock.advance(seconds=5)
    agent.step()
    assert pc.dialog.open_windows == []
    assert pc.server.codes == []
    pc.clock.advance(seconds=60)
    agent.step()
    assert pc.dialog.open_windows[0].session.user == "carol"


@pytest.mark.parametrize("reply", [Reply.NOTHING, Reply.CANCEL, Reply.NOW])
def test_only_done_confirms(pc: Computer, reply: Reply) -> None:
    agent = daemon(pc)
    pc.dialog.open_windows[0].say(reply)
    agent.step()
    assert pc.server.codes == []
    pc.clock.advance(seconds=60)
    agent.step()
    assert len(pc.dialog.open_windows) == 1


def test_after_a_kill_the_dialog_comes_back_and_never_the_action(pc: Computer) -> None:
    bring_to(pc, State.CONFIRMING)
    assert len(pc.runner.started) == 1
    assert pc.dialog.windows == []
    pc.dialog.replies = [Reply.DONE]
    pc.once()
    assert len(pc.runner.started) == 1
    assert len(pc.dialog.windows) == 1
    assert pc.server.codes == ["SUCCESS"]


def test_a_failure_is_named(pc: Computer) -> None:
    pc.runner.exit_codes = [3]
    pc.dialog.replies = [Reply.DONE]
    pc.once()
    assert pc.dialog.windows[0].question.hint == "It ended with ERR_EXIT_CODE_3."
    assert pc.server.codes == ["ERR_EXIT_CODE_3"]


def test_an_action_that_did_not_start_needs_no_confirmation(pc: Computer) -> None:
    from deploy_agent.domain.errors import ActionFailed

    pc.runner.failure = ActionFailed("no such program")
    pc.once()
    assert pc.dialog.windows == []
    assert pc.server.codes == ["ERR_EXECUTE"]


def test_the_post_command_comes_after_the_confirmation(pc: Computer) -> None:
    pc.server.offer(postcmd="REBOOT")
    agent = daemon(pc)
    assert pc.power.asked == []
    pc.dialog.open_windows[0].say(Reply.DONE)
    agent.step()
    assert pc.power.asked == ["restart"]
    assert pc.server.codes == ["SUCCESS"]


def test_a_new_assignment_meanwhile_waits(pc: Computer) -> None:
    agent = daemon(pc)
    pc.server.assign(force=True)
    agent.poll()
    agent.step()
    assert len(pc.runner.started) == 1
    pc.dialog.open_windows[0].say(Reply.DONE)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]


def test_once_gives_the_user_some_time(pc: Computer) -> None:
    from deploy_agent.services.once import run_once

    left = run_once(pc.agent(Patience(silences=3, user_s=120)), pc.clock)
    assert left.exit_status == 3
    assert sum(pc.clock.sleeps) == 120
    assert pc.server.codes == []
