"""Which package suits which computer, and what becomes of an assignment. Pure decisions.

The rows are services/assigning.py's and services/contact.py's. Meanings: contract.md 5.
"""

import re
from datetime import datetime
from enum import Enum

from deploy_agent.wire import terms
from deploy_agent.wire.digest import DigestAlgorithm, DigestEncoding
from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.domain.errors import SpecError
from deploy_server.domain.spec import OS_NAMES

POSTCMD_MAX = 1000  # characters
_SCHEDULE = "%Y/%m/%d %H:%M"
_SCHEDULE_FORM = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d\Z", re.ASCII)


class AgentKind(Enum):
    """Whose agent a computer has; the value is what people read."""

    OURS = "our agent"
    UNIX = "OCS's Unix agent"
    WINDOWS = "OCS's Windows agent"
    OTHER = "an agent that is neither ours nor OCS's"
    UNKNOWN = "an agent that has not said what it is"

    @classmethod
    def of(cls, user_agent: str) -> "AgentKind":
        """Return the kind that a User-Agent means."""
        text = user_agent.casefold()
        if not text:
            return cls.UNKNOWN
        if terms.OUR_AGENT_MARK.casefold() in text:
            return cls.OURS
        if not text.startswith("ocs-ng_"):
            return cls.OTHER
        return cls.WINDOWS if text.startswith("ocs-ng_windows") else cls.UNIX


# Source: protocol.md 2, features.md 2. Our agent checks every digest.
_SHA = (DigestAlgorithm.SHA1, DigestAlgorithm.SHA256)


def kinds_that_refuse(algorithm: str, encoding: str) -> frozenset[AgentKind]:
    """Return the agents that cannot verify a DIGEST; '' is a package without a file."""
    if not algorithm:
        return frozenset()
    refused = set()
    if algorithm in _SHA:
        refused |= {AgentKind.UNIX, AgentKind.OTHER}
    if encoding == DigestEncoding.BASE64:
        refused |= {AgentKind.WINDOWS, AgentKind.OTHER}
    return frozenset(refused)


def why_not(
    package_os: str, algorithm: str, encoding: str, os_family: str, user_agent: str
) -> str | None:
    """Return why a package does not suit a computer, as a sentence; None when it does.

    Args:
        package_os: linux, windows, macos or any.
        algorithm: of DIGEST, '' without a file.
        encoding: of DIGEST.
        os_family: of the computer, '' while it is not known.
        user_agent: of its last contact.
    """
    if package_os != "any" and os_family not in ("", package_os):
        runs = OS_NAMES.get(os_family, os_family)
        return f"the package is for {OS_NAMES[package_os]}, this computer runs {runs}"
    kind = AgentKind.of(user_agent)
    if kind in kinds_that_refuse(algorithm, encoding):
        return f"{kind.value} cannot verify a digest as {algorithm} in {encoding}"
    return None


ALREADY_THERE = "it succeeded there already; force runs it again"
SUCCEEDED_BEFORE = "it succeeded there before"
WAITS_ALREADY = "it waits for its next contact there already, by another assignment"
UNDER_WAY = "it is under way there already"


def starts_again(
    status_class: ResultClass, cleared: bool, force: bool, offered: int | None, revision: int
) -> bool:
    """Return whether a later assignment through a group starts a row that is there again.

    What is under way goes on; a success stays one, unless it is forced or was an older revision.

    Args:
        status_class: of the row.
        cleared: the row was validated or withdrawn.
        force: of the group's assignment.
        offered: the revision that the row was about, None when nobody was told.
        revision: of the package.
    """
    if status_class is ResultClass.SUCCESS:
        return force or (offered is not None and offered < revision)
    return cleared or status_class is ResultClass.ERROR


def check_schedule(text: str) -> str:
    """Return `text` when it is a time such as 2026/12/24 18:00, or empty for at once.

    Raises:
        SpecError: field `schedule`.
    """
    text = text.strip()
    if not text:
        return ""
    try:
        if not _SCHEDULE_FORM.match(text):
            raise ValueError("not in that form")
        datetime.strptime(text, _SCHEDULE)  # noqa: DTZ007 - the computer's own local time
    except ValueError:
        raise SpecError(
            "schedule",
            f"{text[:40]!r} is no time",
            "Write YYYY/MM/DD HH:MM, in the computer's local time",
        ) from None
    return text


def check_postcmd(text: str) -> str:
    """Return `text` when it can be a post command: REBOOT, SHUTDOWN, a command line, or empty.

    Raises:
        SpecError: field `postcmd`.
    """
    text = text.strip()
    if len(text) > POSTCMD_MAX:
        raise SpecError(
            "postcmd", f"the post command is longer than {POSTCMD_MAX} characters", "Shorten it"
        )
    if not text.isprintable():
        raise SpecError(
            "postcmd", "the post command holds line ends or unseen characters", "Use one line"
        )
    return text.upper() if text.upper() in ("REBOOT", "SHUTDOWN") else text


class Verdict(Enum):
    """What a report does to the row it is about."""

    TAKE = "it becomes the status"
    REPEAT = "it is known already"
    HISTORY = "it goes to history only"


def judge_report(
    code: ResultCode, attempt: int | None, row_attempt: int, row_status: str
) -> Verdict:
    """Return what a report does to an assignment.

    Args:
        code: what arrived.
        attempt: X_ATTEMPT of the report; None from agents that are not ours.
        row_attempt: of the assignment.
        row_status: of the assignment.
    """
    if attempt is not None and attempt < row_attempt:
        return Verdict.HISTORY
    status = ResultCode.parse(row_status)
    if not status.is_final or attempt not in (None, row_attempt):
        return Verdict.TAKE
    if status.text == code.text:
        return Verdict.REPEAT
    # An attempt ends once. Another end of it comes from a state folder that was restored or copied,
    # and says nothing of what happened on the computer.
    return Verdict.TAKE if attempt is None else Verdict.HISTORY


def reported_class(code: ResultCode) -> ResultClass:
    """Return what a reported code counts as; only the server itself says WAITING."""
    return ResultClass.ERROR if code.result_class is ResultClass.WAITING else code.result_class
