"""What an inventory says about a computer: read leniently, bounded, judged once. Pure.

Whatever an agent sends fits the database's columns and indexes afterwards.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from deploy_agent.wire.sections import Received, Section
from deploy_agent.wire.terms import PACKAGE_ID_MAX
from deploy_server.domain.version import VERSION_MAX

TEXT_MAX = 255  # characters of what lists show; an index entry has to hold it
ADDRESS_MAX = 64
ADDRESSES_MAX = 500
SECTIONS_MAX = 200  # kinds of sections in one inventory
SECTION_NAME_MAX = 64
HISTORY_MAX = 20_000  # ids of one history
SOFTWARE = "SOFTWARES"
#: Computers of a fleet have the same software; what was read of so many is remembered.
SOFTWARE_CACHED = 8192

_NUMBER = re.compile(r"[0-9]{1,12}\Z", re.ASCII)
_ARCH = re.compile(r"([A-Za-z0-9_]{2,20})/")
_OTHER_SYSTEMS = re.compile(
    r"bsd|solaris|sunos|aix|hp-?ux|android|ios\b|chrome ?os|esx|haiku", re.IGNORECASE
)
# The bits of HARDWARE/CHECKSUM: which sections the agent found changed. Source: OCS's wiki of its
# inventory format, and vectors agent-05 and agent-06.
_BITS = {
    "HARDWARE": 1,
    "BIOS": 2,
    "MEMORIES": 4,
    "SLOTS": 8,
    "REGISTRY": 16,
    "CONTROLLERS": 32,
    "MONITORS": 64,
    "PORTS": 128,
    "STORAGES": 256,
    "DRIVES": 512,
    "INPUTS": 1024,
    "MODEMS": 2048,
    "NETWORKS": 4096,
    "PRINTERS": 8192,
    "SOUNDS": 16_384,
    "VIDEOS": 32_768,
    SOFTWARE: 65_536,
    "VIRTUALMACHINES": 131_072,
    "CPUS": 262_144,
    "SIM": 524_288,
    "BATTERIES": 1_048_576,
}

ByName = Mapping[str, Sequence[Section]]


class Software(NamedTuple):
    """A name, version and publisher, each bounded.

    Attributes:
        digest: what tells it from every other.
        name: never empty.
        version: as the agent wrote it.
        publisher: the same.
    """

    digest: bytes
    name: str
    version: str
    publisher: str

    @staticmethod
    @lru_cache(maxsize=SOFTWARE_CACHED)
    def read(name: str, version: str, publisher: str) -> "Software | None":
        """Return what an agent wrote; None where it has no name."""
        name, publisher = _line(name), _line(publisher)
        version = _line(version)[:VERSION_MAX]
        if not name:
            return None
        parts = f"{name}\0{version}\0{publisher}".encode(errors="replace")
        digest = hashlib.blake2b(parts, digest_size=16).digest()
        return Software(digest, name, version, publisher)


class Sections(Mapping[str, Sequence[Section]]):
    """Sections by name, read when they are asked for; names that no agent uses are left out.

    Args:
        sections: of the message.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self._received = Received.of(sections)
        names = [name for name in self._received.names if len(name) <= SECTION_NAME_MAX]
        self._names = dict.fromkeys(names[:SECTIONS_MAX])

    def digest(self, name: str) -> bytes:
        """Return what tells this content of a section from every other.

        It is of the bytes that the agent sent: equal ones say the same, and are not read again.
        """
        raw = self._received.raw(name)
        return hashlib.blake2b(raw, digest_size=16, person=name.encode()[:16]).digest()

    def software(self) -> list["Software"]:
        """Return the software of SOFTWARES by digest, each once, without nameless ones."""
        rows = self._received.table(SOFTWARE, ("NAME", "VERSION", "PUBLISHER"))
        found = {each.digest: each for row in rows if (each := Software.read(*row)) is not None}
        return sorted(found.values())

    def __getitem__(self, name: str) -> Sequence[Section]:
        """Return the sections called `name`."""
        if name not in self._names:
            raise KeyError(name)
        return self._received.named(name)

    def __contains__(self, name: object) -> bool:
        """Return whether there are sections called `name`, without reading them."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._names)


def is_gone(name: str, checksum: int | None) -> bool:
    """Return whether a section that is known and was not sent does not exist any more.

    Agents leave unchanged sections out and say so by a bit; without CHECKSUM, or for a section
    without a bit, what was not sent is not there.
    """
    bit = _BITS.get(name)
    return checksum is None or bit is None or bool(checksum & bit)


def serialise(sections: Sequence[Section]) -> bytes:
    """Return the content of equally named sections.

    Shape: [[["TYPE","/"],["TOTAL","258019"]],[["TYPE","/boot"]]]
    """
    content = [section.fields for section in sections]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def read_facts(sections: ByName) -> tuple[dict[str, str | int | None], list[str]]:
    """Return what the inventory says for the columns of a computer, and what was dropped.

    A column whose section was not sent is left out.
    """
    facts: dict[str, str | int | None] = {}
    dropped: list[str] = []
    if hardware := _first(sections, "HARDWARE"):
        facts |= {
            "name": _line(hardware.get("NAME")),
            "os": _line(hardware.get("OSNAME")),
            "os_family": os_family(hardware.get("OSNAME"), hardware.get("OSCOMMENTS")),
            "os_version": _line(hardware.get("OSVERSION"))[:VERSION_MAX],
            "arch": _arch(sections, hardware),
            "user": _line(hardware.get("USERID") or hardware.get("LASTLOGGEDUSER")),
            "workgroup": _line(hardware.get("WORKGROUP") or hardware.get("USERDOMAIN")),
            "ip": _line(hardware.get("IPADDR"))[:ADDRESS_MAX],
            "memory": _memory(hardware.get("MEMORY"), dropped),
        }
    if bios := _first(sections, "BIOS"):
        facts |= {"serial": _line(bios.get("SSN")), "model": _line(bios.get("SMODEL"))}
    return facts, dropped


def read_addresses(sections: ByName) -> list[tuple[str, str]]:
    """Return every (kind, address) of the network cards and of HARDWARE, each once."""
    cards = [
        (kind, card.get(field))
        for card in sections.get("NETWORKS", ())
        for kind, field in (("ip", "IPADDRESS"), ("mac", "MACADDR"))
    ]
    hardware = _first(sections, "HARDWARE")
    # Several addresses stand there with a slash between them.
    main = hardware.get("IPADDR").split("/") if hardware else []
    found = [
        (kind, _line(text)[:ADDRESS_MAX]) for kind, text in [*cards, *(("ip", ip) for ip in main)]
    ]
    return list(dict.fromkeys(each for each in found if each[1]))[:ADDRESSES_MAX]


def read_history(history: Sequence[str]) -> list[int]:
    """Return the ids of a history that can be ids of packages, sorted."""
    numbers = {int(each) for each in history[:HISTORY_MAX]}
    return sorted(number for number in numbers if number <= PACKAGE_ID_MAX)


def os_family(name: str, comments: str = "") -> str:
    """Return linux, windows, macos, `other`, or '' when the system is not known.

    A system that nobody recognises is Linux: its distributions have thousands of names.
    """
    text = f"{name} {comments}".casefold()
    if not name.strip():
        return ""
    if "windows" in text:
        return "windows"
    if "mac os" in text or "macos" in text or "darwin" in text or "os x" in text:
        return "macos"
    return "other" if _OTHER_SYSTEMS.search(name) else "linux"


def _first(sections: ByName, name: str) -> Section | None:
    found = sections.get(name)
    return found[0] if found else None


def _line(text: str) -> str:
    return " ".join(text.split())[:TEXT_MAX]


def _arch(sections: ByName, hardware: Section) -> str:
    """ARCH where an agent sends it; else as the Unix agent hides it in DESCRIPTION."""
    if hardware.get("ARCH"):
        return _line(hardware.get("ARCH"))
    found = _ARCH.match(hardware.get("DESCRIPTION"))
    if found:
        return found.group(1)
    cpu = _first(sections, "CPUS")
    return _line(cpu.get("CPUARCH")) if cpu else ""


def _memory(text: str, dropped: list[str]) -> int | None:
    if not text:
        return None
    if not _NUMBER.match(text):
        dropped.append(f"MEMORY {text[:40]!r} is no number")
        return None
    return int(text)
