"""HARDWARE, which is always there."""

import platform
import socket
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from deploy_agent.machine.inventory import (
    hardware,
)
from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import linux_only, put


def test_hardware_survives_when_nothing_can_be_found_out(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("no /proc here")

    for name in ("virtual_memory", "swap_memory", "boot_time", "net_if_addrs", "cpu_count"):
        monkeypatch.setattr(psutil, name, broken)
    monkeypatch.setattr(psutil, "users", broken)
    fields = dict(hardware.hardware(host, 7).fields)
    assert fields["CHECKSUM"] == "7"
    assert fields["NAME"]
    assert fields["WORKGROUP"] == "WORKGROUP"
    assert "MEMORY" not in fields


@linux_only
def test_hardware_of_a_made_up_computer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        host,
        {
            "/etc/os-release": 'NAME="Rocky Linux"\nVERSION_ID="9.4"\n'
            'PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\nID=rocky\n',
            "/etc/resolv.conf": "# x\nsearch example.org. b\n"
            "nameserver 192.0.2.53\nnameserver ::1\n",
            "/sys/class/dmi/id/product_uuid": "4c4c4544-0042\n",
            "/proc/cpuinfo": "processor : 0\nmodel name\t: Fast  CPU\ncpu MHz : 2400.5\n",
        },
    )
    monkeypatch.setattr(psutil, "boot_time", lambda: time.time() - (400 * 86400 + 3723))
    monkeypatch.setattr(
        psutil, "users", lambda: [SimpleNamespace(name=name) for name in ("zoe", "amy", "zoe")]
    )
    monkeypatch.setattr(socket, "gethostname", lambda: "pc.example.org")
    fields = dict(hardware.hardware(host, 1).fields)
    expected = {
        "NAME": "pc",
        "OSNAME": "Rocky Linux 9.4",
        "OSVERSION": "9.4",
        "OSCOMMENTS": "Rocky Linux 9.4 (Blue Onyx)",
        "WORKGROUP": "example.org",
        "DNS": "192.0.2.53/::1",
        "USERID": "amy/zoe",
        "UUID": "4c4c4544-0042",
        "PROCESSORT": "Fast CPU",
        "PROCESSORS": "2400",
        "PROCESSORN": "1",
        "ARCH": platform.machine(),
    }
    assert {key: fields[key] for key in expected} == expected
    assert fields["DESCRIPTION"].startswith(f"{platform.machine()}/01-01-05 01:02:0")


@pytest.mark.parametrize(
    ("system", "name"), [("win32", "Microsoft Windows 11"), ("darwin", "macOS 14.1")]
)
def test_other_systems_by_name(
    system: str, name: str, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "release", lambda: "11")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.1", ("", "", ""), ""))
    assert dict(hardware.hardware(host, 1).fields)["OSNAME"] == name
