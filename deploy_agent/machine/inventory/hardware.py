"""HARDWARE: the computer as a whole; one section that every inventory has."""

import platform
import socket
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import distro
import psutil

from deploy_agent.machine.inventory import cpu, dmi, network, users
from deploy_agent.machine.inventory.host import Host, log, section
from deploy_agent.wire.sections import Section

MIB = 1024 * 1024
NO_DOMAIN = "WORKGROUP"  # what OCS's agent says there

Value = TypeVar("Value")


def hardware(host: Host, checksum: int) -> Section:
    """Return HARDWARE; what cannot be found out is left out.

    Args:
        host: the computer.
        checksum: CHECKSUM, the bits of the sections in this inventory.
    """
    system = _or_none(lambda: _system(host)) or {}
    found = _or_none(lambda: cpu.processors(host))
    way = _or_none(lambda: network.uplink(host))
    last = _or_none(lambda: users.last_login(host))
    return section(
        "HARDWARE",
        ARCH=platform.machine(),
        CHECKSUM=checksum,
        DATELASTLOGGEDUSER=last.at.astimezone().strftime("%Y/%m/%d %H:%M:%S") if last else None,
        DEFAULTGATEWAY=way.gateway if way else None,
        DESCRIPTION=_or_none(_description),
        DNS="/".join(network.dns_servers(host)),
        IPADDR=way.address if way else None,
        LASTLOGGEDUSER=last.user if last else None,
        MEMORY=_or_none(lambda: psutil.virtual_memory().total // MIB),
        NAME=socket.gethostname().partition(".")[0],
        **system,
        PROCESSORN=found.sockets if found else None,
        PROCESSORS=found.mhz if found else None,
        PROCESSORT=found.model if found else None,
        SWAP=_or_none(lambda: psutil.swap_memory().total // MIB),
        USERID="/".join(_or_none(users.logged_in) or []),
        UUID=dmi.uuid(host),
        WORKGROUP=network.domain(host) or NO_DOMAIN,
    )


def _or_none(finder: Callable[[], Value]) -> Value | None:
    try:
        return finder()
    except Exception:  # as in `tried`: one strange answer costs one field, never the section
        log.warning("A field of HARDWARE is left out", exc_info=True)
        return None


def _system(host: Host) -> dict[str, str]:
    """Return OSNAME, OSVERSION and OSCOMMENTS."""
    if sys.platform == "linux":
        # With a root folder given, distro reads files only and starts no program.
        release = distro.LinuxDistribution(root_dir=str(host.root))
        name, version = release.name() or "Linux", release.version()
        comments = release.name(pretty=True)
    elif sys.platform == "darwin":
        name, version, comments = "macOS", platform.mac_ver()[0], platform.platform()
    else:
        version, comments = platform.version(), platform.platform()
        return {
            "OSNAME": f"Microsoft Windows {platform.release()}",
            "OSVERSION": version,
            "OSCOMMENTS": comments,
        }
    return {"OSNAME": f"{name} {version}", "OSVERSION": version, "OSCOMMENTS": comments}


def _description() -> str:
    """Return the architecture and how long the computer has run: x86_64/00-00-12 00:18:37."""
    minutes, seconds = divmod(int(time.time() - psutil.boot_time()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    months, days = divmod(days, 30)
    since = f"{years:02}-{months:02}-{days:02} {hours:02}:{minutes:02}:{seconds:02}"
    return f"{platform.machine()}/{since}"
