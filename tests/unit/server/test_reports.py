"""DOWNLOAD reports: what becomes the status, what is history only, and what is only logged."""

import logging

import pytest
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.storage.models import Activation, Assignment, Computer
from tests.support import factories as make
from tests.support.clock import START
from tests.support.contact import OURS, Wire
from tests.support.statements import recorded

# Every row of features.md 4, and what people may meet besides.
CODES = {
    "SUCCESS": ResultClass.SUCCESS,
    "SUCCESS_0": ResultClass.SUCCESS,
    "SUCCESS_3": ResultClass.ERROR,
    "SUCCESS_": ResultClass.ERROR,
    "SUCCESS_REBOOT_INITIATED": ResultClass.SUCCESS,
    "SUCCESS_REBOOT_REQUIRED": ResultClass.SUCCESS,
    "SUCCESS_RESTART_REQUIRED": ResultClass.SUCCESS,
    "SUCCESS_ALREADY_SETUP": ResultClass.SUCCESS,
    "SUCCESS_ALREADY_IN_HISTORY": ResultClass.SUCCESS,
    "ERR_ALREADY_SETUP": ResultClass.SUCCESS,
    "NOTI_DELAYED": ResultClass.NOTIFIED,
    "EXIT_CODE_3": ResultClass.ERROR,
    "EXIT_CODE_-1073741510": ResultClass.ERROR,
    "ERR_EXIT_CODE_3": ResultClass.ERROR,
    **dict.fromkeys(
        ["ERR_BAD_ID", "ERR_BAD_DIGEST", "ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_PACK", "ERR_BUILD",
         "ERR_UNZIP", "ERR_OUT_OF_SPACE", "ERR_BAD_PARAM", "ERR_EXECUTE_PACK", "ERR_EXECUTE",
         "ERR_EXECUTE_NO_EXIT_CODE", "ERR_EXECUTE_TIMEOUT", "ERR_EXECUTE_TOO_MANY_TRY",
         "ERR_CLEAN", "ERR_DONE_FAILED", "ERR_TIMEOUT", "ERR_ABORTED", "ERR_NO_PARAM",
         "ERR_NO_LAUNCHER", "UNKNOWN_CODE", "WAITING", "<script>alert(1)</script>", "é'\"&"],
        ResultClass.ERROR,
    ),
}  # fmt: skip


@pytest.fixture
def wire(session: Session) -> Wire:
    return Wire(session)


@pytest.fixture
def pc(wire: Wire) -> Computer:
    return make.make_computer(wire.session, name="pc")


@pytest.fixture
def activation(wire: Wire) -> Activation:
    return make.make_activation(wire.session, make.make_package(wire.session, name="tool"))


def assigned(wire: Wire, pc: Computer, activation: Activation, **values: object) -> Assignment:
    fields = {"status": "NOTIFIED", "attempt": 7, **values}
    return make.make_assignment(wire.session, pc, activation, **fields)


def test_every_code_is_kept_verbatim_and_counted(session: Session) -> None:
    wire = Wire(session)
    activation = make.make_activation(session)
    for code, result_class in CODES.items():
        pc = make.make_computer(session)
        assigned(wire, pc, activation)
        wire.report(pc, activation, code)
        row = wire.row(pc, activation)
        assert row is not None
        assert (row.status, row.status_class) == (code, result_class)
        assert wire.offered(pc) == []


def test_a_result_is_status_and_history(wire: Wire, pc: Computer, activation: Activation) -> None:
    assigned(wire, pc, activation, offered_revision=4, assigned_by="chief")
    wire.clock.advance(minutes=3)
    wire.report(pc, activation, "ERR_BAD_DIGEST")
    row = wire.row(pc, activation)
    assert row is not None
    assert (row.status, row.since) == ("ERR_BAD_DIGEST", wire.clock())
    assert pc.last_contact == wire.clock()
    (report,) = wire.reports()
    assert (report.at, report.device_id, report.computer_name) == (
        wire.clock(), pc.device_id, "pc",
    )  # fmt: skip
    assert (report.package_id, report.package_name, report.revision) == (
        activation.package_id, "tool", 4,
    )  # fmt: skip
    assert (report.code, report.result_class) == ("ERR_BAD_DIGEST", ResultClass.ERROR)
    assert (report.counted, report.note, report.attempt) == (True, "", None)
    assert (report.assigned_by, report.assigned_at) == ("chief", START)


@pytest.mark.parametrize("attempt", [None, 7])
def test_a_repeated_result_changes_nothing(
    wire: Wire, pc: Computer, activation: Activation, attempt: int | None
) -> None:
    assigned(wire, pc, activation)
    for _ in range(3):
        wire.report(pc, activation, "SUCCESS", attempt)
        wire.clock.advance(minutes=1)
    assert len(wire.reports()) == 1
    row = wire.row(pc, activation)
    assert row is not None
    assert row.since == START


