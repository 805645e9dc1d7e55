import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.result import RESULT_MAX, ResultClass, ResultCode, exit_code_result

SUCCESSES = [
    "SUCCESS",
    "SUCCESS_0",
    "SUCCESS_REBOOT_INITIATED",
    "SUCCESS_REBOOT_REQUIRED",
    "SUCCESS_RESTART_REQUIRED",
    "SUCCESS_ALREADY_SETUP",
    "SUCCESS_ALREADY_IN_HISTORY",
    "ERR_ALREADY_SETUP",
]
ERRORS = [
    "SUCCESS_",
    "SUCCESS_1",
    "SUCCESS_3",
    "SUCCESS_-1",
    "SUCCESS_99999999999999999999",
    "EXIT_CODE_1",
    "EXIT_CODE_-1073741510",
    "ERR_EXIT_CODE_1603",
    "ERR_BAD_ID",
    "ERR_BAD_DIGEST",
    "ERR_DOWNLOAD_INFO",
    "ERR_DOWNLOAD_PACK",
    "ERR_BUILD",
    "ERR_UNZIP",
    "ERR_OUT_OF_SPACE",
    "ERR_BAD_PARAM",
    "ERR_EXECUTE_PACK",
    "ERR_EXECUTE",
    "ERR_EXECUTE_NO_EXIT_CODE",
    "ERR_EXECUTE_TIMEOUT",
    "ERR_EXECUTE_TOO_MANY_TRY",
    "ERR_CLEAN",
    "ERR_DONE_FAILED",
    "ERR_TIMEOUT",
    "ERR_ABORTED",
    "ERR_NO_PARAM",
    "ERR_NO_LAUNCHER",
    "ERR_NO_INST32_CODE",
    "UNKNOWN_CODE",
    "success",
    "<script>alert(1)</script>",
]


@pytest.mark.parametrize("text", SUCCESSES)
def test_successes(text: str) -> None:
    code = ResultCode.parse(text)
    assert (code.text, code.result_class, code.is_final) == (text, ResultClass.SUCCESS, True)


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text: str) -> None:
    code = ResultCode.parse(text)
    assert (code.text, code.result_class, code.is_final) == (text, ResultClass.ERROR, True)


@pytest.mark.parametrize("text", ["NOTIFIED", "NOTI_DELAYED", "NOTI"])
def test_notified(text: str) -> None:
    code = ResultCode.parse(text)
    assert (code.result_class, code.is_final) == (ResultClass.NOTIFIED, False)


def test_waiting_is_no_end() -> None:
    code = ResultCode.parse("WAITING")
    assert (code.result_class, code.is_final) == (ResultClass.WAITING, False)


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_no_code_is_an_unknown_code(text: str | None) -> None:
    assert ResultCode.parse(text).text == "UNKNOWN_CODE"


@pytest.mark.parametrize(
    ("text", "number"),
    [("SUCCESS_0", 0), ("SUCCESS_3", 3), ("EXIT_CODE_-5", -5), ("ERR_EXIT_CODE_7", 7)],
)
def test_the_number_inside(text: str, number: int) -> None:
    assert ResultCode.parse(text).exit_code == number


def test_already_has_a_slice_of_its_own() -> None:
    texts = [text for text in SUCCESSES + ERRORS if ResultCode.parse(text).is_already]
    assert texts == ["SUCCESS_ALREADY_SETUP", "SUCCESS_ALREADY_IN_HISTORY", "ERR_ALREADY_SETUP"]


def test_what_we_send_for_an_exit_code_is_an_error() -> None:
    assert ResultCode.parse(exit_code_result(137)).exit_code == 137
    assert ResultCode.parse(exit_code_result(137)).result_class is ResultClass.ERROR


@given(st.text())
def test_reading_never_fails_and_is_stable(text: str) -> None:
    code = ResultCode.parse(text)
    assert 0 < len(code.text) <= RESULT_MAX
    assert ResultCode.parse(code.text) == code
