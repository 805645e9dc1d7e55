"""Text fields of forms and command lines become a `PackageSpec`.

Names of fields are the attributes of `PackageSpec`. What cannot be read is collected, so that a
form shows it together with what `check_spec` finds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.domain.package import check_spec
from deploy_server.domain.spec import FRAGMENT_SIZE_MAX, PackageSpec

_UNITS = {"": 1, "B": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_UNITS |= {f"{unit}IB": size for unit, size in _UNITS.items() if size > 1}
_UNITS |= {"KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?\s*([A-Za-z]{0,3})\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}\Z", re.ASCII)

_SWITCHES = ("wrap", "can_abort", "can_delay")
_WORDS = ("name", "os", "action", "target", "protocol", "digest_algorithm", "digest_encoding")
_TEXTS = ("description", "notify_text", "done_text")


def parse_size(text: str, field: str = "fragment_size") -> int:
    """Return the bytes that `text` means: 1048576, 1024K, 1MiB, 1.5 GiB; MB counts in thousands.

    Raises:
        SpecError: it is no size.
    """
    found = _SIZE.match(text.strip())
    unit = found and _UNITS.get(found.group(3).upper())
    if not found or not unit:
        raise SpecError(field, f"{text[:40]!r} is no size", "Give one such as 512KiB or 1MiB")
    millionths = int((found.group(2) or "").ljust(6, "0"))
    size = int(found.group(1)) * unit + millionths * unit // 1_000_000
    if size > FRAGMENT_SIZE_MAX:
        raise SpecError(field, f"{text[:40]!r} is larger than 1TiB", "Give less")
    return size


def parse_number(text: str, field: str) -> int:
    """Return the whole number that `text` is.

    Raises:
        SpecError: it is none.
    """
    if not _NUMBER.match(text.strip()):
        label = field.replace("_", " ")
        raise SpecError(field, f"the {label} {text[:40]!r} is no whole number", "Give one")
    return int(text)


def parse_codes(text: str, field: str) -> tuple[int, ...]:
    """Return the exit codes of `text`, separated by commas or spaces.

    Raises:
        SpecError: one of them is no number.
    """
    return tuple(parse_number(word, field) for word in re.split(r"[\s,;]+", text) if word)


def read_spec(
    fields: Mapping[str, str], has_file: bool, *, period_length: int = 10
) -> tuple[PackageSpec, list[str]]:
    """Return the specification that `fields` give, and its warnings.

    A number, size or list that is missing or empty takes its default; a switch is on when it has
    any value; a dialog's text that is missing means no dialog.

    Raises:
        SpecErrors: with every field that is wrong.
    """
    values, errors = _read_numbers(fields)
    values |= {"name": "", "os": "", "action": "", "target": ""}
    values |= {name: fields[name].strip() for name in _WORDS if fields.get(name, "").strip()}
    values |= {name: fields[name] for name in _TEXTS if name in fields}
    values |= {name: bool(fields.get(name)) for name in _SWITCHES}
    spec = PackageSpec(**values)
    try:
        warnings = check_spec(spec, has_file, period_length=period_length)
    except SpecErrors as found:
        unread = {error.field for error in errors}
        errors += [error for error in found.errors if error.field not in unread]
    if errors:
        raise SpecErrors(errors)
    return spec, warnings


def write_spec(spec: PackageSpec) -> dict[str, str]:
    """Return the fields that `read_spec` reads as `spec`; those that say nothing are left out."""
    fields: dict[str, str] = {}
    for name in (*_WORDS, *_TEXTS, *_READERS):
        value = getattr(spec, name)
        if isinstance(value, tuple):
            value = ",".join(map(str, value)) or None
        if value is not None:
            fields[name] = str(value)
    return fields | {name: "1" for name in _SWITCHES if getattr(spec, name)}


def _read_numbers(fields: Mapping[str, str]) -> tuple[dict[str, Any], list[SpecError]]:
    """Return what can be read of the fields that are numbers, and an error for each other one."""
    values: dict[str, Any] = {}
    errors: list[SpecError] = []
    for name, read in _READERS.items():
        text = fields.get(name, "").strip()
        try:
            if text:
                values[name] = read(text, name)
        except SpecError as error:
            errors.append(error)
    return values, errors


_READERS: dict[str, Callable[[str, str], object]] = {
    "priority": parse_number,
    "fragment_size": parse_size,
    "fragments": parse_number,
    "notify_countdown": parse_number,
    "success_codes": parse_codes,
    "reboot_codes": parse_codes,
    "retry_codes": parse_codes,
    "execution_timeout": parse_number,
}
