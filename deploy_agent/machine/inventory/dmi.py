"""BIOS and MEMORIES: what the firmware says about the machine. Linux; much of it root's alone."""

import struct
from collections.abc import Iterator

from deploy_agent.machine.inventory.host import Host, decoded, section
from deploy_agent.wire.sections import Section

_ID = "/sys/class/dmi/id"
_TREE = "/sys/firmware/devicetree/base"
_ENTRIES = "/sys/firmware/dmi/entries"

# SMBIOS 7.4.1, by number; what people look for, the rest stays a number.
_CHASSIS = {
    1: "Other",
    3: "Desktop",
    4: "Low Profile Desktop",
    6: "Mini Tower",
    7: "Tower",
    8: "Portable",
    9: "Laptop",
    10: "Notebook",
    11: "Hand Held",
    13: "All in One",
    14: "Sub Notebook",
    17: "Main Server Chassis",
    23: "Rack Mount Chassis",
    28: "Blade",
    30: "Tablet",
    31: "Convertible",
    32: "Detachable",
    35: "Mini PC",
    36: "Stick PC",
}
# SMBIOS 7.18.2.
_MEMORY = {0x12: "DDR", 0x13: "DDR2", 0x18: "DDR3", 0x1A: "DDR4", 0x1E: "LPDDR4", 0x22: "DDR5"}
_MEMORY |= {0x07: "RAM", 0x0F: "SDRAM", 0x1D: "LPDDR3", 0x23: "LPDDR5"}
_EXTENDED = 0x7FFF  # the size stands in another field


def bios(host: Host) -> Iterator[Section]:
    """Yield BIOS; empty where the firmware says nothing, as in many virtual machines."""

    def dmi(name: str) -> str:
        return host.text(f"{_ID}/{name}")

    chassis = dmi("chassis_type")
    yield section(
        "BIOS",
        ASSETTAG=dmi("chassis_asset_tag"),
        BDATE=dmi("bios_date"),
        BMANUFACTURER=dmi("bios_vendor"),
        BVERSION=dmi("bios_version"),
        MMANUFACTURER=dmi("board_vendor"),
        MMODEL=dmi("board_name"),
        MSN=dmi("board_serial"),
        SMANUFACTURER=dmi("sys_vendor"),
        SMODEL=dmi("product_name") or host.text(f"{_TREE}/model").strip("\0"),
        SSN=dmi("product_serial") or host.text(f"{_TREE}/serial-number").strip("\0"),
        TYPE=_CHASSIS.get(int(chassis), chassis) if chassis.isdecimal() else chassis,
    )


def uuid(host: Host) -> str:
    """Return the machine's UUID, '' where it has none or hides it."""
    return host.text(f"{_ID}/product_uuid")


def memories(host: Host) -> Iterator[Section]:
    """Yield MEMORIES, one for each slot. Source: SMBIOS 7.18, Memory Device."""
    names = [name for name in host.names(_ENTRIES) if name.startswith("17-")]
    slots = sorted(names, key=lambda name: (len(name), name))  # 17-9 before 17-10
    for number, name in enumerate(slots, 1):
        try:
            raw = host.path(f"{_ENTRIES}/{name}/raw").read_bytes()
        except OSError:  # root's alone
            continue
        yield _memory(raw, number)


def _memory(raw: bytes, number: int) -> Section:
    length = raw[1] if len(raw) > 1 else 0
    fields = raw[:length].ljust(0x5C, b"\0")
    texts = [""] + [decoded(text) for text in raw[length:].split(b"\0")]

    def text(offset: int) -> str:
        return texts[fields[offset]] if fields[offset] < len(texts) else ""

    (speed,) = struct.unpack_from("<H", fields, 0x15)
    return section(
        "MEMORIES",
        CAPACITY=_capacity(fields),
        CAPTION=text(0x10),
        DESCRIPTION=text(0x11),
        MANUFACTURER=text(0x17),
        MODEL=text(0x1A),
        NUMSLOTS=number,
        SERIALNUMBER=text(0x18),
        SPEED=f"{speed} MT/s" if 0 < speed < 0xFFFF else None,
        TYPE=_MEMORY.get(fields[0x12], "Unknown"),
    )


def _capacity(fields: bytes) -> int:
    """Return the MiB in a slot, 0 where it is empty."""
    (size,) = struct.unpack_from("<H", fields, 0x0C)
    if size == 0xFFFF:
        return 0
    if size == _EXTENDED:
        (extended,) = struct.unpack_from("<I", fields, 0x1C)
        return int(extended & 0x7FFFFFFF)
    return (size & 0x7FFF) // 1024 if size & 0x8000 else int(size)
