"""The fields an expression may name, and what each takes."""

import difflib
from dataclasses import dataclass
from enum import Enum

from deploy_server.domain.search.errors import SearchError

EQUALITY = ("=", "!=", "in")
CONTAINS = ("~", "!~")
ORDER = ("<", "<=", ">", ">=")


class FieldKind(Enum):
    """What the values of a field are; the value tells people what to write."""

    TEXT = "text"
    NAME = "text without an order"  # addresses, groups, software: several values
    VERSION = "a version"
    NUMBER = "a number"
    TIME = "a time such as 2026-11-21 or 2026-11-21T10:00, or how long ago such as 7d"
    STATUS = "success, error, waiting, notified, none or a status"


_OPERATORS = {
    FieldKind.TEXT: EQUALITY + CONTAINS + ORDER,
    FieldKind.NAME: EQUALITY + CONTAINS,
    FieldKind.VERSION: EQUALITY + CONTAINS + ORDER,
    FieldKind.NUMBER: EQUALITY + ORDER,
    FieldKind.TIME: EQUALITY + ORDER,
    FieldKind.STATUS: EQUALITY + CONTAINS,
}


class Argument(Enum):
    """Whether something follows the field's name and a colon."""

    NEVER = 0
    MAY = 1
    MUST = 2


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the language.

    Attributes:
        name: as people write it.
        kind: of its values.
        meaning: a few words for people.
        argument: whether `name:something` is possible.
        argument_kind: of the values with an argument.
    """

    name: str
    kind: FieldKind
    meaning: str
    argument: Argument = Argument.NEVER
    argument_kind: FieldKind | None = None

    def kind_with(self, has_argument: bool) -> FieldKind:
        """Return the kind of the values, with an argument or without."""
        return self.argument_kind if has_argument and self.argument_kind else self.kind

    def operators(self, has_argument: bool = False) -> tuple[str, ...]:
        """Return the operators that the field takes."""
        return _OPERATORS[self.kind_with(has_argument)]


FIELDS = (
    Field("name", FieldKind.TEXT, "the computer's name"),
    Field("device_id", FieldKind.TEXT, "the id that its agent made"),
    Field("os", FieldKind.TEXT, "the name of its operating system"),
    Field("os_version", FieldKind.VERSION, "the version of its operating system"),
    Field("arch", FieldKind.TEXT, "its processor's architecture"),
    Field("ip", FieldKind.NAME, "its IP addresses"),
    Field("mac", FieldKind.NAME, "its network cards' addresses"),
    Field("user", FieldKind.TEXT, "who uses it"),
    Field("tag", FieldKind.TEXT, "its tag"),
    Field("workgroup", FieldKind.TEXT, "its workgroup or domain"),
    Field("serial", FieldKind.TEXT, "its serial number"),
    Field("model", FieldKind.TEXT, "its model"),
    Field("memory", FieldKind.NUMBER, "its memory in MB"),
    Field("agent", FieldKind.TEXT, "its agent, as the agent names itself"),
    Field("last_contact", FieldKind.TIME, "when its agent last called"),
    Field("last_inventory", FieldKind.TIME, "when its last inventory came"),
    Field("group", FieldKind.NAME, "the groups it is in"),
    Field(
        "software",
        FieldKind.NAME,
        "its installed software; software:NAME is the version",
        Argument.MAY,
        FieldKind.VERSION,
    ),
    Field(
        "package",
        FieldKind.STATUS,
        "package:ID or package:NAME is how far that package is",
        Argument.MUST,
    ),
)

BY_NAME = {field.name: field for field in FIELDS}


def find_field(name: str, position: int) -> Field:
    """Return the field `name`, in any case.

    Raises:
        SearchError: there is none.
    """
    field = BY_NAME.get(name.lower())
    if field is None:
        raise SearchError(position, f"there is no field {name[:40]!r}", _advice(name))
    return field


def _advice(name: str) -> str:
    close = difflib.get_close_matches(name.lower()[:40], BY_NAME, n=1)
    if close:
        return f"Did you mean {close[0]}?"
    return f"To find it in names write: name ~ {_written(name[:40])}. Fields: {', '.join(BY_NAME)}"


def _written(name: str) -> str:
    return name if name.isalnum() else '"' + name.replace('"', '\\"') + '"'
