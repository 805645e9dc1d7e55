"""Options of OCS as people set them: for everybody, for a group, for one computer.

The table of options and how scopes combine are domain/settings.py's; here are the rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, or_, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.domain.options import GLOBAL, Kind, Option
from deploy_server.domain.settings import (
    OPTIONS,
    Effective,
    GroupValues,
    find_option,
    resolve,
)
from deploy_server.services import audit
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import Computer, Group, Setting
from deploy_server.storage.quick import Prepared, execute
from deploy_server.storage.search import within
from deploy_server.storage.types import fold
from deploy_server.storage.upsert import insert_or_update

Perimeter = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a value is for.

    Attributes:
        kind: `global`, `group` or `computer`.
        id: of the group or computer, 0 for everybody.
        label: the group's name or the computer's device id, for people.
    """

    kind: Literal["global", "group", "computer"] = "global"
    id: int = 0
    label: str = ""


EVERYBODY = Scope()


@dataclass(frozen=True, slots=True)
class SettingView:
    """An option in one scope, as pages and commands show it.

    Attributes:
        name: OCS's name.
        value: in force in that scope alone; the default where nothing was set for everybody, ''
            where a group or computer has no value of its own.
        is_set: the scope has a value of its own.
        default: of the product.
        kind: `switch`, `number`, `choice` or `text`.
        unit: `s`, `min`, `h`, `days`, `cycles` or ''.
        meaning: a sentence for people.
        scopes: where it may be set.
        minimum: of a number.
        maximum: of a number.
        choices: of a choice.
        warning: what the value does that people rarely want, '' mostly.
        changed_at: when the value was set.
        changed_by: who set it.
    """

    name: str
    value: str
    is_set: bool
    default: str
    kind: str
    unit: str
    meaning: str
    scopes: tuple[str, ...]
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    warning: str = ""
    changed_at: datetime | None = None
    changed_by: str = ""


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """What one computer is told, and why.

    Attributes:
        name: OCS's name.
        value: what counts.
        origin: `this computer`, `group Servers`, `everybody` or `default`.
        unit: as in `SettingView`.
        meaning: as in `SettingView`.
        kind: as in `SettingView`.
    """

    name: str
    value: str
    origin: str
    unit: str
    meaning: str
    kind: str


def computer_scope(session: Session, device_id: str, *, perimeter: Perimeter = None) -> Scope:
    """Return the scope of a computer.

    Raises:
        NotFound: no such computer inside the perimeter.
    """
    found = session.scalar(
        select(Computer.id).where(Computer.device_id == device_id, *within(perimeter))
    )
    if found is None:
        raise NotFound(
            f"there is no computer {device_id[:80]!r}", "Find it: deploy-server computer list"
        )
    return Scope("computer", found, device_id)


def group_scope(session: Session, name: str) -> Scope:
    """Return the scope of a group.

    Raises:
        NotFound: no such group.
    """
    found = session.execute(
        select(Group.id, Group.name).where(Group.name_key == fold(name))
    ).first()
    if found is None:
        raise NotFound(f"there is no group {name[:80]!r}", "Find it: deploy-server group list")
    return Scope("group", found.id, found.name)


def list_settings(session: Session, scope: Scope = EVERYBODY) -> list[SettingView]:
    """Return every option that may be set in `scope`, in the order people read them."""
    rows = session.execute(_select().where(_in_scope(scope)))
    set_here = {row.name: row for row in rows}
    options = [option for option in OPTIONS if scope.kind in option.scopes]
    return [_view(option, scope, set_here.get(option.name)) for option in options]


def get_setting(session: Session, name: str, scope: Scope = EVERYBODY) -> SettingView:
    """Return one option; `name` in any case, aliases too.

    Raises:
        SpecError: no such option, or not in this scope; field `name`.
    """
    option = _option(name, scope)
    row = session.execute(_select().where(_in_scope(scope), Setting.name == option.name)).first()
    return _view(option, scope, row)


def set_setting(
    session: Session,
    name: str,
    value: str,
    scope: Scope = EVERYBODY,
    *,
    actor: str,
    now: datetime,
) -> SettingView:
    """Set an option; the answer's `warning` is for whoever set it.

    Raises:
        SpecError: field `name` or `value`.
    """
    option = _option(name, scope)
    checked = option.check(value)
    row = {
        "scope": scope.kind,
        "scope_id": scope.id,
        "name": option.name,
        "value": checked,
        "changed_at": now,
        "changed_by": actor,
    }
    was = session.scalar(select(Setting.value).where(_in_scope(scope), Setting.name == option.name))
    key = ("scope", "scope_id", "name")
    insert_or_update(session, Setting, [row], key, ("value", "changed_at", "changed_by"))
    if was != checked:
        _record(session, "setting.set", option, scope, was, checked, actor, now)
    return get_setting(session, option.name, scope)


def unset_setting(
    session: Session, name: str, scope: Scope = EVERYBODY, *, actor: str, now: datetime
) -> bool:
    """Remove the scope's own value; True if there was one.

    Raises:
        SpecError: no such option; field `name`.
    """
    option = _option(name, scope)
    gone = session.execute(
        delete(Setting)
        .where(_in_scope(scope), Setting.name == option.name)
        .returning(Setting.value)
    ).first()
    if gone is not None:
        _record(session, "setting.unset", option, scope, gone.value, None, actor, now)
    return gone is not None


