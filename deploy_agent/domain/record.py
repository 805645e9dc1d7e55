"""What is saved of a package: one value, and its JSON shape. Pure; the store writes it.

Shape: {"schema": 1, "offer": {"package_id": "1800000001", ...}, "since": "2026-11-21T10:00:00Z",
"state": "DOWNLOADING", "faults": {"1800000001-3": {"count": 2, "wrong_bytes": false}}, ...}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Self

from deploy_agent.domain.state import ENDED, Event, State, next_state
from deploy_agent.wire.fragment import check_foreign_package_id
from deploy_agent.wire.replies import PackageOffer

SCHEMA = 1


class UnreadableRecord(ValueError):
    """Saved bytes that are no record: cut, changed, or of a newer agent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Definite answers for one file, in a row.

    Attributes:
        count: how many.
        wrong_bytes: whether the last one was wrong bytes, not a refusal.
    """

    count: int
    wrong_bytes: bool


@dataclass(frozen=True, slots=True)
class Result:
    """How a package ended.

    Attributes:
        code: what the server is told.
        ended_at: when, UTC.
        exit_code: of the action, None when there was none.
        detail: one sentence for people.
    """

    code: str
    ended_at: datetime
    exit_code: int | None = None
    detail: str = ""


class Reply(StrEnum):
    """What came of a question to the user. The values are written to disk."""

    NOW = "now"
    LATER = "later"
    CANCEL = "cancel"
    DONE = "done"  # the end was confirmed
    COUNTDOWN = "countdown"  # it ran out in front of the user
    NOTHING = "nothing"  # log-off, lock, or a dialog that died


SAID = {
    Reply.NOW: "said: start now",
    Reply.LATER: "said: later",
    Reply.CANCEL: "cancelled it",
    Reply.DONE: "confirmed the end",
    Reply.COUNTDOWN: "let the countdown run out",
    Reply.NOTHING: "gave no answer",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user said, or did not.

    Attributes:
        at: when, UTC.
        who: the login name, '' where nobody was there.
        reply: what.
        note: why there was no answer, for people.
    """

    at: datetime
    who: str
    reply: Reply
    note: str = ""

    def __str__(self) -> str:
        """Return a sentence without a full stop."""
        text = f"{self.who or 'the user'} {SAID[self.reply]}"
        return f"{text}: {self.note}" if self.note else text

    def said_as(self, other: "Answer") -> bool:
        """Whether the same user said the same, at whatever time."""
        return (self.who, self.reply, self.note) == (other.who, other.reply, other.note)


