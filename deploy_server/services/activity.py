"""The activity log: one line for everything that agents do, for people and for `grep`.

Shape: 2001;pc-2026-11-21-10-24-07;192.0.2.7;OCS-NG_unified_unix_agent_v2.10.0;1800000001 SUCCESS
(code; device id; address; User-Agent; comment; the handler adds date and process). Codes below 2000
are about messages, 20xx about results taken, 25xx about results that could not be, as in OCS.
Where the lines go and when files are rotated is the handler's business.
"""

import logging
from dataclasses import dataclass
from enum import IntEnum

log = logging.getLogger("tranche.activity")

_TEXT_MAX = 300  # characters of a part of a line


class Activity(IntEnum):
    """What happened; the number stands in the line."""

    PROLOG = 100
    PROLOG_UNKNOWN = 101  # a computer that has sent no inventory yet
    INVENTORY = 103
    COMPUTER_NEW = 104
    COMPUTER_RENAMED = 105
    COMPUTER_NOT_RENAMED = 106  # both ids exist: an administrator merges
    VALUE_DROPPED = 107  # a number that is no number
    EVENTS = 108  # what our agents say between offer and report
    REFUSED_MESSAGE = 400
    REFUSED_AGENT = 401
    REFUSED_HTTP = 403
    REFUSED_SIZE = 413
    OFFERED = 2000
    RESULT = 2001
    RESULT_REPEATED = 2002
    IN_HISTORY = 2003  # written by the server itself
    WITHDRAWN = 2004
    RETRIED = 2005  # at the computer's own request
    UNKNOWN_PACKAGE = 2501
    NOT_ASSIGNED = 2503
    OLDER_ATTEMPT = 2504
    UNKNOWN_COMPUTER = 2505


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a message.

    Attributes:
        device_id: '' while it is not known.
        remote: the address it came from.
        user_agent: as it named itself.
    """

    device_id: str = ""
    remote: str = ""
    user_agent: str = ""

    def note(self, activity: Activity, comment: str = "") -> None:
        """Write a line; what others sent cannot break out of it."""
        if log.isEnabledFor(logging.INFO):
            parts = (self.device_id, self.remote, self.user_agent, comment)
            log.info("%d;%s", activity, ";".join(map(_clean, parts)))


def _clean(text: str) -> str:
    kept = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return kept[:_TEXT_MAX].replace(";", ",")
