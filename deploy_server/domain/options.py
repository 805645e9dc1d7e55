"""One option of the server: what values it takes, and the check of a value. Pure.

Numbers 0 are values, None is absence everywhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from deploy_server.domain.agents import parse_rules
from deploy_server.domain.errors import SpecError
from deploy_server.domain.location import read_location

GLOBAL, GROUP, COMPUTER = "global", "group", "computer"
EVERYWHERE = (GLOBAL, GROUP, COMPUTER)

TEXT_MAX = 4000  # characters of a text option
_NUMBER = re.compile(r"-?[0-9]{1,12}\Z", re.ASCII)


class Kind(Enum):
    """What values an option takes."""

    SWITCH = "switch"
    NUMBER = "number"
    CHOICE = "choice"
    TEXT = "text"
    VERSIONS = "versions"  # rules of domain/agents.py, one in each line
    LOCATION = "location"  # host[:port]/path without scheme


class Combine(Enum):
    """How the values of several scopes become one; the value says it to people."""

    LARGEST = "the computer's, else the largest of its groups, else everybody's"
    SMALLEST = "the computer's, else the smallest of its groups, else everybody's"
    LIMIT = "the computer's, else the smallest of its groups (0 is no limit), else everybody's"
    SWITCH = "off for everybody is off; else the computer's; else off in one group is off"
    FREQUENCY = "0 and -1 for everybody count; else the smallest of the computer and its groups"


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: OCS's name, or ours where OCS has none.
        default: as text.
        meaning: a sentence for people.
        kind: of values.
        unit: of a number.
        minimum: of a number.
        maximum: of a number.
        choices: of a choice.
        scopes: where it may be set.
        combine: how scopes become one.
        aliases: other names that people know it by.
        warnings: values that work and that people rarely want, each with what it does.
        schemes: of a location; those that are stripped when somebody pastes a whole URL.
    """

    name: str
    default: str
    meaning: str
    kind: Kind = Kind.NUMBER
    unit: str = ""
    minimum: int = 0
    maximum: int = 2**31 - 1
    choices: tuple[str, ...] = ()
    scopes: tuple[str, ...] = EVERYWHERE
    combine: Combine = Combine.SMALLEST
    aliases: tuple[str, ...] = ()
    warnings: Mapping[str, str] = field(default_factory=dict)
    schemes: tuple[str, ...] = ()

    def check(self, text: str) -> str:
        """Return the value as it is stored.

        Raises:
            SpecError: field `value`; says what the option takes.
        """
        return _CHECKS[self.kind](self, text.strip())


def _switch(option: Option, text: str) -> str:
    value = _SWITCHES.get(text.casefold())
    if value is None:
        raise _wrong(f"{option.name} is a switch, not {text[:40]!r}", "Give 1 or 0")
    return value


def _number(option: Option, text: str) -> str:
    takes = f"Give a whole number from {option.minimum} to {option.maximum}"
    if not _NUMBER.match(text):
        raise _wrong(f"{option.name} is a number, not {text[:40]!r}", takes)
    if not option.minimum <= int(text) <= option.maximum:
        unit = f" {option.unit}" if option.unit else ""
        raise _wrong(f"{option.name} cannot be {int(text)}{unit}", takes)
    return str(int(text))


def _choice(option: Option, text: str) -> str:
    for choice in option.choices:
        if choice.casefold() == text.casefold():
            return choice
    raise _wrong(f"{option.name} cannot be {text[:40]!r}", f"Give {' or '.join(option.choices)}")


def _text(option: Option, text: str) -> str:
    if len(text) > TEXT_MAX:
        raise _wrong(f"{option.name} is longer than {TEXT_MAX} characters", "Shorten it")
    if any(not char.isprintable() and char != "\n" for char in text):
        raise _wrong(f"{option.name} holds a character that cannot be seen", "Type it again")
    return text


def _versions(option: Option, text: str) -> str:
    checked = _text(option, text)
    parse_rules(checked)
    return checked


def _location(option: Option, text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() not in option.schemes:
        raise _wrong(
            f"{option.name} is always fetched by {' or '.join(option.schemes)}, not {scheme[:20]}",
            "Give host[:port]/path without a scheme",
        )
    bare = rest if separator else text
    return str(read_location(bare, "value", option.schemes[0])) if bare else ""


def _wrong(message: str, hint: str) -> SpecError:
    return SpecError("value", message, hint)


_SWITCHES = {
    **dict.fromkeys(("1", "on", "yes", "true"), "1"),
    **dict.fromkeys(("0", "off", "no", "false"), "0"),
}
_CHECKS: dict[Kind, Callable[[Option, str], str]] = {
    Kind.SWITCH: _switch,
    Kind.NUMBER: _number,
    Kind.CHOICE: _choice,
    Kind.TEXT: _text,
    Kind.VERSIONS: _versions,
    Kind.LOCATION: _location,
}
