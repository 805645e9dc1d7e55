"""BIOS and MEMORIES, as firmware says them."""

import struct

from deploy_agent.machine.inventory import (
    dmi,
)
from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import only, put


def test_bios(host: Host) -> None:
    assert only(dmi.bios(host)) == {}
    put(
        host,
        {
            "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
            "/sys/class/dmi/id/product_name": "OptiPlex  7090 \n",
            "/sys/class/dmi/id/product_serial": "ABC123\n",
            "/sys/class/dmi/id/bios_version": "1.2.3\n",
            "/sys/class/dmi/id/bios_date": "11/21/2026\n",
            "/sys/class/dmi/id/chassis_type": "35\n",
        },
    )
    assert only(dmi.bios(host)) == {
        "SMANUFACTURER": "Dell Inc.",
        "SMODEL": "OptiPlex 7090",
        "SSN": "ABC123",
        "BVERSION": "1.2.3",
        "BDATE": "11/21/2026",
        "TYPE": "Mini PC",
    }
    put(host, {"/sys/class/dmi/id/chassis_type": "99"})
    assert only(dmi.bios(host))["TYPE"] == "99"


def test_bios_of_a_board_without_dmi(host: Host) -> None:
    tree = "/sys/firmware/devicetree/base"
    put(host, {f"{tree}/model": "Raspberry Pi 5\0", f"{tree}/serial-number": "1000\0"})
    assert only(dmi.bios(host)) == {"SMODEL": "Raspberry Pi 5", "SSN": "1000"}


def smbios_memory(size: int, extended: int = 0, kind: int = 0x1A) -> bytes:
    fields = bytearray(0x5C)
    fields[0], fields[1] = 17, len(fields)
    struct.pack_into("<H", fields, 0x0C, size)
    fields[0x10], fields[0x11], fields[0x12] = 1, 2, kind
    struct.pack_into("<H", fields, 0x15, 3200)
    fields[0x17], fields[0x18], fields[0x1A] = 3, 4, 5
    struct.pack_into("<I", fields, 0x1C, extended)
    return bytes(fields) + b"DIMM A\0Bank 0\0Hynix\0S-1 \0HMA8\0\0"


def test_memories(host: Host) -> None:
    entries = "/sys/firmware/dmi/entries"
    put(
        host,
        {
            f"{entries}/17-0/raw": smbios_memory(16384),
            f"{entries}/17-1/raw": smbios_memory(0),
            f"{entries}/17-2/raw": smbios_memory(0x7FFF, 65536),
            f"{entries}/17-10/raw": smbios_memory(0x8000 | 2048),
            f"{entries}/4-0/raw": b"",
        },
    )
    found = [dict(one.fields) for one in dmi.memories(host)]
    assert found[0] == {
        "CAPACITY": "16384",
        "CAPTION": "DIMM A",
        "DESCRIPTION": "Bank 0",
        "MANUFACTURER": "Hynix",
        "MODEL": "HMA8",
        "NUMSLOTS": "1",
        "SERIALNUMBER": "S-1",
        "SPEED": "3200 MT/s",
        "TYPE": "DDR4",
    }
    assert [one["CAPACITY"] for one in found] == ["16384", "0", "65536", "2"]
