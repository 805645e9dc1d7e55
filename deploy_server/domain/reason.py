"""Why a package is not done yet on a computer, or what its result means: one sentence. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy_agent.wire import result
from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.domain.spec import OS_NAMES
from deploy_server.domain.telling import Told, sentence

OVERDUE_AFTER = 3  # expected contacts that did not come

# What to think of, most likely cause first. The whole table is docs/results.rst.
_MEANINGS = {
    result.SUCCESS_REBOOT_REQUIRED: "Done; the computer has to restart",
    result.SUCCESS_REBOOT_INITIATED: "Done; the installer restarts the computer",
    result.SUCCESS_RESTART_REQUIRED: "Done; a service or program has to restart",
    result.SUCCESS_ALREADY_SETUP: "The computer had done it before, so nothing ran",
    result.SUCCESS_ALREADY_IN_HISTORY: (
        "The computer's history has it, so it was not offered; assign it with force to run it again"
    ),
    result.ERR_ALREADY_SETUP: "The computer had done it before, so nothing ran",
    result.ERR_BAD_ID: "Another package's info file lies at the activation's address",
    result.ERR_BAD_DIGEST: (
        "What arrived is not what was built; a cache or mirror changes bytes or is out of date"
    ),
    result.ERR_DOWNLOAD_INFO: (
        "The info file could not be had: wrong CA on the computer, wrong name in the certificate,"
        " or wrong address in the activation"
    ),
    result.ERR_DOWNLOAD_PACK: "A fragment is not where the activation says",
    result.ERR_BUILD: "The fragments could not be joined or unpacked",
    result.ERR_UNZIP: "The archive is damaged, or wants to write outside its folder",
    result.ERR_OUT_OF_SPACE: "The computer's disk has no room for it",
    result.ERR_BAD_PARAM: "A field of the info file is missing or wrong; edit the package",
    result.ERR_EXECUTE_PACK: "The info file names nothing to run; edit the package",
    result.ERR_EXECUTE: "The program could not be started, or a command failed",
    result.ERR_EXECUTE_TIMEOUT: "It ran longer than allowed and was stopped",
    "ERR_EXECUTE_NO_EXIT_CODE": "The program ran, and the agent could not learn how it ended",
    "ERR_EXECUTE_TOO_MANY_TRY": (
        "The agent itself ended each time while the program ran, and gave up after six times"
    ),
    result.ERR_CLEAN: "An earlier attempt's folder could not be emptied",
    result.ERR_DONE_FAILED: "The agent was killed while it ran; nobody knows how it ended",
    result.ERR_TIMEOUT: "It was not complete within DOWNLOAD_TIMEOUT days",
    result.ERR_ABORTED: "The user cancelled it",
    result.UNKNOWN_CODE: "The agent reported an end without saying which",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What the server knows about one package on one computer.

    Attributes:
        status: WAITING, NOTIFIED or a result.
        since: of the status, UTC.
        priority: of the package.
        schedule: as assigned, '' for none.
        activation: `A7`.
        activation_ended: it was ended since.
        system_known: an inventory has said which system the computer runs.
        package_os: linux, windows, macos or any.
        unsuitable: why the package does not suit the computer, None when it does.
        last_contact: UTC, None for never.
        contact_every: how often the computer is expected.
        deployment_on: DOWNLOAD, as the computer gets it.
        inventories_on: FREQUENCY is not -1.
        period_length: as the computer gets it.
        told: what our agent said last of this attempt, None where it said nothing.
        behind: the name of a package with priority 0 that goes before it there, '' for none.
        asks_user: the agent asks whoever works there before it runs.
    """

    status: str
    since: datetime
    priority: int
    schedule: str
    activation: str
    activation_ended: bool
    system_known: bool
    package_os: str
    unsuitable: str | None
    last_contact: datetime | None
    contact_every: timedelta
    deployment_on: bool
    inventories_on: bool
    period_length: int
    told: Told | None = None
    behind: str = ""
    asks_user: bool = False


#: What an agent may say of a package that another one is fetched before.
_HELD_BACK = ("OFFERED", "DOWNLOADING", "COMPLETE", "VERIFIED", "UNPACKED")


def reason(situation: Situation, now: datetime) -> str:
    """Return one sentence, without a full stop, for somebody who asks why it is not done yet."""
    code = ResultCode.parse(situation.status)
    if code.is_final:
        return _ended(meaning(code), situation.told)
    silence = _contact(situation, now)
    if silence and situation.told is not None:
        silence = f"{silence}. Its last word: {sentence(situation.told)}"
    return _hindrance(situation) or silence or _pending(situation, code)


def meaning(code: ResultCode) -> str:
    """Return what a result means, without a full stop."""
    if code.text in _MEANINGS:
        return _MEANINGS[code.text]
    if code.result_class is ResultClass.SUCCESS:
        return "Done"
    if code.exit_code is not None:
        return f"The program ended with exit code {code.exit_code}"
    return "The agent reported this error"


def _ended(what: str, told: Told | None) -> str:
    """Return what a result means, with what the agent said of this one."""
    detail = told.reason.partition(": ")[2] if told is not None and told.state == "DONE" else ""
    return f"{what}. The agent says: {' '.join(detail.split())}" if detail else what


def _hindrance(s: Situation) -> str:
    """Return what keeps the package from moving at all, '' when nothing does."""
    if s.activation_ended:
        return f"Activation {s.activation} was ended; activate the package and assign it again"
    if s.unsuitable is not None:
        return s.unsuitable[:1].upper() + s.unsuitable[1:]
    if not s.deployment_on:
        return "Deployment is switched off for this computer (DOWNLOAD)"
    if not s.inventories_on:
        return "FREQUENCY is -1 for this computer, which switches deployment off too"
    if s.priority > s.period_length:
        return (
            f"Its priority {s.priority} is above the period length {s.period_length},"
            " so no cycle is its turn"
        )
    if not s.system_known and s.package_os != "any":
        system = OS_NAMES[s.package_os]
        return f"It is for {system}, and no inventory has said yet what this computer runs"
    return ""


def _contact(s: Situation, now: datetime) -> str:
    """Return what is wrong with the computer's contacts, '' when they come as expected."""
    if s.last_contact is None:
        return "The computer has never been in contact"
    silent = now - s.last_contact
    if silent > s.contact_every * OVERDUE_AFTER:
        return f"No contact for {_duration(silent)}, expected every {_duration(s.contact_every)}"
    return ""


def _pending(s: Situation, code: ResultCode) -> str:
    assert s.last_contact is not None
    if code.result_class is ResultClass.WAITING:
        expected = s.last_contact + s.contact_every
        return f"Waits for the computer's next contact, expected by {expected:%Y-%m-%d %H:%M} UTC"
    if s.behind and (s.told is None or s.told.state in _HELD_BACK):
        return f"Behind {' '.join(s.behind.split())[:120]}, which has priority 0 and goes first"
    if s.told is not None:
        return sentence(s.told)
    if s.schedule:
        return f"Offered; it is to run at {s.schedule}, the computer's time"
    if s.asks_user:
        return "Offered; it asks the user before it runs, and the agent has not reported yet"
    return "Offered; the agent fetches it and has not reported yet"


def _duration(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} minutes" if minutes != 1 else "1 minute"
    if minutes < 48 * 60:
        return f"{minutes // 60} hours"
    return f"{minutes // (24 * 60)} days"