def _record(
    session: Session,
    action: str,
    option: Option,
    scope: Scope,
    before: str | None,
    after: str | None,
    actor: str,
    now: datetime,
) -> None:
    was = None if before is None else {"value": before}
    is_now = None if after is None else {"value": after}
    whose = "everybody" if scope.kind == GLOBAL else f"{scope.kind} {_name_of(session, scope)}"
    target = f"{option.name} of {whose}"
    audit.record(session, action, target, now=now, actor=actor, before=was, after=is_now)


def _name_of(session: Session, scope: Scope) -> str:
    if scope.kind == "group":
        return session.scalar(select(Group.name).where(Group.id == scope.id)) or str(scope.id)
    found = session.scalar(select(Computer.device_id).where(Computer.id == scope.id))
    return found or str(scope.id)


def effective_settings(
    session: Session, computer_id: int, *, now: datetime
) -> Sequence[EffectiveSetting]:
    """Return what the computer is told at its next contact, with the origin of each value.

    Raises:
        NotFound: no such computer.
    """
    if session.get(Computer, computer_id) is None:
        raise NotFound(f"there is no computer {computer_id}")
    effective = load_effective(session, computer_id, groups_of(session, computer_id, now))
    return [
        EffectiveSetting(
            name=option.name,
            value=effective.values[option.name],
            origin=_ORIGINS.get(effective.origins[option.name], effective.origins[option.name]),
            unit=option.unit,
            meaning=option.meaning,
            kind=option.kind.value,
        )
        for option in OPTIONS
        if "computer" in option.scopes
    ]


def audit_days(session: Session) -> int:
    """Return for how many days the audit log is kept; 0 is for ever. Leaves no transaction."""
    with session.begin():
        return everybody(session).number("AUDIT_DAYS")


def everybody(session: Session) -> Effective:
    """Return what counts for a computer that nothing special was said about."""
    return load_effective(session, None, {})


def load_effective(
    session: Session, computer_id: int | None, groups: Mapping[int, str]
) -> Effective:
    """Return what counts for a computer in `groups` (id: name), with one statement."""
    computer = computer_id or 0
    if groups:
        place = {"computer": computer, "groups": list(groups)}
        rows = [tuple(row) for row in execute(session, _WITH_GROUPS, place)]
    else:
        rows = _WITHOUT_GROUPS.all(session, {"computer": computer})
    if not any(row[0] == "computer" for row in rows):
        computer = 0
    return _resolved(tuple(sorted(rows)), computer, tuple(groups.items()))


# Most computers have the same few rows: it is cheaper to know their meaning by heart.
@lru_cache(maxsize=1024)
def _resolved(
    rows: tuple[tuple[str, int, str, str], ...], computer: int, groups: tuple[tuple[int, str], ...]
) -> Effective:
    values: dict[tuple[str, int], dict[str, str]] = {("global", 0): {}}
    for scope, scope_id, name, value in rows:
        values.setdefault((scope, scope_id), {})[name] = value
    shared = [
        GroupValues(name, values["group", group_id])
        for group_id, name in groups
        if ("group", group_id) in values
    ]
    if values["global", 0].get("ENABLE_GROUPS") == "0":
        shared = []
    return resolve(values["global", 0], shared, values.get(("computer", computer)))


# Made once: building a statement costs more than running it.
_COLUMNS = (Setting.scope, Setting.scope_id, Setting.name, Setting.value)
_NOT_OF_GROUPS = or_(
    Setting.scope == "global",
    and_(Setting.scope == "computer", Setting.scope_id == bindparam("computer")),
)
_WITHOUT_GROUPS = Prepared(select(*_COLUMNS).where(_NOT_OF_GROUPS))
_WITH_GROUPS = select(*_COLUMNS).where(
    or_(
        _NOT_OF_GROUPS,
        and_(Setting.scope == "group", Setting.scope_id.in_(bindparam("groups", expanding=True))),
    )
)
_ORIGINS = {"computer": "this computer", "global": "everybody"}


def _option(name: str, scope: Scope) -> Option:
    option = find_option(name)
    if scope.kind not in option.scopes:
        raise SpecError(
            "name", f"{option.name} is for everybody, not for one {scope.kind}", "Set it globally"
        )
    return option


def _select() -> Select[str, str, datetime, str]:
    return select(Setting.name, Setting.value, Setting.changed_at, Setting.changed_by)


def _in_scope(scope: Scope) -> ColumnElement[bool]:
    return and_(Setting.scope == scope.kind, Setting.scope_id == scope.id)


def _view(option: Option, scope: Scope, row: Any) -> SettingView:
    unset = option.default if scope.kind == GLOBAL else ""
    value = unset if row is None else row.value
    return SettingView(
        name=option.name,
        value=value,
        is_set=row is not None,
        default=option.default,
        kind=option.kind.value,
        unit=option.unit,
        meaning=option.meaning,
        scopes=option.scopes,
        minimum=option.minimum if option.kind is Kind.NUMBER else None,
        maximum=option.maximum if option.kind is Kind.NUMBER else None,
        choices=option.choices,
        warning=option.warnings.get(value, ""),
        changed_at=None if row is None else row.changed_at,
        changed_by="" if row is None else row.changed_by,
    )
