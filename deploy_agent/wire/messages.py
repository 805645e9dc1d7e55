"""What agents send: PROLOG, INVENTORY and DOWNLOAD, in both spellings.

OCS's server reads attributes and child elements alike, in any order, and real agents use both;
so does this module. Source: features.md 1.2; vectors/agent-01, -02, -04, -23.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deploy_agent.wire import apart, result, terms, xml
from deploy_agent.wire.apart import Apart
from deploy_agent.wire.deviceid import check_device_id
from deploy_agent.wire.errors import FieldError, XmlError
from deploy_agent.wire.sections import Received, Section
from deploy_agent.wire.xml import Element

_NUMBER = re.compile(r"[0-9]{1,18}\Z", re.ASCII)
_ID = re.compile(r"[0-9]{1,20}\Z", re.ASCII)
_HELD = re.compile(r"([0-9]{1,20}):([0-9]{1,18})\Z", re.ASCII)
# Parts of CONTENT that are not sections of the inventory.
_NOT_SECTIONS = {"DOWNLOAD", "OLD_DEVICEID", "ACCOUNTINFO"}


@dataclass(frozen=True, slots=True)
class Prolog:
    """The first message: an agent asks what there is for it.

    Attributes:
        device_id: whose.
        held: (package id, attempt) of what the agent has and has not ended, HELD_MAX of them at
            most; only our agents say it, and only to our server.
    """

    device_id: str
    held: tuple[tuple[str, int], ...] = ()

    def to_bytes(self) -> bytes:
        """Return the message.

        Shape: <REQUEST><DEVICEID>..</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>, and where packages
        are held: <REQUEST X_HELD="1800000001:1795255200,1800000002:1795255201">..</REQUEST>
        """
        root = _request(self.device_id, "PROLOG")
        if self.held:
            held = (f"{package_id}:{attempt}" for package_id, attempt in self.held)
            root.set("X_HELD", ",".join(held))
        return xml.to_bytes(root)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The description of a computer.

    Attributes:
        device_id: whose.
        sections: HARDWARE, BIOS, SOFTWARES ... in the order of the message.
        tag: TAG of ACCOUNTINFO; None when it was not sent.
        history: ids of packages that succeeded; None when the agent said nothing about it.
        old_device_id: the id that this one replaces.
    """

    device_id: str
    sections: Sequence[Section] = ()
    tag: str | None = None
    history: tuple[str, ...] | None = None
    old_device_id: str | None = None

    @property
    def checksum(self) -> int | None:
        """HARDWARE/CHECKSUM, the bits of changed sections; None when absent or no number."""
        for (text,) in Received.of(self.sections).table("HARDWARE", ("CHECKSUM",)):
            if _NUMBER.match(text):
                return int(text)
        return None

    def to_bytes(self) -> bytes:
        """Return the message."""
        root = _request(self.device_id, "INVENTORY")
        content = xml.add(root, "CONTENT")
        if self.tag is not None:
            account = xml.add(content, "ACCOUNTINFO")
            xml.add(account, "KEYNAME", "TAG")
            xml.add(account, "KEYVALUE", self.tag)
        if self.old_device_id is not None:
            xml.add(content, "OLD_DEVICEID", self.old_device_id)
        for section in self.sections:
            section.add_to(content)
        if self.history is not None:
            history = xml.add(xml.add(content, "DOWNLOAD"), "HISTORY")
            for package_id in self.history:
                history.append(xml.element("PACKAGE", {"ID": package_id}))
        return xml.to_bytes(root)


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """How a package ended on a computer.

    Attributes:
        device_id: whose.
        package_id: digits.
        code: ERR, verbatim; UNKNOWN_CODE where the agent sent none.
        attempt: X_ATTEMPT, only from our agents.
    """

    device_id: str
    package_id: str
    code: str
    attempt: int | None = None

    def to_bytes(self) -> bytes:
        """Return the message.

        Shape: <REQUEST DEVICEID=".." ERR="SUCCESS" ID=".." QUERY="DOWNLOAD"/>
        """
        attributes = {
            "DEVICEID": self.device_id,
            "ERR": self.code,
            "ID": self.package_id,
            "QUERY": "DOWNLOAD",
        }
        if self.attempt is not None:
            attributes["X_ATTEMPT"] = str(self.attempt)
        return xml.to_bytes(xml.element("REQUEST", attributes), declaration=False)


