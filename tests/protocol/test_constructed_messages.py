"""The Windows agent's shapes, constructed from OCS's description of them (see their README)."""

import pytest

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, parse_request
from deploy_agent.wire.result import ResultClass, ResultCode
from tests.support.vectors import CONSTRUCTED

PC = "PC-WIN-2026-01-02-03-04-05"


def read(name: str) -> Prolog | Inventory | DownloadReport:
    return parse_request((CONSTRUCTED / f"{name}.xml").read_bytes())


def test_an_empty_content_is_no_harm_to_a_prolog() -> None:
    assert read("windows-prolog") == Prolog(PC)


def test_attributes_alone_make_a_prolog() -> None:
    assert read("all-attributes-prolog") == Prolog("host-b-2026-01-02-03-04-05")


@pytest.mark.parametrize(
    ("name", "code", "meaning", "number"),
    [
        ("success", "SUCCESS", ResultClass.SUCCESS, None),
        ("exit-code", "EXIT_CODE_1603", ResultClass.ERROR, 1603),
        ("exit-code-negative", "EXIT_CODE_-1073741510", ResultClass.ERROR, -1073741510),
        ("reboot-required", "SUCCESS_REBOOT_REQUIRED", ResultClass.SUCCESS, None),
        ("already-setup", "ERR_ALREADY_SETUP", ResultClass.SUCCESS, None),
        ("too-many-try", "ERR_EXECUTE_TOO_MANY_TRY", ResultClass.ERROR, None),
    ],
)
def test_a_mixed_report_is_read(
    name: str, code: str, meaning: ResultClass, number: int | None
) -> None:
    report = read(f"windows-download-{name}")
    assert report == DownloadReport(PC, "1800000001", code)
    parsed = ResultCode.parse(code)
    assert (parsed.result_class, parsed.exit_code) == (meaning, number)


def test_children_alone_make_a_report() -> None:
    expected = DownloadReport("host-b-2026-01-02-03-04-05", "1800000001", "ERR_EXIT_CODE_3")
    assert read("all-children-download") == expected


def test_a_report_without_err_is_an_unknown_code() -> None:
    report = read("download-without-err")
    assert isinstance(report, DownloadReport)
    assert report.code == "UNKNOWN_CODE"
    assert ResultCode.parse(report.code).result_class is ResultClass.ERROR


@pytest.mark.parametrize("where", ["old-deviceid", "misplaced-old-deviceid"])
def test_the_old_device_id_is_found_in_both_places(where: str) -> None:
    inventory = read(f"windows-inventory-{where}")
    assert isinstance(inventory, Inventory)
    assert inventory.old_device_id == PC
    assert inventory.history is not None
    assert inventory.history[0] == "1800000001"


def test_names_outside_ascii_arrive() -> None:
    inventory = read("windows-inventory-old-deviceid")
    assert isinstance(inventory, Inventory)
    assert inventory.tag == "Zürich"
    hardware = next(each for each in inventory.sections if each.name == "HARDWARE")
    assert hardware.get("USERID") == "Zoë"
