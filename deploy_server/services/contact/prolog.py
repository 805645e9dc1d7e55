"""PROLOG: what a computer should send, how it should pace itself, and which packages it gets."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Prolog
from deploy_agent.wire.replies import PackageOffer, PrologReply, TrancheOption
from deploy_server.domain.assigning import AgentKind
from deploy_server.domain.offering import NEVER, Device, wants_inventory
from deploy_server.domain.settings import Effective
from deploy_server.services import withdrawing
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.contact import held
from deploy_server.services.contact.offers import Contact, MustWrite, collect_offers
from deploy_server.services.contact.seen import mark_seen
from deploy_server.services.refusals import AgentRefused
from deploy_server.services.settings import everybody, load_effective
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import Computer
from deploy_server.storage.quick import Locking

_COMPUTER = select(Computer.id, Computer.name, Computer.os_family, Computer.last_inventory).where(
    Computer.device_id == bindparam("device_id")
)
# Only our agents can be told to drop what was taken back; mostly there is nothing of the kind.
_OURS = _COMPUTER.add_columns(withdrawing.has_cancels().label("has_cancels"))
# Locked where rows are about to change, so that two contacts of one computer take turns.
_LEGACY_ROW, _OUR_ROW = Locking(_COMPUTER, Computer), Locking(_OURS, Computer)


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer to a contact that changes nothing but when the computer was seen.

    Attributes:
        reply: what it is told.
        computer_id: its row, None where it has none.
    """

    reply: PrologReply
    computer_id: int | None


def look_at_prolog(
    session: Session, request: Prolog, *, now: datetime, caller: Caller
) -> Looked | None:
    """Answer a PROLOG that changes nothing, and None to another; `session` only reads.

    Most contacts find nothing new. Those wait for no writer, and no disk. Whoever is written for
    was looked at before, so an agent that is not welcome is turned away here.

    Raises:
        AgentRefused: a setting refuses the agent.
    """
    try:
        return _answer(session, request, now, caller, may_write=False)
    except MustWrite:
        return None


def answer_prolog(
    session: Session, request: Prolog, *, now: datetime, caller: Caller
) -> PrologReply:
    """Answer a PROLOG; packages that are offered for the first time become NOTIFIED.

    A computer that is not known yet gets no row: its first inventory makes one.
    """
    answered = _answer(session, request, now, caller, may_write=True)
    if answered.computer_id is not None:
        mark_seen(session, answered.computer_id, now, caller.user_agent)
    return answered.reply


def _answer(
    session: Session, request: Prolog, now: datetime, caller: Caller, *, may_write: bool
) -> Looked:
    kind = AgentKind.of(caller.user_agent)
    ours = kind is AgentKind.OURS
    place = {"device_id": request.device_id}
    computer = (_OUR_ROW if ours else _LEGACY_ROW).first(session, place, may_write=may_write)
    if computer is None:
        effective = everybody(session)
        if not may_write:
            _check_agent(effective, caller)
        caller.note(Activity.PROLOG_UNKNOWN)
        send = effective.number("FREQUENCY") != NEVER
        return Looked(_reply(effective, send, (), _tranche(effective) if ours else None), None)
    groups = groups_of(session, computer.id, now, at_contact=True)
    effective = load_effective(session, computer.id, groups)
    if not may_write:
        _check_agent(effective, caller)
    has_cancels = ours and computer.has_cancels
    cancels = withdrawing.cancels(session, computer.id) if has_cancels else ()
    if ours and request.held:
        stale = held.over(session, computer.id, request.device_id, request.held)
        cancels = tuple(dict.fromkeys((*cancels, *stale)))
    tranche = _tranche(effective, cancels) if ours else None
    frequency = effective.number("FREQUENCY")
    if frequency == NEVER:
        caller.note(Activity.PROLOG, "STOP, no inventories and no packages")
        return Looked(_reply(effective, False, (), tranche), computer.id)
    offers: tuple[PackageOffer, ...] = ()
    if effective.is_on("DOWNLOAD"):
        contact = Contact(
            computer_id=computer.id,
            name=computer.name,
            device=Device(kind, computer.os_family),
            groups=groups if effective.is_on("ENABLE_GROUPS") else None,
            traced=effective.is_on("DOWNLOAD_GROUPS_TRACE_EVENTS"),
            now=now,
            caller=caller,
            may_write=may_write,
        )
        offers = collect_offers(session, contact)
    send = wants_inventory(frequency, computer.last_inventory, now)
    caller.note(Activity.PROLOG, f"{'SEND' if send else 'STOP'}, {len(offers)} offered")
    return Looked(_reply(effective, send, offers, tranche), computer.id)


def _check_agent(effective: Effective, caller: Caller) -> None:
    why = effective.refusal(caller.user_agent)
    if why:
        raise AgentRefused(why)


def _reply(
    effective: Effective,
    send: bool,
    offers: tuple[PackageOffer, ...],
    tranche: TrancheOption | None,
) -> PrologReply:
    # Without inventories OCS's server gives no OPTION at all. Source: features.md 1.3, BREAK.
    stopped = effective.number("FREQUENCY") == NEVER
    return PrologReply(
        send_inventory=send,
        prolog_freq_h=effective.number("PROLOG_FREQ"),
        inventory_on_startup=effective.is_on("INVENTORY_ON_STARTUP"),
        settings=None if stopped else effective.download(),
        offers=offers,
        tranche=tranche,
    )


def _tranche(effective: Effective, cancels: tuple[tuple[str, int], ...] = ()) -> TrancheOption:
    return TrancheOption(effective.number("CONTACT_MINUTES"), cancels)
