"""DRIVES, the file systems, and STORAGES, the devices they lie on."""

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil

from deploy_agent.machine.inventory.host import Host, log, section
from deploy_agent.wire.sections import Section

if TYPE_CHECKING:
    from psutil._ntuples import sdiskpart

MIB = 1024 * 1024
MB = 1_000_000
SECTOR = 512  # bytes; /sys counts in these whatever the device's own are

_BLOCK = "/sys/block"
_NO_DEVICES = re.compile(r"(loop|ram|zram|dm-|md|nbd)\d")
_IMAGES = {"squashfs", "iso9660", "erofs"}  # full by nature, and a snap mounts dozens


def drives(host: Host) -> Iterator[Section]:
    """Yield DRIVES: each file system once, wherever else it is mounted too. Sizes in MiB."""
    seen: set[str] = set()
    for part in _partitions():
        if part.fstype in _IMAGES or part.device in seen:
            continue
        try:
            usage = psutil.disk_usage(part.mountpoint)
        except OSError as error:  # a drive without a medium, a mount that may not be looked at
            log.debug("%s is left out of the inventory: %s", part.mountpoint, error)
            continue
        seen.add(part.device)
        windows = os.name == "nt"
        yield section(
            "DRIVES",
            FILESYSTEM=part.fstype,
            FREE=usage.free // MIB,
            LETTER=part.mountpoint.replace("\\", "/") if windows else None,
            TOTAL=usage.total // MIB,
            TYPE="Hard Drive" if windows else part.mountpoint,
            VOLUMN=part.device,
        )


def _partitions() -> "list[sdiskpart]":
    """Return the local file systems; shortest mount points first, so that the real one wins."""
    # Network file systems are not among them: a dead server would hold the inventory up.
    local = psutil.disk_partitions(all=False)
    if not any(part.mountpoint == "/" for part in local):  # a container's overlay
        local += [part for part in psutil.disk_partitions(all=True) if part.mountpoint == "/"]
    return sorted(local, key=lambda part: (len(part.mountpoint), part.mountpoint))


def storages(host: Host) -> Iterator[Section]:
    """Yield STORAGES. Linux; nothing elsewhere. DISKSIZE is in MB, as on the box."""
    for name in host.names(_BLOCK):
        if not _NO_DEVICES.match(name):
            yield _storage(host, name)


def _storage(host: Host, name: str) -> Section:
    def about(*paths: str) -> str:
        return next((text for path in paths if (text := host.text(f"{_BLOCK}/{name}/{path}"))), "")

    sectors = about("size")
    vendor = about("device/vendor")
    kinds = {"0": "SSD", "1": "HDD"}
    return section(
        "STORAGES",
        DESCRIPTION=kinds.get(about("queue/rotational")),
        DISKSIZE=int(sectors) * SECTOR // MB if sectors.isdecimal() else None,
        FIRMWARE=about("device/firmware_rev", "device/rev"),
        MANUFACTURER=vendor if not vendor.startswith("0x") else None,  # a number says nothing
        MODEL=about("device/model"),
        NAME=name,
        SERIALNUMBER=about("serial", "device/serial"),
        TYPE="cdrom" if name.startswith("sr") else "disk",
    )
