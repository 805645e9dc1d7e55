"""Events: what our agents tell our server between a package's offer and its report.

They are for people only; a status comes from nothing but a DOWNLOAD report. An OCS server never
sees one. Source: contract.md 4, Extension.
Shape: {"device_id": "pc-2026-01-02-03-04-05", "events": [{"event_id": "0b0c...", "package":
"1800000001", "attempt": 1795255200, "at": "2026-11-21T10:15:01Z", "state": "DOWNLOADING",
"reason": "", "done": 12, "total": 40, "exit_code": null, "output": "", "truncated": false}]}
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from deploy_agent.wire.deviceid import check_device_id
from deploy_agent.wire.errors import FieldError, FramingError, TooLargeError

EVENTS_PATH = "/api/v1/agent/events"
RETRY_PATH = "/api/v1/agent/retry"

CANCELLED = "CANCELLED"
STATES = frozenset(
    (
        *("OFFERED", "DOWNLOADING", "COMPLETE", "VERIFIED", "UNPACKED"),
        *("RUNNING", "CONFIRMING", "DONE", "REPORTED", CANCELLED),
    )
)
#: What says that the package will not begin any more.
OVER = frozenset((CANCELLED, "DONE", "REPORTED"))

EVENTS_MAX = 1000  # of one message
EVENTS_BYTES_MAX = 4 * 1024 * 1024  # of one message
OUTPUT_MAX = 64 * 1024  # characters of an action's output; the last ones are kept
REASON_MAX = 1000  # characters

_NUMBER_MAX = 2**53  # what every reader of JSON can hold
_EXIT_MAX = 2**32
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_PACKAGE = re.compile(r"[0-9]{1,20}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class PackageEvent:
    """Something that happened to a package on a computer.

    Attributes:
        event_id: a UUID, made by the agent; the same event again has the same.
        package: its id, digits.
        attempt: X_ATTEMPT of the offer, None where it named none.
        at: by the computer's clock, UTC.
        state: of the package; one of `STATES`.
        reason: for people, '' where the state says all.
        done: fragments that are on the computer's disk; None where that says nothing.
        total: fragments of the package.
        exit_code: of the action, None when there was none.
        output: what the action wrote, its last part.
        truncated: whether there was more of it.
    """

    event_id: str
    package: str
    attempt: int | None
    at: datetime
    state: str
    reason: str = ""
    done: int | None = None
    total: int | None = None
    exit_code: int | None = None
    output: str = ""
    truncated: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what is sent."""
        moment = self.at.astimezone(UTC).isoformat(timespec="seconds")
        return {
            "event_id": self.event_id,
            "package": self.package,
            "attempt": self.attempt,
            "at": moment.replace("+00:00", "Z"),
            "state": self.state,
            "reason": self.reason,
            "done": self.done,
            "total": self.total,
            "exit_code": self.exit_code,
            "output": self.output,
            "truncated": self.truncated,
        }

    @classmethod
    def from_json(cls, value: object) -> "PackageEvent":
        """Return the event that `value` is; too long texts are cut.

        Raises:
            FieldError: a field is missing or wrong; the sender's fault.
        """
        fields = _object(value, "event")
        output = _text(fields, "output")
        return cls(
            event_id=_event_id(fields),
            package=_package(fields),
            attempt=_number(fields, "attempt", 0, _NUMBER_MAX),
            at=_time(fields),
            state=_state(fields),
            reason=_text(fields, "reason")[:REASON_MAX],
            done=_number(fields, "done", 0, _NUMBER_MAX),
            total=_number(fields, "total", 0, _NUMBER_MAX),
            exit_code=_number(fields, "exit_code", -_EXIT_MAX, _EXIT_MAX),
            output=output[-OUTPUT_MAX:],
            truncated=fields.get("truncated") is True or len(output) > OUTPUT_MAX,
        )


def write_events(device_id: str, events: Sequence[PackageEvent]) -> dict[str, Any]:
    """Return a message of events."""
    return {"device_id": device_id, "events": [each.to_json() for each in events]}


def parse_events(data: bytes) -> tuple[str, list[PackageEvent]]:
    """Read a message of events.

    Returns:
        The device id, and the events in their order.

    Raises:
        WireError: every fault of the sender; TooLargeError where there are too many.
    """
    message = _object(_json(data), "message")
    events = message.get("events")
    if not isinstance(events, list):
        raise FieldError("events", "must be a list")
    if len(events) > EVENTS_MAX:
        raise TooLargeError(f"{len(events)} events in one message; at most {EVENTS_MAX} are taken")
    return _device_id(message), [PackageEvent.from_json(each) for each in events]


def parse_retry(data: bytes) -> tuple[str, str]:
    """Read the question for another attempt: device id and package id.

    Shape: {"device_id": "pc-2026-01-02-03-04-05", "package": "1800000001"}

    Raises:
        WireError: every fault of the sender.
    """
    message = _object(_json(data), "message")
    return _device_id(message), _package(message)


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except RecursionError:
        raise FramingError("the JSON is too deep") from None
    except ValueError as error:
        raise FramingError(f"not JSON: {str(error)[:200]}") from None


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FieldError(what, "must be a JSON object")
    return value


def _device_id(fields: Mapping[str, Any]) -> str:
    value = fields.get("device_id")
    if not isinstance(value, str):
        raise FieldError("device_id", "must be a text")
    try:
        return check_device_id(value)
    except FieldError as error:
        raise FieldError("device_id", str(error).partition(": ")[2]) from None


def _event_id(fields: Mapping[str, Any]) -> str:
    value = fields.get("event_id")
    try:
        if not isinstance(value, str) or len(value) > 45:
            raise ValueError("no text")
        return str(UUID(value))
    except ValueError:
        raise FieldError("event_id", "must be a UUID") from None


def _package(fields: Mapping[str, Any]) -> str:
    value = fields.get("package")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _PACKAGE.match(text):
        raise FieldError("package", "must be a package id, all digits")
    return text


def _state(fields: Mapping[str, Any]) -> str:
    value = fields.get("state")
    if not isinstance(value, str) or value not in STATES:
        raise FieldError("state", f"unknown: {str(value)[:40]!r}")
    return value


def _number(fields: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FieldError(name, f"must be a whole number from {low} to {high}")
    return value


def _time(fields: Mapping[str, Any]) -> datetime:
    value = fields.get("at")
    try:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError("no text")
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise FieldError("at", "must be a time such as 2026-11-21T10:15:01Z") from None
    if moment.tzinfo is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise FieldError("at", "must be a time with its zone, after 1970")
    return max(moment.astimezone(UTC), datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC))


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Return a text that every database takes: no NUL, no half of a surrogate pair."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FieldError(name, "must be a text")
    clean = value.encode("utf-8", "replace").decode("utf-8")
    return clean.replace("\0", "\N{REPLACEMENT CHARACTER}")
