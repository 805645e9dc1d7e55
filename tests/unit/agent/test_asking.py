"""The user before the action: what is asked, when, and what follows from every answer."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.asking import Kind
from deploy_agent.domain.record import SAID, PackageRecord, Reply
from deploy_agent.domain.state import State
from deploy_agent.services.waiting import For, Patience
from deploy_agent.wire.info import Notification
from deploy_agent.wire.replies import DownloadSettings
from tests.support.asked import ASKS, FOR_EVER, ID, answers, daemon, look_for, why, window
from tests.support.computer import Computer, bring_to
from tests.support.dialogs import ALICE, BOB


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish(notification=ASKS)
    computer.server.assign()
    computer.dialog.users = [ALICE]
    return computer


def test_nobody_logged_in_is_the_silent_path(pc: Computer) -> None:
    pc.dialog.users = []
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]
    assert pc.dialog.windows == []


def test_a_user_is_asked_and_nothing_runs_before(pc: Computer) -> None:
    agent = daemon(pc)
    asked = window(pc)
    assert asked.session == ALICE
    assert asked.question.text == "May <b>I</b>?"
    assert asked.question.replies == (Reply.NOW, Reply.LATER, Reply.CANCEL)
    assert "It starts by itself in 5 min, at " in asked.question.hint
    assert pc.runner.started == []
    assert why(agent) == "waits for a user's answer"


def test_now_acts_at_once_whatever_the_priority(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), priority=10))
    pc.server.settings = DownloadSettings(frag_latency_s=0)
    agent = daemon(pc)
    for _ in range(60):
        if pc.dialog.windows:
            break
        pc.clock.advance(seconds=60)
        agent.step()
    window(pc).say(Reply.NOW)
    agent.step()
    assert len(pc.runner.started) == 1
    assert pc.server.codes == ["SUCCESS"]
    assert answers(pc) == [("alice", "now")]


def test_only_what_is_allowed_can_be_answered(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), notification=Notification("May I?")))
    daemon(pc)
    assert window(pc).question.replies == (Reply.NOW,)
    assert window(pc).question.countdown_s == 120  # the default where the package says nothing


@pytest.mark.parametrize("reply", [Reply.CANCEL, Reply.LATER, Reply.DONE])
def test_an_answer_that_was_not_offered_is_none(pc: Computer, reply: Reply) -> None:
    pc.server.set_info(replace(pc.server.info(), notification=Notification("May I?")))
    agent = daemon(pc)
    window(pc).say(reply)
    agent.step()
    assert pc.server.codes == []
    assert pc.runner.started == []
    assert answers(pc) == [("alice", "nothing")]


def test_cancel_ends_the_package_and_names_who(pc: Computer) -> None:
    agent = daemon(pc)
    window(pc).say(Reply.CANCEL)
    agent.step()
    assert pc.server.codes == ["ERR_ABORTED"]
    assert pc.runner.started == []
    assert answers(pc) == [("alice", "cancel")]
    assert pc.history.read_all()[0]["result"]["detail"] == "alice cancelled it"


def test_later_is_no_status_and_asked_again_at_the_next_contact(pc: Computer) -> None:
    agent = daemon(pc)
    window(pc).say(Reply.LATER)
    agent.step()
    assert why(agent) == "alice said: later; asked again at 2026-11-21 11:00:00 UTC"
    assert pc.server.codes == []
    assert pc.dialog.open_windows == []
    pc.clock.advance(minutes=59)
    agent.step()
    assert pc.dialog.open_windows == []
    pc.clock.advance(minutes=1)
    agent.step()
    window(pc).say(Reply.NOW)
    agent.step()
    assert answers(pc) == [("alice", "later"), ("alice", "now")]


def test_later_survives_a_restart_and_ends_with_the_next_once(pc: Computer) -> None:
    agent = daemon(pc)
    window(pc).say(Reply.LATER)
    agent.step()
    restarted = pc.agent(Patience())
    restarted.step()
    assert pc.dialog.open_windows == []
    pc.once()
    assert len(pc.dialog.windows) == 2


def test_a_clock_that_was_put_back_asks_again(pc: Computer) -> None:
    agent = daemon(pc)
    window(pc).say(Reply.LATER)
    agent.step()
    pc.clock.advance(days=-30)
    agent.step()
    assert len(pc.dialog.open_windows) == 1


# The countdown.


def test_a_countdown_starts_the_action_by_itself(pc: Computer) -> None:
    agent = daemon(pc)
    look_for(agent, pc, 295)
    pc.clock.advance(seconds=4)
    wait = agent.step()
    assert wait is not None
    assert (wait.seconds, wait.what) == (1, For.USER)
    assert pc.runner.started == []
    pc.clock.advance(seconds=1)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]
    assert answers(pc) == [("alice", "countdown")]
    assert pc.dialog.open_windows == []


def test_a_countdown_of_0_waits_for_days_and_the_agent_goes_on(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), notification=FOR_EVER))
    agent = daemon(pc)
    assert window(pc).question.hint == ""
    assert agent.step() is None  # the daemon's own tick will do
    for _ in range(5):
        pc.clock.advance(days=1)
        agent.poll()
        agent.step()
    assert pc.server.prologs == 6
    assert len(pc.dialog.windows) == 1
    pc.server.publish("1800000002")
    pc.server.assign("1800000002")
    agent.poll()
    agent.step()
    assert pc.server.codes == ["SUCCESS"]
    window(pc).say(Reply.NOW)
    agent.step()
    assert pc.server.codes == ["SUCCESS", "SUCCESS"]


def test_other_packages_are_fetched_while_a_user_thinks(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), notification=FOR_EVER))
    agent = daemon(pc)
    pc.server.publish("1800000002", fragments=3)
    pc.server.settings = DownloadSettings(frag_latency_s=10, cycle_latency_s=60)
    pc.server.assign("1800000002")
    agent.poll()
    for _ in range(80):
        pc.clock.advance(seconds=5)
        agent.step()
    assert pc.server.status("1800000002") == "SUCCESS"
    assert len(pc.dialog.open_windows) == 1


# Whom, and what becomes of a question.


def test_a_screen_comes_before_a_terminal_and_the_computer_before_the_network(
    pc: Computer,
) -> None:
    local = replace(BOB, id="7", remote=False, tty="tty2")
    for users, first in (([BOB, ALICE], ALICE), ([BOB, local], local)):
        pc.dialog.users = users
        pc.dialog.windows.clear()
        agent = daemon(pc)
        assert window(pc).session == first
        agent.close()


def test_where_no_screen_can_show_it_a_terminal_is_tried(pc: Computer) -> None:
    pc.dialog.users = [ALICE, BOB]
    show = pc.dialog.open
    pc.dialog.open = (  # type: ignore[method-assign]
        lambda question, session, answered: (
            None if session.kind is Kind.SCREEN else show(question, session, answered)
        )
    )
    daemon(pc)
    assert window(pc).session == BOB


def test_where_nothing_can_show_it_the_package_says_so_and_waits(pc: Computer) -> None:
    pc.dialog.unable = True
    agent = daemon(pc)
    assert "install zenity or kdialog" in why(agent)
    assert pc.runner.started == []


def test_one_question_at_a_time_by_priority(pc: Computer) -> None:
    pc.server.publish("1800000002", notification=ASKS, priority=0)
    pc.server.assign("1800000002")
    agent = daemon(pc)
    assert [each.question.package_id for each in pc.dialog.open_windows] == ["1800000002"]
    window(pc).say(Reply.CANCEL)
    agent.step()
    assert [each.question.package_id for each in pc.dialog.open_windows] == [ID]


def test_a_question_about_what_was_taken_back_goes_away(pc: Computer) -> None:
    agent = daemon(pc)
    attempt = pc.server.assigned[ID].offer.attempt
    assert attempt is not None
    pc.server.cancels = ((ID, attempt),)
    pc.server.assigned.clear()
    agent.poll()
    window(pc).say(Reply.NOW)  # in the same moment
    agent.step()
    assert pc.dialog.open_windows == []
    assert pc.runner.started == []
    assert pc.store.ids() == []


@pytest.mark.parametrize("change", ["off", "schedule"])
def test_a_question_that_is_too_early_now_goes_away_without_an_answer(
    pc: Computer, change: str
) -> None:
    agent = daemon(pc)
    if change == "off":
        pc.server.settings = DownloadSettings(on=False)
    else:
        pc.server.offer(schedule="2026/11/21 20:00")
    agent.poll()
    agent.step()
    assert pc.dialog.open_windows == []
    assert answers(pc) == []


def test_a_schedule_comes_before_the_question(pc: Computer) -> None:
    pc.server.offer(schedule="2026/11/21 12:00")
    agent = daemon(pc)
    assert pc.dialog.windows == []
    pc.clock.advance(hours=2)
    agent.step()
    assert len(pc.dialog.open_windows) == 1


def test_an_answer_while_another_action_runs_waits_for_its_end(pc: Computer) -> None:
    agent = daemon(pc)
    pc.server.publish("1800000002", fragments=0)
    pc.server.assign("1800000002")
    pc.runner.running = True
    agent.poll()
    agent.step(pc.clock.now() + timedelta(hours=1))
    assert len(pc.runner.started) == 1
    assert max(each for each in pc.runner.waits if each is not None) <= 5  # it looks in between
    window(pc).say(Reply.NOW)
    agent.step(pc.clock.now() + timedelta(hours=1))
    assert answers(pc) == [("alice", "now")]
    assert len(pc.runner.started) == 1
    pc.runner.running = False
    agent.step()
    assert len(pc.runner.started) == 2


def test_who_is_there_is_not_asked_all_the_time(pc: Computer) -> None:
    agent = daemon(pc)
    looks = pc.dialog.looks
    for _ in range(20):
        agent.step()
    assert pc.dialog.looks == looks
    pc.clock.advance(seconds=5)
    agent.step()
    assert pc.dialog.looks == looks + 1


# `once`.


def test_once_waits_for_a_countdown(pc: Computer) -> None:
    assert pc.once(wait=True).exit_status == 0
    assert sum(pc.clock.sleeps) == 300
    assert answers(pc) == [("alice", "countdown")]


def test_once_gives_a_question_without_a_countdown_its_time(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), notification=FOR_EVER))
    from deploy_agent.services.once import run_once

    left = run_once(pc.agent(Patience(silences=3, user_s=120)), pc.clock)
    assert left.exit_status == 3
    assert "nobody looked at it" in left.waiting[0][1]
    assert sum(pc.clock.sleeps) == 120
    assert pc.dialog.open_windows == []


def test_once_without_waiting_asks_nobody(pc: Computer) -> None:
    from deploy_agent.services.once import run_once

    patience = Patience(latencies=False, silences=3, user_s=0)
    left = run_once(pc.agent(patience), pc.clock, wait=False)
    assert left.waiting == ((ID, "waits for a user's answer"),)
    assert pc.dialog.windows == []


def told_of_alice(pc: Computer) -> list[tuple[str, str]]:
    """What the server was told of her, but for what followed from it."""
    return [
        (each.state, each.reason)
        for each in pc.server.events
        if each.reason.startswith("alice") and "asked again" not in each.reason
    ]


def test_the_server_learns_every_answer(pc: Computer) -> None:
    agent = daemon(pc)
    for reply in (Reply.LATER, Reply.NOTHING, Reply.LATER, Reply.NOW):
        window(pc).say(reply)
        agent.step()
        pc.clock.advance(hours=1)
        agent.poll()
        agent.step()
    assert told_of_alice(pc) == [
        ("UNPACKED", "alice said: later"),
        ("UNPACKED", "alice gave no answer: the window is gone"),
        ("UNPACKED", "alice said: later"),
        ("UNPACKED", "alice said: start now"),
    ]


@pytest.mark.parametrize("reply", [Reply.LATER, Reply.CANCEL])
@pytest.mark.parametrize("saved", [False, True])
def test_the_server_learns_what_is_kept_and_nothing_else(
    pc: Computer, reply: Reply, *, saved: bool
) -> None:
    """The agent dies between the answer and its record, or between that and what it tells."""
    agent = daemon(pc)
    save = agent.packages.store.save

    def die(record: PackageRecord) -> None:
        if saved:
            save(record)
        raise KeyboardInterrupt

    agent.packages.store.save = die  # type: ignore[method-assign]
    window(pc).say(reply)
    with pytest.raises(KeyboardInterrupt):
        agent.step()
    pc.dialog.unable = True
    for _ in range(3):
        daemon(pc)
        pc.clock.advance(minutes=5)
    kept = [each for each in answers(pc) if each[1] != "nothing"]
    assert kept == ([("alice", reply.value)] if saved else [])
    told = [reason for _, reason in told_of_alice(pc) if "no answer" not in reason]
    assert told == ([f"alice {SAID[reply]}"] if saved else [])


def test_a_countdown_counts_only_while_somebody_looks(pc: Computer) -> None:
    """The agent was at other work, and the screen may have been locked meanwhile."""
    agent = daemon(pc)
    look_for(agent, pc, 100)
    pc.clock.advance(minutes=30)
    look_for(agent, pc, 200)
    assert pc.runner.started == []
    look_for(agent, pc, 5)
    assert answers(pc) == [("alice", "countdown")]


def test_a_record_with_answers_is_read_again(pc: Computer) -> None:
    bring_to(pc, State.UNPACKED)
    pc.dialog.replies = [Reply.LATER]
    pc.once()
    record = pc.store.read(ID)
    assert record is not None
    (answer,) = record.answers
    assert (answer.who, answer.reply, answer.at) == ("alice", Reply.LATER, pc.clock.now())
    assert record.ask_at == pc.clock.now() + timedelta(hours=1)
