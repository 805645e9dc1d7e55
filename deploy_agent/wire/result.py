"""Result codes: read leniently, classified in one place, written strictly.

Source: ocs/features.md 4 (every spelling of every agent) and contract.md 4, Results.
"""

import re
from enum import IntEnum
from typing import NamedTuple

SUCCESS = "SUCCESS"
SUCCESS_REBOOT_INITIATED = "SUCCESS_REBOOT_INITIATED"
SUCCESS_REBOOT_REQUIRED = "SUCCESS_REBOOT_REQUIRED"
SUCCESS_RESTART_REQUIRED = "SUCCESS_RESTART_REQUIRED"
SUCCESS_ALREADY_SETUP = "SUCCESS_ALREADY_SETUP"
SUCCESS_ALREADY_IN_HISTORY = "SUCCESS_ALREADY_IN_HISTORY"
ERR_ALREADY_SETUP = "ERR_ALREADY_SETUP"
ERR_BAD_ID = "ERR_BAD_ID"
ERR_BAD_DIGEST = "ERR_BAD_DIGEST"
ERR_DOWNLOAD_INFO = "ERR_DOWNLOAD_INFO"
ERR_DOWNLOAD_PACK = "ERR_DOWNLOAD_PACK"
ERR_BUILD = "ERR_BUILD"
ERR_UNZIP = "ERR_UNZIP"
ERR_OUT_OF_SPACE = "ERR_OUT_OF_SPACE"
ERR_BAD_PARAM = "ERR_BAD_PARAM"
ERR_EXECUTE_PACK = "ERR_EXECUTE_PACK"
ERR_EXECUTE = "ERR_EXECUTE"
ERR_EXECUTE_TIMEOUT = "ERR_EXECUTE_TIMEOUT"
ERR_CLEAN = "ERR_CLEAN"
ERR_DONE_FAILED = "ERR_DONE_FAILED"
ERR_TIMEOUT = "ERR_TIMEOUT"
ERR_ABORTED = "ERR_ABORTED"
UNKNOWN_CODE = "UNKNOWN_CODE"  # what a DOWNLOAD message without ERR means

WAITING = "WAITING"
NOTIFIED = "NOTIFIED"

RESULT_MAX = 255  # characters of a code that are kept

_SUCCESS_NUMBER = re.compile(r"SUCCESS_(-?[0-9]+)\Z", re.ASCII)
_EXIT_NUMBER = re.compile(r"(?:ERR_)?EXIT_CODE_(-?[0-9]+)\Z", re.ASCII)


class ResultClass(IntEnum):
    """The four classes that every counter and colour uses. The numbers are stored."""

    WAITING = 0
    NOTIFIED = 1
    SUCCESS = 2
    ERROR = 3


class ResultCode(NamedTuple):
    """A status as text, with its meaning.

    Attributes:
        text: verbatim, at most `RESULT_MAX` characters.
        result_class: what it counts as.
        exit_code: the number inside SUCCESS_n, EXIT_CODE_n and ERR_EXIT_CODE_n, else None.
    """

    text: str
    result_class: ResultClass
    exit_code: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> "ResultCode":
        """Return the meaning of `text`; never fails, unknown codes are errors."""
        code = (text or "").strip()[:RESULT_MAX] or UNKNOWN_CODE
        number = _SUCCESS_NUMBER.match(code) or _EXIT_NUMBER.match(code)
        exit_code = int(number.group(1)) if number and len(number.group(1)) < 12 else None
        return cls(code, _classify(code, exit_code), exit_code)

    @property
    def is_final(self) -> bool:
        """Whether no more is to be expected from the agent."""
        return self.result_class in (ResultClass.SUCCESS, ResultClass.ERROR)

    @property
    def is_already(self) -> bool:
        """Whether the package was there before; a slice of its own in charts."""
        return self.text == ERR_ALREADY_SETUP or self.text.startswith("SUCCESS_ALREADY_")


def exit_code_result(number: int) -> str:
    """Return the code that our agent sends for an action that ended with `number`, not 0."""
    return f"ERR_EXIT_CODE_{number}"


def _classify(code: str, exit_code: int | None) -> ResultClass:
    if code == WAITING:
        return ResultClass.WAITING
    if code.startswith("NOTI"):
        return ResultClass.NOTIFIED
    if code == ERR_ALREADY_SETUP:
        return ResultClass.SUCCESS
    number = _SUCCESS_NUMBER.match(code)
    if number:  # the Unix agent's LAUNCH: SUCCESS_3 is a program that failed
        return ResultClass.SUCCESS if exit_code == 0 else ResultClass.ERROR
    if code == SUCCESS or (code.startswith("SUCCESS_") and code != "SUCCESS_"):
        return ResultClass.SUCCESS
    return ResultClass.ERROR
