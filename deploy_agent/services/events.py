"""Tells our server what happens to packages between their offer and their report.

Only a server that has spoken our extension, and only over HTTPS, is told anything. Events are for
people: losing one is no error, and none ever delays a report. What could not be sent waits on the
disk for the next contact.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from deploy_agent.domain.errors import DefiniteError, TransientError
from deploy_agent.domain.outcome import Outcome
from deploy_agent.domain.policy import RETRY_AFTER_MAX_S
from deploy_agent.domain.record import PackageRecord, Reply, Result
from deploy_agent.domain.state import State
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.spool import Spool
from deploy_agent.machine.transport import Transport
from deploy_agent.services.package import Package
from deploy_agent.wire.events import (
    CANCELLED,
    EVENTS_PATH,
    OUTPUT_MAX,
    REASON_MAX,
    PackageEvent,
    write_events,
)

PACE_S = 60.0  # between two messages; a contact and the end of `once` send at once
AT_ONCE_MAX = 500  # events of one message
BYTES_MAX = 512 * 1024  # of one message
PROGRESS_S = 60.0  # between two events of progress, unless a tenth of the package came
#: Statuses with which a server says that it will never take these events.
_NEVER = (400, 413, 422)
#: Ends, cancellations and answers have ids that follow from them: told twice they are the same.
_NAMESPACE = UUID("5f0b1c3e-4a57-4d0e-9a3c-1c2f2a9d7b61")

log = logging.getLogger(__name__)


class Events:
    """Writes events down and sends them; the observer of packages."""

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        clock: Clock,
        *,
        wanted: Callable[[], bool],
        device_id: Callable[[], str | None],
    ) -> None:
        """Tell.

        Args:
            spool: where events wait.
            transport: the network.
            clock: tells the time.
            wanted: whether the server is ours and is reached over HTTPS.
            device_id: tells the computer's id; None while the server does not know it yet.
        """
        self._spool = spool
        self._transport = transport
        self._clock = clock
        self._wanted = wanted
        self._device_id = device_id
        self._sent_at: datetime | None = None
        self._begun_at: datetime | None = None  # of what was not sent yet
        self._refused = False  # nothing more before the next contact
        self._not_before: datetime | None = None
        self._progress: dict[str, tuple[datetime, int]] = {}
        self._said: set[tuple[str, int]] = set()

    def start(self) -> None:
        """Take over what a dead agent left. The lock has to be held."""
        self._spool.tidy()

    # What happens.

    def changed(self, package: Package, before: PackageRecord | None) -> None:
        """The package's record was saved; a new state is an event. Its end is `ended`'s."""
        record = package.record
        if before is not None and _is_answered(before, record):
            self._answered(package, before.state)
        same = before is not None and (before.state, before.key) == (record.state, record.key)
        if same or record.ended or record.orphan:
            return
        edited = before is not None and record.state is State.OFFERED
        slot = "progress" if record.state is State.DOWNLOADING else ""
        self._tell(package, "it was edited; it starts over" if edited else "", slot=slot)

    def found(self, package: Package) -> None:
        """A dead agent may have saved an answer and not told of it; told twice it is the same."""
        record = package.record
        if record.answers:
            confirmed = record.ended and record.answers[-1].reply is not Reply.CANCEL
            state = State.CONFIRMING if confirmed else State.UNPACKED
            self._answered(package, state if record.ended else record.state)

    def progressed(self, package: Package) -> None:
        """A fragment came: an event for each tenth of the package, or each minute."""
        if not self._wanted():
            return
        done, total = _counts(package)
        if not done or not total or done >= total:
            return
        now, tenth = self._clock.now(), 10 * done // total
        at, last = self._progress.get(package.id, (None, 0))
        if at is not None and tenth == last and 0 <= (now - at).total_seconds() < PROGRESS_S:
            return
        self._progress[package.id] = (now, tenth)
        self._tell(package, slot="progress")

    def told(self, package: Package, reason: str) -> None:
        """Something is to be said of the package in its present state."""
        self._tell(package, reason)

    def waits(self, package: Package, why: str) -> None:
        """What the package waits for is another thing now."""
        self._tell(package, why, slot="waits")

    def ended(self, package: Package, outcome: Outcome | None) -> None:
        """The package has its result; `outcome` is that of its action."""
        record = package.record
        self._progress.pop(package.id, None)
        if record.result is None or record.orphan:
            return
        output, truncated = (outcome.output, outcome.truncated) if outcome else ("", False)
        self._end(
            record.package_id,
            record.offer.attempt,
            record.result,
            output=output[-OUTPUT_MAX:],
            truncated=truncated or len(output) > OUTPUT_MAX,
        )

    # What the server takes back.

    def cancelled(self, package_id: str, attempt: int, reason: str) -> None:
        """What the server took back will not begin any more."""
        self._progress.pop(package_id, None)
        event_id = uuid5(_NAMESPACE, f"{package_id}/{attempt}/{CANCELLED}")
        self._add(package_id, attempt, CANCELLED, event_id=str(event_id), reason=reason)

    def goes_on(self, package: Package) -> None:
        """What the server took back has begun and goes on; said once in a life."""
        attempt = package.record.offer.attempt
        if attempt is None or (package.id, attempt) in self._said:
            return
        self._said.add((package.id, attempt))
        self._tell(package, "it was taken back after it had begun, and goes on")

    def ended_before(self, package_id: str, attempt: int, result: Result) -> None:
        """What the server took back had ended."""
        self._end(package_id, attempt, result)

    # Sending.

    def contacted(self) -> None:
        """The server has answered: events may be sent again that it did not take before."""
        self._refused = False

    def due_in_s(self, *, busy: bool = False) -> float | None:
        """Return when there is something to be sent, in seconds from now; None for not at all.

        Args:
            busy: there is other work, so that more may happen soon.
        """
        if self._refused or not self._wanted() or not len(self._spool):
            return None
        if self._device_id() is None:
            return None
        now = self._clock.now()
        left = _left(self._sent_at, now, PACE_S)
        if busy:
            left = max(left, _left(self._begun_at, now, PACE_S))
        if self._not_before is not None:
            left = max(left, (self._not_before - now).total_seconds())
        return left

    def deliver(self, *, busy: bool = False) -> None:
        """Send what is due, in one message."""
        if self.due_in_s(busy=busy) == 0:
            self._send()

    def deliver_all(self) -> None:
        """Send everything, now; what the server does not take stays."""
        self._sent_at = None
        while self.due_in_s() == 0:
            self._send()
            self._sent_at = None

    def _send(self) -> None:
        events = self._spool.first(AT_ONCE_MAX, BYTES_MAX)
        self._sent_at, self._begun_at = self._clock.now(), None
        device_id = self._device_id()
        assert device_id is not None
        try:
            status, answer = self._transport.post_json(EVENTS_PATH, write_events(device_id, events))
        except (TransientError, DefiniteError) as error:
            self._keep(str(error))
            if isinstance(error, TransientError) and error.retry_after_s:
                seconds = min(error.retry_after_s, RETRY_AFTER_MAX_S)
                self._not_before = self._clock.now() + timedelta(seconds=seconds)
            return
        sent = {each.event_id for each in events}
        if status in _NEVER:
            log.warning("the server refuses %s events for good: %s", len(sent), status)
            self._spool.remove(sent)
            return
        accepted = sent & _accepted(answer) if status == 200 else set()
        self._spool.remove(accepted)
        if not accepted:
            self._keep(f"status {status}")

    def _keep(self, why: str) -> None:
        self._refused = True
        log.info("events are kept until the next contact: %s", why)

    # Events.

    def _tell(self, package: Package, reason: str = "", *, slot: str = "") -> None:
        if not self._wanted():
            return
        done, total = _counts(package)
        record = package.record
        self._add(
            package.id,
            record.offer.attempt,
            record.state.value,
            slot=f"{package.id}/{record.key}/{slot}" if slot else "",
            reason=reason,
            done=done,
            total=total,
        )

    def _answered(self, package: Package, state: State) -> None:
        record = package.record
        if record.orphan:
            return
        answer = record.answers[-1]
        # The time of an answer that is repeated changes, that of the one before stays.
        before = record.answers[-2].at.isoformat() if len(record.answers) > 1 else ""
        name = f"{record.package_id}/{record.offer.attempt}/{before}/{answer.who}/{answer}"
        self._add(
            record.package_id,
            record.offer.attempt,
            state.value,
            event_id=str(uuid5(_NAMESPACE, name)),
            slot=f"{record.package_id}/{record.key}/answer/{name}",
            reason=str(answer),
        )

    def _end(self, package_id: str, attempt: int | None, result: Result, **more: Any) -> None:
        ended = f"{package_id}/{attempt}/{result.code}/{result.ended_at.timestamp():.0f}"
        self._add(
            package_id,
            attempt,
            State.DONE.value,
            event_id=str(uuid5(_NAMESPACE, ended)),
            reason=f"ended with {result.code}" + (f": {result.detail}" if result.detail else ""),
            exit_code=result.exit_code,
            **more,
        )

    def _add(
        self,
        package_id: str,
        attempt: int | None,
        state: str,
        *,
        reason: str,
        event_id: str = "",
        slot: str = "",
        **more: Any,
    ) -> None:
        if not self._wanted():
            return
        now = self._clock.now()
        self._begun_at = self._begun_at or now
        event = PackageEvent(
            event_id=event_id or str(uuid4()),
            package=package_id,
            attempt=attempt,
            at=now,
            state=state,
            reason=reason[:REASON_MAX],
            **more,
        )
        self._spool.add(event, slot)


def _is_answered(before: PackageRecord, record: PackageRecord) -> bool:
    """Whether a user has said something, and not what was said last."""
    known, now = before.answers[-1:], record.answers[-1:]
    return bool(now) and not (known and known[0].said_as(now[0]))


def _counts(package: Package) -> tuple[int | None, int | None]:
    """Return how many fragments are here, of how many; None while nobody knows."""
    info = package.info
    if info is None or not info.fragments or package.state is State.OFFERED:
        return None, None
    missing = package.missing if package.state is State.DOWNLOADING else 0
    return info.fragments - missing, info.fragments


def _accepted(answer: object) -> set[str]:
    listed = answer.get("accepted") if isinstance(answer, dict) else None
    return {str(each) for each in listed} if isinstance(listed, list) else set()


def _left(since: datetime | None, now: datetime, seconds: float) -> float:
    """Return what is left of a time; nothing where the clock was put back."""
    if since is None or now < since:
        return 0.0
    return max(0.0, seconds - (now - since).total_seconds())
