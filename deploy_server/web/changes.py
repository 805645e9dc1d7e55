"""An entry of the audit log as people read it: each field with what it was and what it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One field of an entry.

    Attributes:
        field: its name.
        before: what it was; None where the entry says nothing of before.
        after: what it is.
    """

    field: str
    before: str | None
    after: str | None

    @property
    def length(self) -> int:
        """How many characters a reader has to look at."""
        return len(self.field) + len(self.before or "") + len(self.after or "")


def changes_of(before: str, after: str) -> list[Change]:
    """Return the fields of an entry, as its JSON names them, in their order.

    A field that is on one side only stands there alone: it was made, or is gone, or says whom the
    change reached.
    """
    was, now = _read(before), _read(after)
    return [
        Change(name, _side(was, name), _side(now, name)) for name in dict.fromkeys((*was, *now))
    ]


def _read(text: str) -> Mapping[str, object]:
    found: Mapping[str, object] = json.loads(text) if text else {}
    return found


def _side(values: Mapping[str, object], name: str) -> str | None:
    return _fact(values[name]) if name in values else None


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_fact, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(each)}" for name, each in value.items()) or "none"
    return "none" if value in ("", None) else str(value)
