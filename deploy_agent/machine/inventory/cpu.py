"""CPUS, one for each socket."""

import platform
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from deploy_agent.machine.inventory.host import Host, section
from deploy_agent.wire.sections import Section

_MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}
_L2 = "/sys/devices/system/cpu/cpu0/cache/index2/size"


class Processors(NamedTuple):
    """The processors of a computer; all sockets hold the same.

    Attributes:
        model: its name, '' where unknown.
        maker: who made it, '' where unknown.
        sockets: how many are there.
        cores: in all of them.
        threads: in all of them.
        mhz: its speed; None where unknown.
    """

    model: str
    maker: str
    sockets: int
    cores: int
    threads: int
    mhz: int | None


def processors(host: Host) -> Processors:
    """Return what this computer computes with."""
    info = _cpuinfo(host)
    maker = info.get("vendor_id", [""])[0]
    threads = psutil.cpu_count() or 1
    models = info.get("model name") or info.get("Model") or [platform.processor()]
    return Processors(
        model=" ".join(models[0].split()),
        maker=_MAKERS.get(maker, maker),
        sockets=len(set(info.get("physical id", []))) or 1,
        cores=psutil.cpu_count(logical=False) or threads,
        threads=threads,
        mhz=_mhz(info),
    )


def cpus(host: Host) -> Iterator[Section]:
    """Yield CPUS, one for each socket."""
    found = processors(host)
    machine = platform.machine()
    for _ in range(found.sockets):
        yield section(
            "CPUS",
            CORES=max(1, found.cores // found.sockets),
            CPUARCH=machine,
            DATA_WIDTH=64 if "64" in machine else 32,
            L2CACHESIZE=host.text(_L2),
            LOGICAL_CPUS=max(1, found.threads // found.sockets),
            MANUFACTURER=found.maker,
            NBSOCKET=found.sockets,
            SPEED=found.mhz,
            THREADS=max(1, found.threads // found.sockets),
            TYPE=found.model,
        )


def _cpuinfo(host: Host) -> dict[str, list[str]]:
    """Return each key of /proc/cpuinfo with its values; nothing elsewhere than on Linux."""
    found: dict[str, list[str]] = {}
    for line in host.lines("/proc/cpuinfo"):
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _mhz(info: dict[str, list[str]]) -> int | None:
    try:
        return round(float(info["cpu MHz"][0]))
    except (LookupError, ValueError):
        frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        return round(frequency.max or frequency.current) if frequency else None
