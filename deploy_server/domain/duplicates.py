"""What makes two computers look alike, and values that say nothing. Pure."""

from enum import IntFlag, StrEnum


class Likeness(StrEnum):
    """What two computers have in common; the value is its name in addresses."""

    SERIAL = "serial"
    MAC = "mac"
    NAME = "name"
    CHOSEN = "chosen"  # all that AUTO_DUPLICATE_LVL adds up


class Trait(IntFlag):
    """What AUTO_DUPLICATE_LVL adds up. Source: features.md 6, Duplicate.pm."""

    NAME = 1
    SERIAL = 2
    MAC = 4
    MODEL = 8


#: What makers write where no serial number is, folded.
NO_SERIALS = frozenset(
    {
        "", "0", "00000000", "0123456789", "123456789", "1234567890", "none", "n/a", "na", "null",
        "(null string)", "default string", "not specified", "not available", "not applicable",
        "system serial number", "chassis serial number", "serial number", "invalid", "unknown",
        "to be filled by o.e.m.", "to be filled by o.e.m", "o.e.m.", "oem", "empty", "xxxxxxx",
    }
)  # fmt: skip

#: Addresses of no card, and of those that every computer with the same software has.
NO_MACS = frozenset({"", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "44:45:53:54:00:00"})


def says_itself(value: str) -> bool:
    """Whether a value, as a line of a blacklist, stands for itself: neither pattern nor remark."""
    return "*" not in value and not value.lstrip().startswith("#")
