"""The inventory of this computer, in OCS's words.

Each collector is a function from a `Host` to sections, in a module of its own; what it needs of
Linux it looks for under the host's root, so that it is tested with a made-up tree, and elsewhere
it finds nothing. Source: vectors/agent-02-inventory-first.request.xml.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from deploy_agent.machine.inventory import cpu, dmi, hardware, network, software, storage, users
from deploy_agent.machine.inventory.host import Host, Run, run_program, tried
from deploy_agent.wire.sections import Section

__all__ = ["CHECKSUM_BITS", "collect"]

# The bit that each section has in HARDWARE/CHECKSUM. Source: vectors/agent-02 and -05.
CHECKSUM_BITS = {
    "HARDWARE": 1 << 0,
    "BIOS": 1 << 1,
    "MEMORIES": 1 << 2,
    "STORAGES": 1 << 8,
    "DRIVES": 1 << 9,
    "NETWORKS": 1 << 12,
    "SOFTWARES": 1 << 16,
    "CPUS": 1 << 18,
}

_COLLECTORS: dict[str, Callable[[Host], Iterator[Section]]] = {
    "BIOS": dmi.bios,
    "CPUS": cpu.cpus,
    "DRIVES": storage.drives,
    "MEMORIES": dmi.memories,
    "NETWORKS": network.networks,
    "STORAGES": storage.storages,
    "USERS": users.users,
    "LOCAL_USERS": users.local_users,
    "LOCAL_GROUPS": users.local_groups,
    "SOFTWARES": software.softwares,
}


def collect(*, root: Path = Path("/"), run: Run = run_program) -> tuple[Section, ...]:
    """Return the inventory of this computer; it never fails.

    A collector that fails leaves its sections out and says so in the log. CHECKSUM then lacks
    its bit, so that a server keeps what it knows; a collector that finds nothing has its bit.

    Args:
        root: under which /proc, /sys, /etc and /var are looked for.
        run: starts programs.
    """
    host = Host(root, run)
    checksum = CHECKSUM_BITS["HARDWARE"]
    sections: list[Section] = []
    for name, collector in _COLLECTORS.items():
        found = tried(name, collector, host)
        if found is not None:
            checksum |= CHECKSUM_BITS.get(name, 0)
            sections += found
    return (hardware.hardware(host, checksum), *sections)
