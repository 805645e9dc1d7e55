"""NETWORKS, one for each address of each interface; and the ways out."""

import ipaddress
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import psutil

from deploy_agent.machine.inventory.host import Host, section
from deploy_agent.wire.sections import Section

if TYPE_CHECKING:
    from psutil._ntuples import snicaddr, snicstats

_SYS = "/sys/class/net"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
# Source: the kernel's if_arp.h; what a person can meet.
_HARDWARE = {"1": "ethernet", "32": "infiniband", "512": "ppp", "65534": "tunnel", "768": "tunnel"}
_DUPLEX: dict[int, str] = {psutil.NIC_DUPLEX_FULL: "Full", psutil.NIC_DUPLEX_HALF: "Half"}


class Gateways(NamedTuple):
    """The default gateways by interface."""

    v4: dict[str, str]
    v6: dict[str, str]


class Uplink(NamedTuple):
    """The way out: the address and the gateway of the interface with the default route."""

    address: str
    gateway: str


def networks(host: Host) -> Iterator[Section]:
    """Yield NETWORKS: every interface but the loopback, once for each of its addresses."""
    statuses = psutil.net_if_stats()
    ways = gateways(host)
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        if _is_loopback(host, name):
            continue
        about = _about(host, name, statuses.get(name))
        about["MACADDR"] = next(
            (a.address.replace("-", ":").lower() for a in addresses if a.family == psutil.AF_LINK),
            None,
        )
        real = [a for a in addresses if a.family in _FAMILIES]
        for address in real:
            yield section("NETWORKS", **about, **_numbers(address, ways, name))
        if not real:
            yield section("NETWORKS", **about)


def gateways(host: Host) -> Gateways:
    """Return the default gateways. Linux; nothing elsewhere."""
    ways = Gateways({}, {})
    for words in map(str.split, host.lines("/proc/net/route")[1:]):
        if len(words) > 7 and words[1] == words[7] == "00000000" and words[2] != "00000000":
            _note(ways.v4, words[0], _address(words[2])[::-1])
    for words in map(str.split, host.lines("/proc/net/ipv6_route")):
        if len(words) > 9 and words[0] == "0" * 32 and words[1] == "00" and words[4] != "0" * 32:
            _note(ways.v6, words[9], _address(words[4]))
    return ways


def _address(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _note(ways: dict[str, str], interface: str, address: bytes) -> None:
    if len(address) in (4, 16):
        ways.setdefault(interface, str(ipaddress.ip_address(address)))


def uplink(host: Host) -> Uplink:
    """Return the computer's main address and its gateway, '' where there is none."""
    ways = gateways(host)
    interfaces = psutil.net_if_addrs()
    for family, found in zip(_FAMILIES, ways, strict=True):
        for name, gateway in found.items():
            for address in interfaces.get(name, []):
                if address.family == family:
                    return Uplink(_plain(address.address), gateway)
    return Uplink(_any_address(interfaces), "")


def dns_servers(host: Host) -> list[str]:
    """Return the name servers."""
    words = [line.split() for line in host.lines("/etc/resolv.conf")]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def domain(host: Host) -> str:
    """Return the domain that names are looked up in, '' where there is none."""
    words = [line.split() for line in host.lines("/etc/resolv.conf")]
    return next(
        (line[1] for line in words if len(line) > 1 and line[0] in ("domain", "search")), ""
    ).strip(".")


def _about(host: Host, name: str, status: "snicstats | None") -> dict[str, object]:
    driver = host.path(f"{_SYS}/{name}/device/driver")
    return {
        "DESCRIPTION": name,
        "DRIVER": driver.resolve().name if driver.exists() else None,
        "DUPLEX": _DUPLEX.get(status.duplex) if status else None,
        "MTU": status.mtu if status else None,
        "SPEED": f"{status.speed} Mbps" if status and status.speed else None,
        "STATUS": "Up" if status and status.isup else "Down",
        "TYPE": _type(host, name),
    }


def _type(host: Host, name: str) -> str | None:
    for folder, meaning in (("wireless", "wifi"), ("bridge", "bridge"), ("bonding", "bonding")):
        if host.path(f"{_SYS}/{name}/{folder}").is_dir():
            return meaning
    return _HARDWARE.get(host.text(f"{_SYS}/{name}/type"))


def _is_loopback(host: Host, name: str) -> bool:
    return name == "lo" or host.text(f"{_SYS}/{name}/type") == "772"


def _numbers(address: "snicaddr", ways: Gateways, name: str) -> dict[str, str | None]:
    plain = _plain(address.address)
    v6 = address.family == socket.AF_INET6
    return {
        "IPADDRESS": plain,
        "IPGATEWAY": (ways.v6 if v6 else ways.v4).get(name),
        "IPMASK": address.netmask,
        "IPSUBNET": _subnet(plain, address.netmask),
    }


def _subnet(address: str, mask: str | None) -> str | None:
    if not mask:
        return None
    try:
        ip, bits = ipaddress.ip_address(address), int(ipaddress.ip_address(mask))
    except ValueError:
        return None
    return str(type(ip)(int(ip) & bits))


def _plain(address: str) -> str:
    """Return an address without the interface that psutil appends: fe80::1%eth0."""
    return address.partition("%")[0]


def _any_address(interfaces: "dict[str, list[snicaddr]]") -> str:
    for family in _FAMILIES:
        for _, addresses in sorted(interfaces.items()):
            for address in addresses:
                plain = _plain(address.address)
                if address.family == family and not ipaddress.ip_address(plain).is_loopback:
                    return plain
    return ""
