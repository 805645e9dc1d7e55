"""Post commands: at most once, after the result is safe, and nothing else until the restart."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import ActionFailed, ServerUnreachable
from deploy_agent.domain.outcome import Outcome
from deploy_agent.domain.record import PackageRecord, Reply, Result
from deploy_agent.domain.state import State
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.info import Notification
from deploy_agent.wire.terms import Action
from tests.support.clock import START
from tests.support.computer import Computer
from tests.support.dialogs import ALICE

ID = "1800000001"
OTHER = "1800000002"


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    return computer


def post_in_history(pc: Computer) -> dict[str, object]:
    post = pc.history.read_all()[0].get("post")
    assert isinstance(post, dict)
    return post


def waiting(pc: Computer) -> dict[str, str]:
    return dict(pc.once().waiting)


# REBOOT and SHUTDOWN.


@pytest.mark.parametrize(
    ("postcmd", "asked"),
    [("REBOOT", "restart"), ("SHUTDOWN", "shut down"), (" reboot ", "restart")],
)
def test_a_restart_is_asked_for_once_and_the_report_goes_out_before_it(
    pc: Computer, postcmd: str, asked: str
) -> None:
    pc.server.assign(postcmd=postcmd)
    assert pc.once().exit_status == 0
    assert pc.power.asked == [asked]
    assert "2 minutes" in pc.power.whys[0]
    assert pc.server.codes == ["SUCCESS"]
    pc.once()
    pc.agent(Patience()).step()
    assert pc.power.asked == [asked]


def test_the_result_is_on_the_disk_before_the_restart_is_asked_for(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    seen: list[tuple[State, list[str], bool]] = []

    def restart(why: str) -> None:
        record = pc.store.read(ID)
        assert record is not None
        seen.append((record.state, pc.codes_in_history(), record.restarts))

    pc.power.restart = restart  # type: ignore[method-assign]
    pc.once()
    assert seen == [(State.DONE, ["SUCCESS"], True)]


def test_nothing_starts_until_the_computer_was_restarted(pc: Computer) -> None:
    pc.server.publish(OTHER)
    pc.server.assign(postcmd="REBOOT")
    pc.server.assign(OTHER)
    why = f"waits for a restart of the computer, which package {ID} wants"
    assert waiting(pc) == {OTHER: why}
    pc.clock.advance(days=3)
    assert waiting(pc) == {OTHER: why}  # a restarted agent still knows
    assert len(pc.runner.started) == 1
    pc.power.come_back()
    assert waiting(pc) == {}
    assert pc.server.status(OTHER) == "SUCCESS"
    assert pc.store.ids() == []
    assert post_in_history(pc)["note"] == "the computer was restarted"


def test_downloads_go_on_while_a_restart_is_pending(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    pc.server.publish(OTHER)
    pc.server.assign(OTHER)
    pc.once()
    record = pc.store.read(OTHER)
    assert record is not None
    assert record.state is State.UNPACKED


def test_nobody_is_asked_while_a_restart_is_pending(pc: Computer) -> None:
    pc.dialog.users = [ALICE]
    pc.server.publish(OTHER, notification=Notification("May I?"))
    pc.server.assign(postcmd="REBOOT")
    pc.server.assign(OTHER)
    pc.once()
    assert pc.dialog.windows == []
    pc.power.come_back()
    pc.dialog.replies = [Reply.NOW]
    pc.once()
    assert pc.server.status(OTHER) == "SUCCESS"


def test_a_second_post_command_waits_for_the_first_restart(pc: Computer) -> None:
    """Both packages had ended when an agent was killed; the report of the second goes out."""
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    pc.server.publish(OTHER)
    row = pc.server.assign(OTHER, postcmd="REBOOT")
    record = PackageRecord(row.offer, START, State.DONE, result=Result("SUCCESS", START))
    pc.store.save(replace(record, started=True))
    pc.once()
    assert pc.server.status(OTHER) == "SUCCESS"
    assert pc.power.asked == ["restart"]
    pc.power.come_back()
    pc.once()
    pc.once()
    assert pc.power.asked == ["restart", "restart"]
    pc.power.come_back()
    pc.once()
    assert pc.store.ids() == []


def test_a_report_that_fails_does_not_keep_the_restart_back(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    pc.server.report_fault = ServerUnreachable("no route")
    assert pc.once().exit_status == 1
    assert pc.power.asked == ["restart"]
    pc.power.come_back()
    pc.server.report_fault = None
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]
    assert pc.power.asked == ["restart"]


def test_a_new_assignment_of_the_same_package_waits_for_the_restart_too(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    pc.server.assign(force=True)
    pc.once()
    assert len(pc.runner.started) == 1
    pc.power.come_back()
    pc.once()  # the record goes
    pc.once()
    assert len(pc.runner.started) == 2


def test_a_restart_that_is_refused_is_a_note_and_holds_nobody_back(pc: Computer) -> None:
    pc.power.broken = True
    pc.server.publish(OTHER)
    pc.server.assign(postcmd="REBOOT")
    pc.server.assign(OTHER)
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS", "SUCCESS"]
    post = post_in_history(pc)
    assert post["command"] == "REBOOT"
    assert post["note"] == "it was not carried out: 'shutdown' failed: no such file"


def test_a_package_that_only_needs_a_restart_blocks_nobody(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), reboot_codes=(30,)))
    pc.server.publish(OTHER)
    pc.server.assign()
    pc.server.assign(OTHER)
    pc.runner.exit_codes = [30, 0]
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS_REBOOT_REQUIRED", "SUCCESS"]
    assert pc.power.asked == []


# Only if the action was started.


def test_after_an_action_that_failed_it_runs_too(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    pc.runner.exit_codes = [3]
    pc.once()
    assert pc.server.codes == ["ERR_EXIT_CODE_3"]
    assert pc.power.asked == ["restart"]


def test_without_an_action_there_is_none(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    pc.runner.failure = ActionFailed("no such program")
    pc.once()
    assert pc.server.codes == ["ERR_EXECUTE"]
    pc.server.fail(f"{ID}-1", b"x")
    pc.runner.failure = None
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    assert pc.server.codes[1:] == ["ERR_BAD_DIGEST"]
    assert pc.power.asked == []


def test_what_is_in_history_has_none(pc: Computer) -> None:
    pc.server.assign()
    pc.once()
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    assert pc.server.codes == ["SUCCESS", "ERR_ALREADY_SETUP"]
    assert pc.power.asked == []


def test_what_a_user_cancelled_has_none(pc: Computer) -> None:
    pc.server.set_info(
        replace(pc.server.info(), notification=Notification("May I?", can_abort=True))
    )
    pc.dialog.users, pc.dialog.replies = [ALICE], [Reply.CANCEL]
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    assert pc.server.codes == ["ERR_ABORTED"]
    assert pc.power.asked == []


def test_when_nobody_knows_how_the_action_ended_there_is_none(pc: Computer) -> None:
    pc.server.assign(postcmd="REBOOT")
    pc.runner.vanish = 1
    pc.once()
    assert pc.server.codes == ["ERR_DONE_FAILED"]
    assert pc.power.asked == []


def test_a_retry_code_that_ran_out_of_time_has_one(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.runner.exit_codes = [75]
    pc.server.assign(postcmd="REBOOT")
    pc.once()
    assert pc.power.asked == []
    pc.clock.advance(days=40)
    pc.once()
    assert pc.server.codes == ["ERR_EXIT_CODE_75"]
    assert pc.power.asked == ["restart"]


# A command line.


def test_a_command_line_is_run_like_execute_outside_any_tree(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), execution_timeout_min=7))
    pc.server.assign(postcmd="logger 'it is $DONE'")
    assert pc.once().exit_status == 0
    first, post = pc.runner.started
    assert (first.action, post.action) == (Action.LAUNCH, Action.EXECUTE)
    assert post.target == "logger 'it is $DONE'"
    assert post.tree == Path("/")
    assert post.timeout_s == 7 * 60
    assert pc.server.codes == ["SUCCESS"]
    assert pc.store.ids() == []
    noted = post_in_history(pc)
    assert (noted["note"], noted["output"]) == ("it ended with exit code 0", "exit 0")
    assert noted["begun_at"] == "2026-11-21T10:00:00.000000Z"


def test_its_failure_is_a_note_and_no_other_result(pc: Computer) -> None:
    pc.server.assign(postcmd="false")
    pc.runner.exit_codes = [0, 1]
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert post_in_history(pc)["note"] == "it ended with exit code 1"
    assert pc.codes_in_history() == ["SUCCESS"]


def test_a_command_that_cannot_be_started_is_a_note(pc: Computer) -> None:
    start = pc.runner.start

    def failing(job: object, folder: Path) -> None:
        if folder.name.startswith("post"):
            raise ActionFailed("fork: out of memory")
        start(job, folder)  # type: ignore[arg-type]

    pc.runner.start = failing  # type: ignore[method-assign]
    pc.server.assign(postcmd="true")
    assert pc.once().exit_status == 0
    assert post_in_history(pc)["note"] == "it was not carried out: fork: out of memory"


def test_a_command_that_was_stopped_says_so(pc: Computer) -> None:
    pc.server.assign(postcmd="sleep 9999")
    start = pc.runner.start

    def stopping(job: object, folder: Path) -> None:
        start(job, folder)  # type: ignore[arg-type]
        if folder.name.startswith("post"):
            now = START + timedelta(hours=2)
            pc.runner.outcomes[folder] = Outcome(
                True, START, now, timed_out=True, error="stopped after 7200 s"
            )

    pc.runner.start = stopping  # type: ignore[method-assign]
    pc.once()
    assert post_in_history(pc)["note"] == "stopped after 7200 s"


def test_the_report_does_not_wait_for_it_and_other_actions_do(pc: Computer) -> None:
    pc.server.assign(postcmd="sleep 60")
    agent = pc.agent(Patience())
    begin = pc.runner.start

    def start(job: object, folder: Path) -> None:
        begin(job, folder)  # type: ignore[arg-type]
        pc.runner.running = folder.name.startswith("post")

    pc.runner.start = start  # type: ignore[method-assign]
    agent.poll()
    agent.step(pc.clock.now() + timedelta(minutes=1))
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 2
    pc.server.publish(OTHER, fragments=0)
    pc.server.assign(OTHER)
    agent.poll()
    wait = agent.step(pc.clock.now() + timedelta(minutes=1))
    assert wait is not None
    assert wait.why == f"the post command of package {ID} runs"
    assert len(pc.runner.started) == 2
    pc.runner.running = False
    agent.step()
    assert pc.server.codes == ["SUCCESS", "SUCCESS"]


def test_after_an_action_that_outlived_its_agent_it_is_waited_for_too(pc: Computer) -> None:
    pc.server.assign(postcmd="systemctl restart x")
    pc.runner.running = True
    dies = pc.agent(Patience(latencies=False))
    dies.poll()
    dies.step()
    assert len(pc.runner.started) == 1
    pc.runner.running = False
    assert pc.once().exit_status == 0
    assert post_in_history(pc)["note"] == "it ended with exit code 0"
    assert pc.store.ids() == []


def test_a_command_of_which_nothing_is_left_is_not_run_again(pc: Computer) -> None:
    pc.server.assign(postcmd="true")
    start = pc.runner.start

    def vanishing(job: object, folder: Path) -> None:
        pc.runner.vanish = int(folder.name.startswith("post"))
        start(job, folder)  # type: ignore[arg-type]

    pc.runner.start = vanishing  # type: ignore[method-assign]
    assert pc.once().exit_status == 0
    assert len(pc.runner.started) == 2
    assert post_in_history(pc)["note"] == "the action was started, and nothing says how it ended"


def test_without_a_post_command_history_says_nothing_of_one(pc: Computer) -> None:
    pc.server.assign()
    pc.once()
    assert "post" not in pc.history.read_all()[0]


def test_the_entry_keeps_what_it_had(pc: Computer) -> None:
    pc.server.assign(postcmd="true")
    pc.once()
    (path,) = (pc.folder / "history").iterdir()
    entry = json.loads(path.read_text())
    assert entry["output"] == "exit 0"
    assert entry["result"]["code"] == "SUCCESS"
    assert entry["attempt"] == pc.server.attempt
