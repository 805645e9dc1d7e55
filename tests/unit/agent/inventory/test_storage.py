"""DRIVES and STORAGES."""

from types import SimpleNamespace

import psutil
import pytest

from deploy_agent.machine.inventory import (
    storage,
)
from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import put


def partition(device: str, mountpoint: str, fstype: str = "ext4") -> SimpleNamespace:
    return SimpleNamespace(device=device, mountpoint=mountpoint, fstype=fstype, opts="rw")


def test_drives(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        partition("/dev/sda2", "/etc/hosts"),
        partition("/dev/sda2", "/"),
        partition("/dev/sda1", "/boot/efi", "vfat"),
        partition("/dev/loop0", "/snap/core/1", "squashfs"),
        partition("/dev/sr0", "/media/cdrom", "udf"),
    ]

    def usage(path: str) -> SimpleNamespace:
        if path == "/media/cdrom":
            raise OSError(123, "No medium found")
        return SimpleNamespace(total=3 * 2**20 + 5, free=2**20 if path == "/" else 0)

    monkeypatch.setattr(psutil, "disk_partitions", lambda all=False: parts)
    monkeypatch.setattr(psutil, "disk_usage", usage)
    found = [dict(one.fields) for one in storage.drives(host)]
    assert found == [
        {"FILESYSTEM": "ext4", "FREE": "1", "TOTAL": "3", "TYPE": "/", "VOLUMN": "/dev/sda2"},
        {
            "FILESYSTEM": "vfat",
            "FREE": "0",
            "TOTAL": "3",
            "TYPE": "/boot/efi",
            "VOLUMN": "/dev/sda1",
        },
    ]


def test_the_root_of_a_container_is_a_drive(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [partition("overlay", "/", "overlay"), partition("proc", "/proc", "proc")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all=False: parts if all else [])
    assert [dict(one.fields)["TYPE"] for one in storage.drives(host)] == ["/"]


def test_storages(host: Host) -> None:
    put(
        host,
        {
            "/sys/block/nvme0n1/size": "2000409264\n",
            "/sys/block/nvme0n1/queue/rotational": "0\n",
            "/sys/block/nvme0n1/device/model": "Samsung SSD 980  \n",
            "/sys/block/nvme0n1/device/serial": "S64\n",
            "/sys/block/nvme0n1/device/firmware_rev": "1B4\n",
            "/sys/block/vda/size": "536870912",
            "/sys/block/vda/device/vendor": "0x1af4",
            "/sys/block/sr0/size": "oops",
            "/sys/block/loop0/size": "8",
            "/sys/block/zram0/size": "8",
        },
    )
    assert [dict(one.fields) for one in storage.storages(host)] == [
        {
            "DESCRIPTION": "SSD",
            "DISKSIZE": "1024209",
            "FIRMWARE": "1B4",
            "MODEL": "Samsung SSD 980",
            "NAME": "nvme0n1",
            "SERIALNUMBER": "S64",
            "TYPE": "disk",
        },
        {"NAME": "sr0", "TYPE": "cdrom"},
        {"DISKSIZE": "274877", "NAME": "vda", "TYPE": "disk"},
    ]
