"""Computers with the same serial number, network card or name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, distinct, func, not_, select
from sqlalchemy.orm import Session

from deploy_server.domain.agents import lines_of
from deploy_server.domain.duplicates import NO_MACS, NO_SERIALS, Likeness, Trait
from deploy_server.services.computers import ComputerRow, Perimeter, listed_columns
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import Computer, ComputerAddress
from deploy_server.storage.search import within
from deploy_server.storage.types import fold

#: The settings that name values which say nothing.
BLACKLISTS = {Trait.SERIAL: "BLACKLIST_SERIALS", Trait.MAC: "BLACKLIST_MACADDRESSES"}

#: Computers of one look that are shown; more than that is no likeness but a missing value.
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Computers that have something in common.

    Attributes:
        value: what, folded; of several traits, one after the other.
        count: how many there are.
        computers: the first of them, the last that made contact first.
    """

    value: str
    count: int
    computers: tuple[ComputerRow, ...]


@dataclass(frozen=True, slots=True)
class LookalikePage:
    """A page of them, most alike first."""

    rows: tuple[Lookalikes, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


def lookalikes(
    session: Session,
    likeness: Likeness,
    *,
    perimeter: Perimeter = None,
    page: int = 1,
    page_size: int = 20,
) -> LookalikePage:
    """Return a page of values that more than one computer has, with those computers."""
    traits = traits_of(session, likeness)
    keys = [_KEYS[each] for each in traits]
    number = func.count(distinct(Computer.id))
    shared = (
        _joined(select(*keys, number), traits)
        .where(*_says_something(session, traits), *within(perimeter))
        .group_by(*keys)
        .having(number > 1)
    )
    total = session.scalar(select(func.count()).select_from(shared.subquery())) or 0
    found = session.execute(
        shared.order_by(number.desc(), *keys).limit(page_size).offset((page - 1) * page_size)
    ).all()
    rows = [
        Lookalikes(" · ".join(values), count, _computers(session, traits, values, perimeter))
        for *values, count in found
    ]
    return LookalikePage(tuple(rows), total, page, page_size)


def traits_of(session: Session, likeness: Likeness) -> list[Trait]:
    """Return what computers must all have in common."""
    if likeness is not Likeness.CHOSEN:
        return [_ALONE[likeness]]
    level = int(get_setting(session, "AUTO_DUPLICATE_LVL").value)
    return [each for each in Trait if each & level]


_ALONE = {Likeness.NAME: Trait.NAME, Likeness.SERIAL: Trait.SERIAL, Likeness.MAC: Trait.MAC}
_KEYS: dict[Trait, Any] = {
    Trait.NAME: Computer.name_key,
    Trait.SERIAL: Computer.serial_key,
    Trait.MAC: ComputerAddress.value_key,
    Trait.MODEL: Computer.model_key,
}
_NOTHING = {
    Trait.NAME: [""],
    Trait.SERIAL: sorted(NO_SERIALS),
    Trait.MAC: sorted(NO_MACS),
    Trait.MODEL: [""],
}


def _joined(statement: Select[Any], traits: Sequence[Trait]) -> Select[Any]:
    statement = statement.select_from(Computer)
    if Trait.MAC not in traits:
        return statement
    return statement.join(
        ComputerAddress,
        and_(ComputerAddress.computer_id == Computer.id, ComputerAddress.kind == "mac"),
    )


def _says_something(session: Session, traits: Sequence[Trait]) -> list[ColumnElement[bool]]:
    found = [_KEYS[each].not_in(_NOTHING[each]) for each in traits]
    for each in traits:
        if each in BLACKLISTS:
            lines = lines_of(get_setting(session, BLACKLISTS[each]).value)
            found += [not_(_KEYS[each].like(_pattern(line), escape="\\")) for line in lines]
    return found


def _pattern(line: str) -> str:
    text = fold(line)
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return text.replace("*", "%")


def _computers(
    session: Session, traits: Sequence[Trait], values: Sequence[str], perimeter: Perimeter
) -> tuple[ComputerRow, ...]:
    newest = (Computer.last_contact.is_(None), Computer.last_contact.desc(), Computer.id.desc())
    same = [_KEYS[each] == value for each, value in zip(traits, values, strict=True)]
    rows = session.execute(
        _joined(select(*listed_columns()), traits)
        .where(*same, *within(perimeter))
        .order_by(*newest)
        .limit(SHOWN_MAX)
    )
    return tuple(ComputerRow(*row) for row in rows)
