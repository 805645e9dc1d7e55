"""One contact: results that wait, PROLOG, offers recorded, inventory if asked, info files."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from deploy_agent.domain import policy
from deploy_agent.domain.errors import (
    DefiniteError,
    OutcomeUnknown,
    TransientError,
    WrongBytes,
)
from deploy_agent.domain.policy import Verdict, judge_offer
from deploy_agent.domain.record import PackageRecord, Result
from deploy_agent.domain.state import BEFORE_ACTION, State
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.history import History
from deploy_agent.machine.identity import Identity, IdentityFile
from deploy_agent.machine.memory import Memory, MemoryFile
from deploy_agent.machine.transport import Transport
from deploy_agent.services.events import Events
from deploy_agent.services.held import Held
from deploy_agent.services.package import Package
from deploy_agent.services.packages import Packages
from deploy_agent.wire import result
from deploy_agent.wire.errors import WireError
from deploy_agent.wire.messages import Inventory, Prolog
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
)
from deploy_agent.wire.sections import Section

log = logging.getLogger(__name__)

Collect = Callable[[], Sequence[Section]]

TAKEN_BACK = "the server has taken it back or knows its end; it does not begin"


class Contact:
    """Talks to the server about what there is for this computer.

    Attributes:
        identity: who this computer is.
        memory: what the server said last.
    """

    def __init__(
        self,
        transport: Transport,
        packages: Packages,
        history: History,
        clock: Clock,
        collect: Collect,
        events: Events,
        *,
        identity_file: IdentityFile,
        memory_file: MemoryFile,
        tag: str | None = None,
        server: str = "",
    ) -> None:
        """Prepare contacts.

        Args:
            transport: the network.
            packages: what is on this computer.
            history: what ended on it.
            clock: tells the time.
            collect: describes the computer.
            events: tells our server what becomes of what it takes back.
            identity_file: where its id is.
            memory_file: where the server's words are.
            tag: the configuration's, None when it has none.
            server: the URL that messages go to.
        """
        self._transport = transport
        self._packages = packages
        self._held = Held(packages)
        self._history = history
        self._clock = clock
        self._collect = collect
        self._events = events
        self._identity_file = identity_file
        self._memory_file = memory_file
        self._tag = tag
        self._server = server
        self.identity: Identity = identity_file.load(clock.now().astimezone())
        self.memory: Memory = memory_file.load().of(server)

    def poll(self) -> None:
        """Ask the server once, and record what it offers.

        Raises:
            TransientError, DefiniteError: there is no answer, or none that can be trusted.
            StoreError: the state cannot be written.
        """
        self.identity = self._identity_file.load(self._clock.now().astimezone())
        reply = self._prolog()
        self._remember(reply)
        self._events.contacted()
        for reason in reply.refused:
            log.warning("an offer of the server makes no sense: %s", reason)
        for offer in reply.offers:
            self._take_offer(offer, ours=reply.tranche is not None)
        if reply.settings is not None and reply.settings.on:
            self._drop_orphans()
        for package_id, attempt in reply.tranche.cancels if reply.tranche else ():
            self._cancel(package_id, attempt)
        if reply.send_inventory or self.identity.old_device_id is not None:
            self._try_inventory()

    def asks_first(self) -> bool:
        """Whether our server may know of an end of what this agent found on its disk."""
        return self.memory.ours and self._held.is_unasked()

    def known_device_id(self) -> str | None:
        """Return this computer's id; None while the server knows it by an older one only."""
        return None if self.identity.old_device_id is not None else self.identity.device_id

    def inventory(self) -> Inventory:
        """Return the inventory as it would be sent."""
        return Inventory(
            device_id=self.identity.device_id,
            sections=tuple(self._collect()),
            tag=self.memory.tag(self._tag),
            history=self._history.succeeded(),
            old_device_id=self.identity.old_device_id,
        )

    def _prolog(self) -> PrologReply:
        # Others than ours never see it: a word that they do not know could do anything.
        held = self._held.name() if self.memory.ours else ()
        answer = self._transport.post(Prolog(self.identity.device_id, held).to_bytes())
        try:
            reply = PrologReply.parse(answer)
        except WireError as error:
            raise WrongBytes(
                f"the server's answer makes no sense: {error}",
                "Look whether the URL is the server's, with /ocsinventory at its end",
            ) from error
        log.info(
            "the server has %s package(s) for %s%s",
            *(len(reply.offers), self.identity.device_id),
            " and wants the inventory" if reply.send_inventory else "",
        )
        if reply.tranche is not None:
            self._held.answered(held)
        return reply

    def _remember(self, reply: PrologReply) -> None:
        # A reply without CONF is how OCS's server says that nothing may be deployed at all.
        settings = reply.settings or DownloadSettings(on=False)
        if not settings.on:
            log.info("deployment is switched off for this computer")
        self._save(
            ours=reply.tranche is not None,
            settings=settings,
            contact_minutes=reply.tranche.contact_minutes if reply.tranche else None,
            prolog_freq_h=None if reply.prolog_freq_h is None else max(1, reply.prolog_freq_h),
            inventory_on_startup=reply.inventory_on_startup,
            contacted_at=self._clock.now(),
            server=self._server,
        )

    def _save(self, **changes: object) -> None:
        memory = replace(self.memory, **changes)  # type: ignore[arg-type]
        self._memory_file.save(memory)
        self.memory = memory

    # Offers.

    def _take_offer(self, offer: PackageOffer, *, ours: bool) -> None:
        package = self._packages.get(offer.package_id)
        record = package.record if package is not None else None
        if record is not None and record.orphan:
            self._adopt(record, offer)
            return
        past = self._history.past(offer.package_id, offer.attempt)
        verdict = judge_offer(offer, record, past)
        now = self._clock.now()
        if verdict is Verdict.KNOWN and package is not None:
            self._update(package, offer)
        elif verdict is Verdict.BUSY:
            log.info("package %s: assigned anew; its last try ends first", offer.package_id)
        elif verdict is Verdict.NEW:
            log.info("package %s: offered", offer.package_id)
            self._packages.begin(policy.renew(record, offer, now))
        elif verdict in (Verdict.ANSWERED, Verdict.ALREADY):
            answer = self._stored(offer) or _already(now, ours=ours)
            log.info("package %s: offered, and ended before: %s", offer.package_id, answer.code)
            fresh = policy.renew(record, offer, now)
            self._packages.begin(replace(fresh, state=State.DONE, result=answer))
        elif verdict is Verdict.CANCELLED and offer.attempt is not None:
            log.info(
                "package %s: offered, but taken back before; it does not begin", offer.package_id
            )
            self._events.cancelled(offer.package_id, offer.attempt, TAKEN_BACK)

    def _adopt(self, record: PackageRecord, offer: PackageOffer) -> None:
        """The server says of which assignment a record was that could not be read."""
        answer = self._stored(offer)
        result = record.result if answer is None else answer
        self._packages.begin(replace(record, offer=offer, result=result))

    def _drop_orphans(self) -> None:
        """Nobody asks any more for what could not be read."""
        for package in self._packages:
            if package.record.orphan:
                log.info("package %s: the server does not ask for it; removed", package.id)
                self._packages.drop(package)

    def _stored(self, offer: PackageOffer) -> Result | None:
        if offer.attempt is None:
            return None
        return self._history.result(offer.package_id, offer.attempt)

    def _update(self, package: Package, offer: PackageOffer) -> None:
        """Take over what an offer says newly of a package that is on its way."""
        if package.state not in BEFORE_ACTION:
            return
        info = package.info
        known = info.revision if info is not None else None
        reread = policy.must_reread(offer, known, package.state)
        if reread:
            log.info("package %s: the server has revision %s now", package.id, offer.revision)
        package.save(replace(package.record, offer=offer, reread=package.record.reread or reread))

    # Cancellations.

    def drop_cancelled(self) -> None:
        """Remove what was taken back by a server that an earlier agent heard, and did not go."""
        for package in self._packages:
            attempt = package.record.offer.attempt
            past = self._history.past(package.id, attempt)
            if past.cancelled and package.state in BEFORE_ACTION:
                self._drop(package)

    def _cancel(self, package_id: str, attempt: int) -> None:
        """The server takes an attempt back: what has not begun is dropped, the rest goes on."""
        package = self._packages.get(package_id)
        if package is None or package.record.offer.attempt != attempt:
            self._cancel_absent(package_id, attempt)
        elif package.state in BEFORE_ACTION and package.record.retry_result is not None:
            self._end_retries(package, package.record.retry_result)
        elif package.state in BEFORE_ACTION and package.record.exec_tries:
            package.fail(
                OutcomeUnknown(
                    "its action was begun before, and the server wants no other try",
                    "Look on the computer, and assign the package again",
                ),
                self._clock.now(),
            )
        elif package.state in BEFORE_ACTION:
            log.info("package %s: %s", package_id, TAKEN_BACK)
            info = package.info
            revision = info.revision if info is not None else package.record.offer.revision
            # From here on it never begins, wherever a kill comes.
            self._history.cancel(package.record, revision, self._clock.now(), TAKEN_BACK)
            self._drop(package)
            self._events.cancelled(package_id, attempt, TAKEN_BACK)
        elif not package.record.ended:
            self._events.goes_on(package)

    def _end_retries(self, package: Package, last: Result) -> None:
        """It has run and rests after a retry code: that is its end, and nothing follows."""
        package.end(
            replace(last, ended_at=self._clock.now(), detail="the server wants no other try"),
            offer=replace(package.record.offer, postcmd=""),
        )

    def _cancel_absent(self, package_id: str, attempt: int) -> None:
        """The server has not heard yet what became of it: it ended, was dropped, or never came."""
        ended = self._history.result(package_id, attempt)
        if ended is not None:
            self._events.ended_before(package_id, attempt, ended)
        elif self._history.past(package_id, attempt).cancelled:
            self._events.cancelled(package_id, attempt, TAKEN_BACK)
        else:
            self._events.cancelled(package_id, attempt, "it is not on this computer")

    def _drop(self, package: Package) -> None:
        self._packages.drop(package)
        self._packages.forget(package)  # even where its folder stays: it must not move any more

    # Inventory.

    def _try_inventory(self) -> None:
        try:
            self._send_inventory()
        except (TransientError, DefiniteError) as error:
            # The server will ask again; packages need not wait for it.
            log.warning("the inventory was not taken: %s", error)

    def _send_inventory(self) -> None:
        began = self._clock.now()
        message = self.inventory()
        answer = self._transport.post(message.to_bytes())
        log.info("inventory sent, %s sections", len(message.sections))
        if self.identity.old_device_id is not None:
            self.identity = self._identity_file.forget_old(self.identity)
        account = _account(answer)
        if account is not None:
            self._save(account=account)
        self._save(inventoried_at=began, configured_tag=self._tag)


def _account(answer: bytes) -> dict[str, str] | None:
    """Return what the server wants kept, None when it is what was sent."""
    if not answer:
        return None
    try:
        account = InventoryReply.parse(answer).account
    except WireError as error:
        raise WrongBytes(f"the server's answer to the inventory makes no sense: {error}") from error
    return None if account is None else dict(account)


def _already(now: datetime, *, ours: bool) -> Result:
    """Return the result of what history has; servers that are not ours know another word."""
    code = result.ERR_ALREADY_SETUP if ours else result.SUCCESS_ALREADY_SETUP
    return Result(code, now, detail="it was installed before, and the assignment is not forced")
