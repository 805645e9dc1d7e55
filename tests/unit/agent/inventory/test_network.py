"""NETWORKS and the ways out."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from deploy_agent.machine.inventory import (
    network,
)
from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import put


def address(family: int, text: str, mask: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(family=family, address=text, netmask=mask)


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    """Two interfaces, the second one down, a loopback, and routes out."""
    monkeypatch.setattr(
        psutil,
        "net_if_addrs",
        lambda: {
            "lo": [address(socket.AF_INET, "127.0.0.1", "255.0.0.0")],
            "wlan0": [address(psutil.AF_LINK, "02-00-5E-00-00-02")],
            "eth0": [
                address(psutil.AF_LINK, "02:00:5e:00:00:01"),
                address(socket.AF_INET, "192.0.2.130", "255.255.255.128"),
                address(socket.AF_INET6, "2001:db8::5", "ffff:ffff:ffff:ffff::"),
                address(socket.AF_INET6, "fe80::1%eth0", None),
            ],
        },
    )
    up = SimpleNamespace(isup=True, duplex=psutil.NIC_DUPLEX_FULL, speed=1000, mtu=1500)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {"eth0": up})
    put(
        host,
        {
            "/sys/class/net/eth0/type": "1\n",
            "/sys/class/net/wlan0/type": "1\n",
            "/sys/class/net/wlan0/wireless/x": "",
            "/proc/net/route": "Iface\tDestination\tGateway\tFlags\n"
            "eth0\t00000000\t810200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
            "eth0\t800200C0\t00000000\t0001\t0\t0\t100\t80FFFFFF\t0\t0\t0\n",
            "/proc/net/ipv6_route": f"{'0' * 32} 00 {'0' * 32} 00 20010db8{'0' * 23}1 00000400 "
            "00000001 00000000 00000003     eth0\n",
        },
    )


def test_networks(host: Host, wires: None) -> None:
    found = [dict(one.fields) for one in network.networks(host)]
    assert found[0] == {
        "DESCRIPTION": "eth0",
        "DUPLEX": "Full",
        "IPADDRESS": "192.0.2.130",
        "IPGATEWAY": "192.0.2.129",
        "IPMASK": "255.255.255.128",
        "IPSUBNET": "192.0.2.128",
        "MACADDR": "02:00:5e:00:00:01",
        "MTU": "1500",
        "SPEED": "1000 Mbps",
        "STATUS": "Up",
        "TYPE": "ethernet",
    }
    assert found[1]["IPADDRESS"] == "2001:db8::5"
    assert found[1]["IPSUBNET"] == "2001:db8::"
    assert found[1]["IPGATEWAY"] == "2001:db8::1"
    assert found[2]["IPADDRESS"] == "fe80::1"
    assert "IPSUBNET" not in found[2]
    assert found[3] == {
        "DESCRIPTION": "wlan0",
        "MACADDR": "02:00:5e:00:00:02",
        "STATUS": "Down",
        "TYPE": "wifi",
    }
    assert len(found) == 4


def test_the_way_out(host: Host, wires: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.uplink(host) == ("192.0.2.130", "192.0.2.129")
    host.path("/proc/net/route").unlink()
    assert network.uplink(host) == ("2001:db8::5", "2001:db8::1")
    host.path("/proc/net/ipv6_route").unlink()
    assert network.uplink(host) == ("192.0.2.130", "")
    monkeypatch.setattr(psutil, "net_if_addrs", dict)
    assert network.uplink(host) == ("", "")