def test_a_result_of_an_older_attempt_is_history_only(
    wire: Wire, pc: Computer, activation: Activation
) -> None:
    assigned(wire, pc, activation, status="WAITING", attempt=8)
    for _ in range(2):
        wire.report(pc, activation, "SUCCESS", attempt=7)
    assert wire.status(pc, activation) == "WAITING"
    (report,) = wire.reports()
    assert (report.counted, report.attempt, report.note) == (False, 7, "of an older attempt")
    wire.report(pc, activation, "ERR_TIMEOUT", attempt=8)
    assert wire.status(pc, activation) == "ERR_TIMEOUT"


def test_a_second_end_of_an_attempt_is_history_only(
    wire: Wire, pc: Computer, activation: Activation
) -> None:
    assigned(wire, pc, activation)
    wire.report(pc, activation, "SUCCESS", attempt=7)
    for _ in range(2):
        wire.report(pc, activation, "ERR_DONE_FAILED", attempt=7)
    assert wire.status(pc, activation) == "SUCCESS"
    first, second = wire.reports()
    assert (first.counted, second.counted) == (True, False)
    assert second.note == "the attempt had ended with SUCCESS"


def test_a_result_of_an_attempt_that_a_restored_backup_forgot_counts(
    wire: Wire, pc: Computer, activation: Activation
) -> None:
    assigned(wire, pc, activation, status="WAITING", attempt=7)
    wire.report(pc, activation, "SUCCESS", attempt=9)
    assert wire.status(pc, activation) == "SUCCESS"


def test_a_cleared_row_stays_cleared(wire: Wire, pc: Computer, activation: Activation) -> None:
    assigned(wire, pc, activation, cleared_at=START)
    wire.report(pc, activation, "SUCCESS")
    row = wire.row(pc, activation)
    assert row is not None
    assert (row.status, row.cleared_at) == ("NOTIFIED", START)
    (report,) = wire.reports()
    assert (report.counted, report.note) == (False, "validated before")


@pytest.mark.parametrize(("known", "code", "name"), [(True, 2503, "tool"), (False, 2501, "")])
def test_a_package_that_is_not_assigned_is_history_and_in_the_log(
    wire: Wire,
    pc: Computer,
    activation: Activation,
    caplog: pytest.LogCaptureFixture,
    known: bool,
    code: int,
    name: str,
) -> None:
    caplog.set_level(logging.INFO, "tranche.activity")
    for _ in range(2):
        wire.report(pc, activation if known else 1_799_999_999, "ERR_BAD_ID")
    (report,) = wire.reports()
    assert (report.counted, report.package_name) == (False, name)
    assert report.note
    assert [line.split(";")[0] for line in caplog.messages] == [str(code), "2002"]


@pytest.mark.parametrize("package_id", [2**31, 10**19])
def test_an_id_that_no_package_can_have_is_only_logged(
    wire: Wire, pc: Computer, package_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tranche.activity")
    wire.report(pc, package_id, "SUCCESS")
    assert wire.reports() == []
    assert caplog.messages[0].startswith("2501;")


def test_a_stranger_is_only_logged(
    wire: Wire, activation: Activation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tranche.activity")
    wire.report("stranger-2026-01-02-03-04-05", activation, "SUCCESS")
    assert wire.reports() == []
    assert caplog.messages[0].startswith("2505;stranger-2026-01-02-03-04-05;192.0.2.7;")


def test_what_an_agent_writes_stays_in_its_place_of_the_line(
    wire: Wire, pc: Computer, activation: Activation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tranche.activity")
    assigned(wire, pc, activation)
    wire.report(pc, activation, "ERR\n2001;forged;line")
    (line,) = caplog.messages
    assert "\n" not in line
    assert line.count(";") == 4


def test_a_report_takes_few_statements(wire: Wire, pc: Computer, activation: Activation) -> None:
    assigned(wire, pc, activation)
    wire.session.commit()
    with recorded(wire.session) as statements:
        wire.report(pc.device_id, activation.package_id, "SUCCESS", 7)
    assert len([each for each in statements if not each.startswith("BEGIN")]) == 5


def test_our_agents_results_count_too(wire: Wire, pc: Computer, activation: Activation) -> None:
    assigned(wire, pc, activation, status="WAITING")
    (offer,) = wire.prolog(pc, OURS).offers
    wire.report(pc, activation, "ERR_EXIT_CODE_3", offer.attempt)
    assert wire.status(pc, activation) == "ERR_EXIT_CODE_3"
    assert wire.prolog(pc, OURS).offers == ()
