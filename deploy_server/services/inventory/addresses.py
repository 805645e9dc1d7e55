"""The addresses of a computer, each found by its folded spelling."""

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from deploy_server.domain import inventory as facts
from deploy_server.domain.addresses import address_key
from deploy_server.storage.models import ComputerAddress
from deploy_server.storage.types import fold
from deploy_server.storage.upsert import insert_missing


def store_addresses(session: Session, computer_id: int, sections: facts.Sections) -> None:
    """Make the computer's addresses those of its last inventory."""
    wanted = {
        (kind, fold(address_key(kind, value))[: facts.TEXT_MAX]): value
        for kind, value in facts.read_addresses(sections)
    }
    own = ComputerAddress.computer_id == computer_id
    rows = session.execute(select(ComputerAddress.kind, ComputerAddress.value_key).where(own))
    stored = {(kind, value_key) for kind, value_key in rows}
    gone = sorted(stored - wanted.keys())
    if gone:
        place = tuple_(ComputerAddress.kind, ComputerAddress.value_key)
        session.execute(delete(ComputerAddress).where(own, place.in_(gone)))
    new = sorted(wanted.keys() - stored)
    insert_missing(
        session,
        ComputerAddress,
        [
            {"computer_id": computer_id, "kind": kind, "value_key": value_key,
             "value": wanted[kind, value_key]}
            for kind, value_key in new
        ],
    )  # fmt: skip
