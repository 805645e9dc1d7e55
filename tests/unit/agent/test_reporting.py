"""After the end: history first, then the report, and the folder only when the server knows."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy_agent.domain.errors import CleanFailed, HttpStatus
from deploy_agent.domain.state import State
from deploy_agent.wire.messages import DownloadReport
from tests.support.computer import Computer
from tests.support.simulator import QUICK

ID = "1800000001"


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def test_history_knows_before_the_server_does(pc: Computer) -> None:
    known: list[list[str]] = []
    report = pc.server._report

    def watched(message: DownloadReport) -> bytes:
        known.append(pc.codes_in_history())
        return report(message)

    pc.server._report = watched  # type: ignore[method-assign,assignment]
    pc.once()
    assert known == [["SUCCESS"]]


def test_content_goes_before_the_server_knows_the_result_stays(pc: Computer) -> None:
    pc.server.report_fault = HttpStatus("503", status=503)
    pc.once()
    assert pc.files() == {"record.json", "info", "run-1"}
    record = pc.store.read(ID)
    assert record is not None
    assert record.state is State.DONE


def test_a_folder_that_cannot_be_removed_is_a_note_and_no_result(
    pc: Computer, caplog: pytest.LogCaptureFixture
) -> None:
    remove = pc.disk.remove_folder
    stuck = [True]

    def sticky(path: Path) -> None:
        if stuck[0] and path.name.startswith("run-"):
            raise CleanFailed("it is protected")
        remove(path)

    pc.disk.remove_folder = sticky  # type: ignore[method-assign]
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]
    assert pc.files() >= {"record.json", "run-1"}
    assert caplog.text.count("its folder stays for now") == 1
    stuck[0] = False
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]
    assert pc.files() == set()


def test_what_stays_of_an_old_package_does_not_disturb_a_new_one(pc: Computer) -> None:
    remove = pc.disk.remove_folder

    def sticky(path: Path) -> None:
        if path.name.startswith("run-"):
            raise CleanFailed("it is protected")
        remove(path)

    pc.disk.remove_folder = sticky  # type: ignore[method-assign]
    pc.runner.exit_codes = [3, 0]
    pc.once()
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["ERR_EXIT_CODE_3", "SUCCESS"]
    assert [folder.name for folder in pc.runner.outcomes] == ["run-1", "run-2"]


# Records that cannot be read: the server's next offer says of which attempt they were.


def damaged(pc: Computer) -> None:
    """Run the package, keep its result from the server, and damage the record."""
    pc.server.report_fault = HttpStatus("503", status=503)
    pc.once()
    pc.store.path(ID, "record.json").write_bytes(b"")
    pc.server.report_fault = None


def test_history_answers_for_a_record_that_cannot_be_read(pc: Computer) -> None:
    damaged(pc)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.status() == "SUCCESS"
    assert len(pc.runner.started) == 1
    assert pc.files() == set()


@pytest.mark.parametrize("ours", [True, False])
def test_where_history_does_not_know_either_the_end_is_unknown(pc: Computer, ours: bool) -> None:
    pc.server.ours = ours
    pc.server.publish(foreign=not ours)
    pc.server.assign()
    damaged(pc)
    for entry in (pc.folder / "history").iterdir():
        entry.unlink()
    pc.once()
    assert pc.server.codes == ["ERR_DONE_FAILED"]
    assert pc.server.status() == "ERR_DONE_FAILED"
    assert pc.codes_in_history() == ["ERR_DONE_FAILED"]
    assert len(pc.runner.started) == 1
    assert pc.files() == set()


def test_a_record_that_nobody_asks_for_any_more_goes(pc: Computer) -> None:
    damaged(pc)
    pc.server.assigned.clear()
    assert pc.once().exit_status == 0
    assert pc.server.codes == []
    assert pc.files() == set()


def test_while_deployment_is_off_it_is_kept(pc: Computer) -> None:
    damaged(pc)
    pc.server.settings = replace(QUICK, on=False)
    pc.once()
    assert pc.files() != set()
    pc.server.settings = QUICK
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