@dataclass(frozen=True, slots=True)
class Post:
    """The post command of an ended package; it is begun at most once.

    Attributes:
        begun_at: when the intent to begin it was saved, UTC.
        boot_id: what the system called its run at that time.
        restart: REBOOT or SHUTDOWN; else a command line.
        waits: it is not over: the restart has not come, or the command runs.
        note: how it went, for people.
    """

    begun_at: datetime
    boot_id: str
    restart: bool
    waits: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class PackageRecord:
    """Everything that must survive a kill, but for files that are on the disk anyway.

    Attributes:
        offer: what the server offered last.
        since: when it was first offered, UTC; DOWNLOAD_TIMEOUT counts from here.
        state: where the package stands.
        faults: by file name; a success takes the file out.
        failures: fetches in a row without any answer.
        retry_at: no fetch before this, UTC.
        problem: why the last fetch failed, for people.
        info_sha256: of the info file that the package goes by, hex; '' where there is none yet.
        reread: the info file has to be read again before anything else.
        doubt: what is wrong with the joined package, unless another info file says otherwise.
        fresh: caches are to be passed by, since the package was edited.
        exec_tries: how often the intent to act was saved.
        runs: number of the last run's folder; never used twice.
        retries: runs in a row that ended with a retry code.
        retry_result: the code that stands when there is no time for another try.
        act_at: no action before this, UTC.
        result: None while the package is not at its end.
        started: the action was started; only then there is a post command.
        ask_at: the user is not asked before this, UTC.
        consented: the user let the action start, now or by a countdown.
        answers: what users said, oldest first.
        post: the post command, None while it is not begun.
    """

    offer: PackageOffer
    since: datetime
    state: State = State.OFFERED
    faults: Mapping[str, Fault] = field(default_factory=dict)
    failures: int = 0
    retry_at: datetime | None = None
    problem: str = ""
    info_sha256: str = ""
    reread: bool = False
    doubt: str = ""
    fresh: bool = False
    exec_tries: int = 0
    runs: int = 0
    retries: int = 0
    retry_result: Result | None = None
    act_at: datetime | None = None
    result: Result | None = None
    started: bool = False
    ask_at: datetime | None = None
    consented: bool = False
    answers: tuple[Answer, ...] = ()
    post: Post | None = None

    @property
    def package_id(self) -> str:
        """The package's id."""
        return self.offer.package_id

    @property
    def key(self) -> str:
        """What tells this assignment of the package from others of the same package.

        Servers that are not ours name no attempt; the moment of the offer stands in for it.
        """
        if self.offer.attempt is not None:
            return str(self.offer.attempt)
        return f"t{int(self.since.timestamp())}"

    @property
    def ended(self) -> bool:
        """Whether there is a final result."""
        return self.state in ENDED

    @property
    def orphan(self) -> bool:
        """Whether it stands in for a record that could not be read.

        Nobody knows its attempt; the server's next offer says, or does not come.
        """
        return not self.offer.info_loc

    @property
    def needs_info(self) -> bool:
        """Whether the info file has to be fetched."""
        return self.state is State.OFFERED or self.reread

    @property
    def restarts(self) -> bool:
        """Whether its post command asked for a restart that has not come yet."""
        return self.post is not None and self.post.restart and self.post.waits

    def after(self, event: Event, **changes: Any) -> Self:
        """Return the record after `event`, with `changes`."""
        return replace(self, state=next_state(self.state, event), **changes)


def to_json(record: PackageRecord) -> dict[str, Any]:
    """Return what is written."""
    return {"schema": SCHEMA, **_plain(record)}


def from_json(data: object) -> PackageRecord:
    """Return the record that `to_json` made `data` from.

    Raises:
        UnreadableRecord: it did not; or a newer agent did.
    """
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise UnreadableRecord(f"a record of schema {found!r}; this agent writes {SCHEMA}")
    known = {each.name for each in fields(PackageRecord)}
    values = {name: value for name, value in data.items() if name in known}
    try:
        return _record(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableRecord(f"a record with wrong fields: {error}") from error


def format_time(time: datetime) -> str:
    """Return `time` as it is written everywhere: UTC, ISO 8601, with Z."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the UTC time that `format_time` wrote.

    Raises:
        ValueError: it is none, or names no zone.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return time.astimezone(UTC)


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it, with every time as text."""
    # Not dataclasses.asdict, which copies each text: records are written thousands of times.
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime):
        return format_time(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


def _record(values: dict[str, Any]) -> PackageRecord:
    offer = PackageOffer(**values["offer"])
    check_foreign_package_id(offer.package_id)
    return PackageRecord(
        **{
            **values,
            "offer": offer,
            "since": parse_time(values["since"]),
            "state": State(values["state"]),
            "faults": {name: Fault(**each) for name, each in values["faults"].items()},
            "retry_at": _optional_time(values["retry_at"]),
            "retry_result": _result(values["retry_result"]),
            "act_at": _optional_time(values["act_at"]),
            "result": _result(values["result"]),
            # Not in the records of an older agent.
            "ask_at": _optional_time(values.get("ask_at")),
            "answers": tuple(map(_answer, values.get("answers", ()))),
            "post": _post(values.get("post")),
        }
    )


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _result(data: dict[str, Any] | None) -> Result | None:
    if data is None:
        return None
    return Result(**{**data, "ended_at": parse_time(data["ended_at"])})


def _answer(data: dict[str, Any]) -> Answer:
    return Answer(**{**data, "at": parse_time(data["at"]), "reply": Reply(data["reply"])})


def _post(data: dict[str, Any] | None) -> Post | None:
    return None if data is None else Post(**{**data, "begun_at": parse_time(data["begun_at"])})
