"""The columns of the list of packages: which there are, and which somebody chose."""

from collections.abc import Iterable
from dataclasses import dataclass

from deploy_agent.wire.result import ResultClass
from deploy_server.services.packages import PackageRow
from deploy_server.services.preferences import prefer, preference
from deploy_server.web.database import db
from deploy_server.web.security import person

_PREFERENCE = "columns.packages"


@dataclass(frozen=True)
class Column:
    """A column of the list.

    Attributes:
        key: by which the list is sorted too.
        label: its head.
        kind: how a cell is drawn: `text`, `number`, `time`, `system`, `action`, `size` or `count`.
    """

    key: str
    label: str
    kind: str = "text"


COLUMNS = (
    Column("id", "Id", "number"),
    Column("os", "System", "system"),
    Column("action", "Action", "action"),
    Column("target", "Command or folder"),
    Column("description", "Description"),
    Column("created", "Built", "time"),
    Column("deleted", "Deleted", "time"),
    Column("created_by", "Built by"),
    Column("revision", "Revision", "number"),
    Column("priority", "Priority", "number"),
    Column("size", "Size", "size"),
    Column("fragments", "Fragments", "number"),
    Column("activations", "Activations", "number"),
    *(Column(each.name.lower(), each.name.capitalize(), "count") for each in ResultClass),
    Column("total", "Computers", "count"),
)

#: What a list shows as long as nobody chose.
USUAL = ("created", "deleted", "priority", "size", "waiting", "notified", "success", "error")


def all_columns(*, deleted: bool) -> list[Column]:
    """The columns that a tab may have."""
    nowhere = ("activations",) if deleted else ("deleted",)
    return [each for each in COLUMNS if each.key not in nowhere]


def chosen_columns(*, deleted: bool) -> list[Column]:
    """The columns that the person wants to see, in the order of `COLUMNS`."""
    text = preference(db.session(), person().id, _PREFERENCE)
    wanted = USUAL if text is None else text.split(",")
    return [each for each in all_columns(deleted=deleted) if each.key in wanted]


def choose_columns(keys: Iterable[str], *, deleted: bool) -> None:
    """Keep which columns the person wants; none at all goes back to the usual ones.

    What the tab does not have stays as it was chosen.
    """
    here = {each.key for each in all_columns(deleted=deleted)}
    others = {each.key for each in chosen_columns(deleted=not deleted)} - here
    wanted = set(keys) & here
    kept = ",".join(each.key for each in COLUMNS if each.key in wanted | others)
    prefer(db.session(), person().id, _PREFERENCE, kept if wanted else None)


def cell(row: PackageRow, key: str) -> object:
    """The value of a cell; what is not known is None."""
    package, counts = row.package, row.status
    if key == "id":
        return f"{package.id:010d}"
    if key == "activations":
        return row.activations
    if key == "total":
        return counts.total
    if key in ("created", "deleted"):
        return getattr(package, f"{key}_at")
    for each in ResultClass:
        if key == each.name.lower():
            return counts.by_class[each]
    return getattr(package, key)
