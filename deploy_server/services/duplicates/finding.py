"""Computers with the same serial number, network card or name."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from deploy_server.domain.duplicates import NO_MACS, NO_SERIALS, Likeness
from deploy_server.services.computers import ComputerRow, Perimeter, listed_columns
from deploy_server.storage.models import Computer, ComputerAddress
from deploy_server.storage.search import within

#: Computers of one look that are shown; more than that is no likeness but a missing value.
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Computers that have something in common.

    Attributes:
        value: what, folded.
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
    key, statement = _values(likeness, perimeter)
    shared = statement.group_by(key).having(func.count() > 1)
    total = session.scalar(select(func.count()).select_from(shared.subquery())) or 0
    values = session.execute(
        shared.order_by(func.count().desc(), key).limit(page_size).offset((page - 1) * page_size)
    ).all()
    counts = {value: number for value, number in values}  # noqa: C416 - rows are no pairs to mypy
    computers = _computers(session, likeness, list(counts), perimeter)
    rows = [Lookalikes(value, counts[value], tuple(computers[value])) for value in counts]
    return LookalikePage(tuple(rows), total, page, page_size)


def _values(likeness: Likeness, perimeter: Perimeter) -> tuple[Any, Select[Any]]:
    if likeness is Likeness.MAC:
        key: Any = ComputerAddress.value_key
        found = select(key, func.count()).where(
            ComputerAddress.kind == "mac", key.not_in(sorted(NO_MACS))
        )
        if perimeter is not None:
            found = found.join(Computer, Computer.id == ComputerAddress.computer_id)
        return key, found.where(*within(perimeter))
    key = Computer.serial_key if likeness is Likeness.SERIAL else Computer.name_key
    nothing = sorted(NO_SERIALS) if likeness is Likeness.SERIAL else [""]
    return key, select(key, func.count()).where(key.not_in(nothing), *within(perimeter))


def _computers(
    session: Session, likeness: Likeness, values: list[str], perimeter: Perimeter
) -> dict[str, list[ComputerRow]]:
    if likeness is Likeness.MAC:
        key: Any = ComputerAddress.value_key
        statement = select(key, *listed_columns()).join(
            ComputerAddress, ComputerAddress.computer_id == Computer.id
        )
        statement = statement.where(ComputerAddress.kind == "mac")
    else:
        key = Computer.serial_key if likeness is Likeness.SERIAL else Computer.name_key
        statement = select(key, *listed_columns())
    found: dict[str, list[ComputerRow]] = defaultdict(list)
    for value in values:
        newest = (Computer.last_contact.is_(None), Computer.last_contact.desc(), Computer.id.desc())
        rows = session.execute(
            statement.where(key == value, *within(perimeter)).order_by(*newest).limit(SHOWN_MAX)
        )
        found[value] = [ComputerRow(*row[1:]) for row in rows]
    return found
