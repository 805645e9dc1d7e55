"""The info file: one DOWNLOAD element whose attributes say what a package is.

Shape: <DOWNLOAD ID="1800000001" PRI="5" ACT="LAUNCH" DIGEST="be3a..." PROTO="HTTP" FRAGS="3"
DIGEST_ALGO="MD5" DIGEST_ENCODE="Hexa" NAME="install.sh 0 two" NOTIFY_USER="0" ... X_REVISION="1"/>

Source: features.md 2, vectors/agent-07-get-info-launch.response.xml; X_ attributes: contract.md 4.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy_agent.wire import terms, xml
from deploy_agent.wire.digest import Digest
from deploy_agent.wire.errors import FieldError, XmlError
from deploy_agent.wire.fragment import check_foreign_package_id
from deploy_agent.wire.terms import Action, Protocol

# Which attribute carries the action's text, and OCS's order of all of them.
TARGET_FIELD = {Action.LAUNCH: "NAME", Action.EXECUTE: "COMMAND", Action.STORE: "PATH"}

FRAGMENTS_MAX = 10_000_000
_HEX64 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,12}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Notification:
    """What the user is shown before the action.

    Attributes:
        text: HTML of a harmless subset.
        countdown_s: seconds until the action starts by itself; 0 waits for ever, None was not said.
        can_abort: the user may cancel.
        can_delay: the user may put it off.
    """

    text: str
    countdown_s: int | None = None
    can_abort: bool = False
    can_delay: bool = False


@dataclass(frozen=True, slots=True)
class InfoFile:
    """One package as its info file describes it.

    Attributes:
        package_id: ID; digits.
        priority: PRI, 0 to 10.
        action: ACT.
        target: NAME, COMMAND or PATH, as the action has it.
        protocol: PROTO, of the fragments.
        fragments: FRAGS; 0 means that there is no file.
        digest: of the joined package; None when there is no file.
        notification: NOTIFY_*; None when nobody is asked.
        done_text: NEED_DONE_ACTION_TEXT; None when nobody has to confirm the end.
        sha256: X_SHA256, raw, of the joined package.
        fragments_sha256: X_FRAGMENTS_SHA256, raw, of fragments.sha256.
        fragment_size: X_FRAGMENT_SIZE in bytes.
        revision: X_REVISION.
        success_codes: X_SUCCESS_CODES, beside 0.
        reboot_codes: X_REBOOT_CODES.
        retry_codes: X_RETRY_CODES.
        execution_timeout_min: X_EXECUTION_TIMEOUT in minutes; 0 means none, None was not said.
    """

    package_id: str
    priority: int
    action: Action
    target: str
    protocol: Protocol = Protocol.HTTP
    fragments: int = 0
    digest: Digest | None = None
    notification: Notification | None = None
    done_text: str | None = None
    sha256: bytes | None = None
    fragments_sha256: bytes | None = None
    fragment_size: int | None = None
    revision: int | None = None
    success_codes: tuple[int, ...] = ()
    reboot_codes: tuple[int, ...] = ()
    retry_codes: tuple[int, ...] = ()
    execution_timeout_min: int | None = None


def write_info(info: InfoFile) -> bytes:
    """Return the info file for `info`, as OCS's agents and ours read it."""
    digest = info.digest
    attributes = {
        "ID": info.package_id,
        "PRI": str(info.priority),
        "ACT": info.action.value,
        "DIGEST": digest.text if digest else "",
        "PROTO": info.protocol.value,
        "FRAGS": str(info.fragments),
        "DIGEST_ALGO": digest.algorithm.value if digest else "",
        "DIGEST_ENCODE": digest.encoding.value if digest else "",
        TARGET_FIELD[info.action]: info.target,
        **_dialog_attributes(info),
        "GARDEFOU": "rien",
        **_our_attributes(info),
    }
    return xml.to_bytes(xml.element("DOWNLOAD", attributes))


def parse_info(data: bytes) -> InfoFile:
    """Read an info file.

    Args:
        data: at most `terms.INFO_MAX` bytes.

    Raises:
        TooLargeError: it is longer.
        XmlError: it is not a DOWNLOAD element; the server's fault.
        FieldError: an attribute is missing or wrong; the server's fault. The field is NAME or
            COMMAND where the package has nothing to run.
    """
    root = xml.parse_xml(data, limit=terms.INFO_MAX)
    if root.tag != "DOWNLOAD":
        raise XmlError(f"not an info file: its root is {str(root.tag)[:40]!r}")
    # XML::Simple reads attributes and children alike, and so does every OCS agent.
    fields = {str(child.tag): child.text or "" for child in root}
    fields.update({str(key): str(value) for key, value in root.attrib.items()})
    return _read(fields)


