"""The columns of the list of computers: which there are, and which somebody chose."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from deploy_server.services.computers import ComputerRow
from deploy_server.services.preferences import prefer, preference
from deploy_server.storage.types import utc_text
from deploy_server.web.database import db
from deploy_server.web.security import person

_PREFERENCE = "columns.computers"


@dataclass(frozen=True)
class Column:
    """A column of the list.

    Attributes:
        key: the field of `ComputerRow`, by which the list is sorted too.
        label: its head.
        kind: `text`, `system`, `time` or `memory`; how a cell is drawn.
    """

    key: str
    label: str
    kind: str = "text"


COLUMNS = (
    Column("tag", "Tag"),
    Column("os", "System", "system"),
    Column("os_version", "Version"),
    Column("arch", "Architecture"),
    Column("ip", "IP"),
    Column("user", "User"),
    Column("workgroup", "Workgroup"),
    Column("model", "Model"),
    Column("serial", "Serial number"),
    Column("memory", "Memory", "memory"),
    Column("agent", "Agent"),
    Column("device_id", "Device id"),
    Column("created_at", "First contact", "time"),
    Column("last_contact", "Last contact", "time"),
    Column("last_inventory", "Last inventory", "time"),
)

#: What a list shows as long as nobody chose.
USUAL = ("tag", "os", "ip", "user", "last_contact", "last_inventory")


def chosen_columns() -> list[Column]:
    """The columns that the person wants to see, in the order of `COLUMNS`."""
    text = preference(db.session(), person().id, _PREFERENCE)
    wanted = USUAL if text is None else text.split(",")
    return [each for each in COLUMNS if each.key in wanted]


def choose_columns(keys: Iterable[str]) -> None:
    """Keep which columns the person wants; none at all goes back to the usual ones."""
    wanted = set(keys)
    known = ",".join(each.key for each in COLUMNS if each.key in wanted)
    prefer(db.session(), person().id, _PREFERENCE, known or None)


def cell_text(row: ComputerRow, key: str) -> str:
    """A cell as a file has it."""
    value = getattr(row, key)
    if isinstance(value, datetime):
        return utc_text(value)
    return "" if value is None else str(value)
