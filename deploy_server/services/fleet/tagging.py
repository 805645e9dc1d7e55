"""The TAG of computers, changed by people; agents learn it with the answer to their inventory."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.domain.tag import check_tag
from deploy_server.services import audit
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.services.fleet.radius import clauses
from deploy_server.storage.models import Computer
from deploy_server.storage.types import fold

_BATCH = 10_000  # ids in one statement; every database takes that many parameters


def set_tag(
    session: Session,
    selection: Selection,
    tag: str,
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Give computers a tag, or none; what the server says wins over the agent's own.

    Args:
        session: not committed here.
        selection: computers, not a group.
        tag: '' takes it away: the agent's own counts again from its next inventory on.
        actor: who does it.
        now: UTC.
        perimeter: tags a person is limited to; they may give no other.

    Returns:
        How many had another one before.

    Raises:
        SpecError: field `tag`, `selection` or `expression`.
        NotFound: a named computer is not there, or not inside the perimeter.
    """
    tag = check_tag(tag)
    if perimeter is not None and fold(tag) not in {fold(each) for each in perimeter}:
        raise SpecError(
            "tag",
            f"{tag!r} is not one of your tags" if tag else "without a tag you would not see them",
            f"Give one of {', '.join(sorted(perimeter))}",
        )
    moved: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for clause in clauses(session, selection, now, perimeter):
        rows = session.execute(
            select(Computer.id, Computer.device_id, Computer.tag)
            .where(clause, Computer.tag != tag)
            .order_by(Computer.id)
        )
        for computer_id, device_id, before in rows:
            moved[before].append((computer_id, device_id))
    for before in sorted(moved):
        _write(session, [computer_id for computer_id, _ in moved[before]], tag)
        whom = audit.named([device_id for _, device_id in moved[before]])
        change = {"before": {"tag": before}, "after": {"tag": tag, **whom}}
        number = whom["computers"]
        target = whom["device_ids"][0] if number == 1 else f"{number} computers"
        audit.record(session, "computer.tag", target, now=now, actor=actor, **change)
    return sum(map(len, moved.values()))


def _write(session: Session, ids: list[int], tag: str) -> None:
    for start in range(0, len(ids), _BATCH):
        session.execute(
            update(Computer)
            .where(Computer.id.in_(ids[start : start + _BATCH]))
            .values(tag=tag, tag_key=fold(tag)[:255])
            .execution_options(synchronize_session=False)
        )