Request = Prolog | Inventory | DownloadReport


def parse_request(data: bytes, *, limit: int = terms.MESSAGE_MAX) -> Request:
    """Read one message of an agent.

    Args:
        data: the XML, already unpacked.
        limit: bytes.

    Raises:
        WireError: every fault of the sender; FieldError names QUERY, DEVICEID or ID.
    """
    root, software = apart.parse(data, limit=limit)
    if root.tag != "REQUEST":
        raise XmlError(f"not a request: its root is {str(root.tag)[:40]!r}")
    device_id = check_device_id(_field(root, "DEVICEID") or "")
    query = _field(root, "QUERY") or ""
    if query == "PROLOG":
        return Prolog(device_id, _held(root))
    if query == "INVENTORY":
        return _inventory(root, device_id, software)
    if query == "DOWNLOAD":
        return _download(root, device_id)
    raise FieldError("QUERY", f"unknown: {query[:40]!r}")


def _request(device_id: str, query: str) -> Element:
    root = xml.element("REQUEST")
    xml.add(root, "DEVICEID", device_id)
    xml.add(root, "QUERY", query)
    return root


def _field(element: Element, name: str) -> str | None:
    """Return the attribute or the first child `name`, stripped; None when there is neither."""
    text = element.get(name)
    if text is None:
        child = element.find(name)
        if child is None:
            return None
        text = child.text or ""
    return text.strip()


def _held(root: Element) -> tuple[tuple[str, int], ...]:
    """Return what X_HELD names; what makes no sense is left out."""
    text = root.get("X_HELD")
    if text is None:
        return ()
    words = text[: terms.HELD_LENGTH_MAX].split(",", terms.HELD_MAX)[: terms.HELD_MAX]
    found = filter(None, map(_HELD.match, map(str.strip, words)))
    return tuple(dict.fromkeys((each[1], int(each[2])) for each in found))


def _download(root: Element, device_id: str) -> DownloadReport:
    package_id = _field(root, "ID") or ""
    if not _ID.match(package_id):
        raise FieldError("ID", f"not a package id: {package_id[:40]!r}")
    attempt = _field(root, "X_ATTEMPT") or ""
    return DownloadReport(
        device_id=device_id,
        package_id=package_id,
        code=(_field(root, "ERR") or result.UNKNOWN_CODE)[: result.RESULT_MAX],
        attempt=int(attempt) if _NUMBER.match(attempt) else None,
    )


def _inventory(root: Element, device_id: str, software: Apart | None) -> Inventory:
    content = root.find("CONTENT")
    if content is None:
        raise FieldError("CONTENT", "an inventory without CONTENT says nothing")
    sections = [child for child in content if child.tag not in _NOT_SECTIONS]
    old = _field(content, "OLD_DEVICEID") or _misplaced_old_device_id(content)
    return Inventory(
        device_id=device_id,
        sections=Received(sections, software),
        tag=_tag(content),
        history=_history(content),
        old_device_id=check_device_id(old) if old else None,
    )


def _tag(content: Element) -> str | None:
    for account in content.iterfind("ACCOUNTINFO"):
        if _field(account, "KEYNAME") == "TAG":
            return _field(account, "KEYVALUE") or ""
    return None


def _history(content: Element) -> tuple[str, ...] | None:
    if content.find("DOWNLOAD/HISTORY") is None:
        return None
    packages = content.iterfind("DOWNLOAD/HISTORY/PACKAGE")
    ids = (_field(package, "ID") or "" for package in packages)
    return tuple(dict.fromkeys(each for each in ids if _ID.match(each)))


def _misplaced_old_device_id(content: Element) -> str | None:
    """Some agents put it into the history. Source: features.md 1.2."""
    found = content.find("DOWNLOAD/HISTORY/OLD_DEVICEID")
    return None if found is None else (found.text or "").strip()
