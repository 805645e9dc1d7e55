"""How an action ended, and which result code that is. Pure."""

from datetime import datetime
from typing import NamedTuple

from deploy_agent.wire import result

SIGNAL_BASE = 128  # a program that signal s ended counts as exit code 128 + s, as in a shell

# What Windows Installer's exit codes mean. Source: contract.md 4, Results.
WINDOWS_CODES = {
    1641: result.SUCCESS_REBOOT_INITIATED,
    3010: result.SUCCESS_REBOOT_REQUIRED,
    3011: result.SUCCESS_RESTART_REQUIRED,
}


class Outcome(NamedTuple):
    """How an action ended.

    Attributes:
        started: whether anything was run or copied at all.
        started_at: when, UTC.
        ended_at: when, UTC.
        exit_code: of the program; 128 + s when signal s ended it; 0 for a finished STORE; None
            when there is none, because it did not start, was stopped, or could not copy.
        timed_out: it ran past its execution timeout and was stopped.
        code: the result code of what kept it from starting or copying, else ''.
        error: the same as a sentence, else ''.
        output: the last 64 KiB of what it wrote.
        truncated: whether there was more.
    """

    started: bool
    started_at: datetime
    ended_at: datetime
    exit_code: int | None = None
    timed_out: bool = False
    code: str = ""
    error: str = ""
    output: str = ""
    truncated: bool = False


class ExitCodes(NamedTuple):
    """The exit codes to which a package gives a meaning: X_SUCCESS_CODES and its like."""

    success: tuple[int, ...] = ()
    reboot: tuple[int, ...] = ()
    retry: tuple[int, ...] = ()


NO_CODES = ExitCodes()


class Verdict(NamedTuple):
    """What an outcome means for the package.

    Attributes:
        code: the result code; of a retry the one that it ends with when its time is over.
        retry: the package is not at its end, it acts again later.
    """

    code: str
    retry: bool = False


def judge(outcome: Outcome, codes: ExitCodes = NO_CODES, *, windows: bool = False) -> Verdict:
    """Return what `outcome` means.

    0 is always a success. The package's lists add to what Windows Installer's codes mean and
    never take from it; a number in several of them counts as success before reboot before retry.

    Args:
        outcome: how the action ended.
        codes: the package's own lists.
        windows: whether the action ran on Windows.
    """
    if outcome.timed_out:
        return Verdict(result.ERR_EXECUTE_TIMEOUT)
    number = outcome.exit_code
    if number is None:
        return Verdict(outcome.code or result.ERR_EXECUTE)
    if number == 0:
        return Verdict(result.SUCCESS)
    if windows and number in WINDOWS_CODES:
        return Verdict(WINDOWS_CODES[number])
    # Windows has unsigned codes, people write the signed ones that its tools show.
    spellings = {number, number - 2**32} if windows else {number}
    if spellings.intersection(codes.success):
        return Verdict(result.SUCCESS)
    if spellings.intersection(codes.reboot):
        return Verdict(result.SUCCESS_REBOOT_REQUIRED)
    retry = bool(spellings.intersection(codes.retry))
    return Verdict(result.exit_code_result(number), retry=retry)
