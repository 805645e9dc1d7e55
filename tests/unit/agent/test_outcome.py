"""Which result code an action's end means."""

from datetime import UTC, datetime

import pytest

from deploy_agent.domain.outcome import ExitCodes, Outcome, Verdict, judge

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def ended(exit_code: int | None, **more: object) -> Outcome:
    return Outcome(True, NOW, NOW, exit_code=exit_code, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [
        (0, "SUCCESS"),
        (1, "ERR_EXIT_CODE_1"),
        (3, "ERR_EXIT_CODE_3"),
        (128 + 9, "ERR_EXIT_CODE_137"),
        (3010, "ERR_EXIT_CODE_3010"),  # only Windows gives it a meaning
    ],
)
def test_exit_codes_without_lists(exit_code: int, code: str) -> None:
    assert judge(ended(exit_code)) == Verdict(code, retry=False)


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [
        (0, "SUCCESS"),
        (1641, "SUCCESS_REBOOT_INITIATED"),
        (3010, "SUCCESS_REBOOT_REQUIRED"),
        (3011, "SUCCESS_RESTART_REQUIRED"),
        (1603, "ERR_EXIT_CODE_1603"),
    ],
)
def test_installer_codes_on_windows(exit_code: int, code: str) -> None:
    assert judge(ended(exit_code), windows=True).code == code


def test_lists_add_to_the_built_in_meanings() -> None:
    codes = ExitCodes(success=(1, 2), reboot=(2, 3), retry=(2, 3, 4))
    assert judge(ended(1), codes) == Verdict("SUCCESS")
    assert judge(ended(2), codes) == Verdict("SUCCESS")
    assert judge(ended(3), codes) == Verdict("SUCCESS_REBOOT_REQUIRED")
    assert judge(ended(4), codes) == Verdict("ERR_EXIT_CODE_4", retry=True)
    assert judge(ended(5), codes) == Verdict("ERR_EXIT_CODE_5")


def test_zero_and_installer_codes_keep_their_meaning_whatever_the_lists_say() -> None:
    codes = ExitCodes(success=(1641,), reboot=(0,), retry=(0, 3011))
    assert judge(ended(0), codes) == Verdict("SUCCESS")
    assert judge(ended(1641), codes, windows=True) == Verdict("SUCCESS_REBOOT_INITIATED")
    assert judge(ended(3011), codes, windows=True) == Verdict("SUCCESS_RESTART_REQUIRED")


def test_signed_spelling_of_a_windows_code_is_the_same_number() -> None:
    codes = ExitCodes(retry=(-5,))
    assert judge(ended(2**32 - 5), codes, windows=True).retry
    assert not judge(ended(2**32 - 5), codes).retry


def test_a_timeout_wins_over_the_code_that_the_stopped_program_left() -> None:
    codes = ExitCodes(success=(143,))
    assert judge(ended(143, timed_out=True), codes) == Verdict("ERR_EXECUTE_TIMEOUT")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", "ERR_EXECUTE"),
        ("ERR_EXECUTE_PACK", "ERR_EXECUTE_PACK"),
        ("ERR_OUT_OF_SPACE", "ERR_OUT_OF_SPACE"),
        ("ERR_BAD_PARAM", "ERR_BAD_PARAM"),
    ],
)
def test_what_kept_it_from_starting_is_the_result(code: str, expected: str) -> None:
    assert judge(Outcome(False, NOW, NOW, code=code)) == Verdict(expected)