def _read(fields: Mapping[str, str]) -> InfoFile:
    action = _action(fields)
    fragments = _number(fields, "FRAGS", 0, FRAGMENTS_MAX)
    return InfoFile(
        package_id=check_foreign_package_id(fields.get("ID", "")),
        priority=_number(fields, "PRI", terms.PRIORITY_MIN, terms.PRIORITY_MAX),
        action=action,
        target=_target(fields, action),
        protocol=_protocol(fields.get("PROTO", "")),
        fragments=fragments,
        digest=_digest(fields) if fragments else None,
        notification=_notification(fields),
        done_text=fields.get("NEED_DONE_ACTION_TEXT", "")
        if _yes(fields, "NEED_DONE_ACTION")
        else None,
        sha256=_sha256(fields, "X_SHA256"),
        fragments_sha256=_sha256(fields, "X_FRAGMENTS_SHA256"),
        fragment_size=_optional(fields, "X_FRAGMENT_SIZE", 1),
        revision=_optional(fields, "X_REVISION", 1),
        success_codes=_codes(fields, "X_SUCCESS_CODES"),
        reboot_codes=_codes(fields, "X_REBOOT_CODES"),
        retry_codes=_codes(fields, "X_RETRY_CODES"),
        execution_timeout_min=_time(fields, "X_EXECUTION_TIMEOUT", terms.MINUTES_MAX),
    )


def _dialog_attributes(info: InfoFile) -> dict[str, str]:
    ask = info.notification
    countdown = ask.countdown_s if ask else None
    return {
        "NOTIFY_USER": _flag(ask is not None),
        "NOTIFY_TEXT": ask.text if ask else "",
        "NOTIFY_COUNTDOWN": "" if countdown is None else str(countdown),
        "NOTIFY_CAN_ABORT": _flag(ask is not None and ask.can_abort),
        "NOTIFY_CAN_DELAY": _flag(ask is not None and ask.can_delay),
        "NEED_DONE_ACTION": _flag(info.done_text is not None),
        "NEED_DONE_ACTION_TEXT": info.done_text or "",
    }


def _our_attributes(info: InfoFile) -> dict[str, str]:
    """Attributes that begin with X_; one without a value is left out."""
    values = {
        "X_SHA256": info.sha256.hex() if info.sha256 else None,
        "X_FRAGMENTS_SHA256": info.fragments_sha256.hex() if info.fragments_sha256 else None,
        "X_FRAGMENT_SIZE": info.fragment_size,
        "X_REVISION": info.revision,
        "X_SUCCESS_CODES": ",".join(map(str, info.success_codes)) or None,
        "X_REBOOT_CODES": ",".join(map(str, info.reboot_codes)) or None,
        "X_RETRY_CODES": ",".join(map(str, info.retry_codes)) or None,
        "X_EXECUTION_TIMEOUT": info.execution_timeout_min,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _yes(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "").strip() == "1"


def _number(fields: Mapping[str, str], name: str, low: int, high: int | None) -> int:
    text = fields.get(name, "").strip()
    if not _NUMBER.match(text):
        raise FieldError(name, "is missing" if not text else f"not a number: {text[:40]!r}")
    number = int(text)
    if number < low or (high is not None and number > high):
        raise FieldError(name, f"out of range: {number}")
    return number


def _optional(fields: Mapping[str, str], name: str, low: int) -> int | None:
    return _number(fields, name, low, None) if fields.get(name, "").strip() else None


def _time(fields: Mapping[str, str], name: str, most: int) -> int | None:
    number = _optional(fields, name, 0)
    return None if number is None else min(number, most)


def _action(fields: Mapping[str, str]) -> Action:
    try:
        return Action(fields.get("ACT", ""))
    except ValueError:
        raise FieldError("ACT", f"unknown action: {fields.get('ACT', '')[:40]!r}") from None


def _target(fields: Mapping[str, str], action: Action) -> str:
    name = TARGET_FIELD[action]
    text = fields.get(name, "")
    if not text.strip():
        raise FieldError(name, "is missing")
    return text


def _protocol(text: str) -> Protocol:
    try:
        return Protocol(text.strip().upper() or Protocol.HTTP)
    except ValueError:
        raise FieldError("PROTO", f"unknown protocol: {text[:40]!r}") from None


def _digest(fields: Mapping[str, str]) -> Digest:
    return Digest.parse(
        fields.get("DIGEST", ""), fields.get("DIGEST_ALGO", ""), fields.get("DIGEST_ENCODE", "")
    )


def _notification(fields: Mapping[str, str]) -> Notification | None:
    if not _yes(fields, "NOTIFY_USER"):
        return None
    return Notification(
        text=fields.get("NOTIFY_TEXT", ""),
        countdown_s=_time(fields, "NOTIFY_COUNTDOWN", terms.SECONDS_MAX),
        can_abort=_yes(fields, "NOTIFY_CAN_ABORT"),
        can_delay=_yes(fields, "NOTIFY_CAN_DELAY"),
    )


def _sha256(fields: Mapping[str, str], name: str) -> bytes | None:
    text = fields.get(name, "")
    if not text:
        return None
    if not _HEX64.match(text):
        raise FieldError(name, "not 64 lower-case hex digits")
    return bytes.fromhex(text)


def _codes(fields: Mapping[str, str], name: str) -> tuple[int, ...]:
    text = fields.get(name, "").strip()
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(_NUMBER.match(part) for part in parts):
        raise FieldError(name, f"not decimal numbers with commas: {text[:80]!r}")
    return tuple(int(part) for part in parts)
