"""Options of OCS for many computers at once (features 5.9: default, a value, or left alone)."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.domain.options import Option
from deploy_server.domain.settings import find_option
from deploy_server.services import audit
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.services.fleet.radius import clauses
from deploy_server.storage.models import Computer, Setting
from deploy_server.storage.upsert import insert_or_update

_BATCH = 5000  # rows in one statement


def set_values(
    session: Session,
    selection: Selection,
    values: Mapping[str, str | None],
    *,
    actor: str,
    now: datetime,
    perimeter: Perimeter = None,
) -> int:
    """Give computers values of their own; returns how many computers.

    Args:
        session: not committed here.
        selection: computers, not a group.
        values: by option; None takes the computers' own value away. Others are left alone.
        actor: who does it.
        now: UTC.
        perimeter: tags a person is limited to.

    Raises:
        SpecErrors: one for each option whose value is wrong, by its name; nothing was set.
        SpecError: field `selection` or `expression`.
        NotFound: a named computer is not there, or not inside the perimeter.
    """
    checked = _check(values)
    rows = [
        (computer_id, device_id)
        for clause in clauses(session, selection, now, perimeter)
        for computer_id, device_id in session.execute(
            select(Computer.id, Computer.device_id).where(clause).order_by(Computer.id)
        )
    ]
    ids = [computer_id for computer_id, _ in rows]
    whom = audit.named([device_id for _, device_id in rows])
    for option, value in checked:
        for start in range(0, len(ids), _BATCH):
            _write(session, ids[start : start + _BATCH], option.name, value, actor, now)
        action = "setting.unset" if value is None else "setting.set"
        target = f"{option.name} of {len(ids)} computers"
        after = {**whom} if value is None else {"value": value, **whom}
        audit.record(session, action, target, now=now, actor=actor, after=after)
    return len(ids)


def _check(values: Mapping[str, str | None]) -> list[tuple[Option, str | None]]:
    checked: list[tuple[Option, str | None]] = []
    problems: list[SpecError] = []
    for name, text in values.items():
        try:
            option = find_option(name)
            if "computer" not in option.scopes:
                raise SpecError(name, f"{name} is for everybody", "Set it globally")
            checked.append((option, None if text is None else option.check(text)))
        except SpecError as error:
            problems.append(SpecError(name, error.message, error.hint))
    if problems:
        raise SpecErrors(problems)
    return checked


def _write(
    session: Session, ids: list[int], name: str, value: str | None, actor: str, now: datetime
) -> None:
    if value is None:
        mine = (Setting.scope == "computer", Setting.name == name, Setting.scope_id.in_(ids))
        session.execute(delete(Setting).where(*mine))
        return
    rows = [
        {
            "scope": "computer",
            "scope_id": each,
            "name": name,
            "value": value,
            "changed_at": now,
            "changed_by": actor,
        }
        for each in ids
    ]
    key = ("scope", "scope_id", "name")
    insert_or_update(session, Setting, rows, key, ("value", "changed_at", "changed_by"))
