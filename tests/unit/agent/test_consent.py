"""What never is consent: log-off, lock, windows that die, kills, and packages that changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy_agent.domain.record import Reply
from deploy_agent.domain.state import State
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.replies import DownloadSettings
from tests.support.asked import ASKS, ID, answers, daemon, look_for, why, window
from tests.support.computer import Computer
from tests.support.dialogs import ALICE


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish(notification=ASKS)
    computer.server.assign()
    computer.dialog.users = [ALICE]
    return computer


@pytest.mark.parametrize(
    ("happens", "note"),
    [
        ({"locked": True}, "the screen is locked"),
        ({"active": False}, "the session is in the background"),
        ({"id": "9"}, "logged off"),  # and on again
    ],
)
def test_a_user_who_is_not_there_any_more_does_not_consent(
    pc: Computer, happens: dict[str, object], note: str
) -> None:
    agent = daemon(pc)
    pc.clock.advance(seconds=2)
    look_for(agent, pc, 295)  # and once more when the time is up, however short that is after
    pc.dialog.change(**happens)
    pc.clock.advance(seconds=3)
    agent.step()
    assert pc.runner.started == []
    assert f"alice gave no answer: {note}" in why(agent)
    assert pc.dialog.open_windows == []


def test_a_log_off_is_noticed_before_the_countdown_ends(pc: Computer) -> None:
    agent = daemon(pc)
    pc.dialog.users = []
    pc.clock.advance(seconds=5)
    agent.step()
    assert pc.runner.started == []
    assert "logged off" in why(agent)
    # A period later nobody is there to be disturbed.
    pc.clock.advance(seconds=60)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]


def test_a_dialog_that_dies_asks_again_in_the_next_period(pc: Computer) -> None:
    pc.server.settings = DownloadSettings(
        frag_latency_s=0, cycle_latency_s=60, period_length=10, period_latency_s=30
    )
    agent = pc.agent(Patience())
    agent.poll()
    for _ in range(20):
        if pc.dialog.windows:
            break
        pc.clock.advance(seconds=60)
        agent.step()
    window(pc).say(Reply.NOTHING)
    agent.step()
    assert "alice gave no answer: the window is gone" in why(agent)
    pc.clock.advance(seconds=629)
    agent.step()
    assert pc.dialog.open_windows == []
    pc.clock.advance(seconds=1)
    agent.step()
    assert len(pc.dialog.open_windows) == 1
    assert window(pc).question.countdown_s == 300  # from its beginning


def test_the_same_silence_is_kept_and_told_once(pc: Computer) -> None:
    agent = daemon(pc)
    for _ in range(50):
        window(pc).say(Reply.NOTHING)
        agent.step()
        pc.clock.advance(seconds=60)
        agent.step()
    assert answers(pc) == [("alice", "nothing")]


def test_nobody_is_asked_behind_a_locked_screen(pc: Computer) -> None:
    pc.dialog.change(locked=True)
    agent = daemon(pc)
    assert pc.dialog.windows == []
    assert why(agent) == "waits for a user's answer"
    pc.clock.advance(hours=9)
    agent.step()
    assert (pc.dialog.windows, pc.runner.started) == ([], [])
    pc.dialog.change(locked=False)
    pc.clock.advance(minutes=1)
    agent.step()
    assert len(pc.dialog.open_windows) == 1


def test_a_kill_while_a_question_stands_asks_again_with_the_whole_countdown(pc: Computer) -> None:
    daemon(pc)
    pc.clock.advance(seconds=299)
    again = daemon(pc)
    assert len(pc.dialog.windows) == 2
    pc.clock.advance(seconds=299)
    again.step()
    assert pc.runner.started == []


def test_consent_survives_a_kill_before_the_action(pc: Computer) -> None:
    pc.dialog.replies = [Reply.NOW]
    bring_to_consent(pc)
    record = pc.store.read(ID)
    assert record is not None
    assert (record.state, record.consented) == (State.UNPACKED, True)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.dialog.windows) == 1


def bring_to_consent(pc: Computer) -> None:
    class Dead(BaseException):
        pass

    def act(*_: object) -> None:
        raise Dead

    agent = pc.agent()
    agent._installer.act = act  # type: ignore[method-assign]
    agent.poll()
    with pytest.raises(Dead):
        agent.step()


def test_an_edited_package_is_asked_about_anew(pc: Computer) -> None:
    pc.dialog.replies = [Reply.NOW]
    bring_to_consent(pc)
    pc.server.set_info(replace(pc.server.info(), revision=2, target="other.sh"))
    pc.server.offer(revision=2)
    pc.once()
    assert len(pc.dialog.windows) == 2
    assert pc.runner.started == []


def test_a_retry_code_asks_nobody_again(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.runner.exit_codes = [75, 0]
    pc.dialog.replies = [Reply.NOW]
    pc.once()
    pc.clock.advance(minutes=5)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.dialog.windows) == 1
