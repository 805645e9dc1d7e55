"""Options of OCS as people set them: for everybody, for a group, for one computer.

The table of options and how scopes combine are domain/settings.py's; here are the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

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
    """

    name: str
    value: str
    origin: str
    unit: str
    meaning: str


def computer_scope(session: Session, device_id: str, *, perimeter: Perimeter = None) -> Scope:
    """Return the scope of a computer.

    Raises:
        NotFound: no such computer inside the perimeter.
    """
    raise NotImplementedError


def group_scope(session: Session, name: str) -> Scope:
    """Return the scope of a group.

    Raises:
        NotFound: no such group.
    """
    raise NotImplementedError


def list_settings(session: Session, scope: Scope = EVERYBODY) -> list[SettingView]:
    """Return every option that may be set in `scope`, in the order people read them."""
    raise NotImplementedError


def get_setting(session: Session, name: str, scope: Scope = EVERYBODY) -> SettingView:
    """Return one option; `name` in any case, aliases too.

    Raises:
        SpecError: no such option, or not in this scope; field `name`.
    """
    raise NotImplementedError


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
    raise NotImplementedError


def unset_setting(
    session: Session, name: str, scope: Scope = EVERYBODY, *, actor: str, now: datetime
) -> bool:
    """Remove the scope's own value; True if there was one.

    Raises:
        SpecError: no such option; field `name`.
    """
    raise NotImplementedError


def effective_settings(
    session: Session, computer_id: int, *, now: datetime
) -> Sequence[EffectiveSetting]:
    """Return what the computer is told at its next contact, with the origin of each value.

    Raises:
        NotFound: no such computer.
    """
    raise NotImplementedError
