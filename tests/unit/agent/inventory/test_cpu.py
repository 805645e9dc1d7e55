"""CPUS."""

import psutil
import pytest

from deploy_agent.machine.inventory import (
    cpu,
)
from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import put


def test_cpus_one_for_each_socket(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(
        f"processor : {i}\nvendor_id : GenuineIntel\nmodel name : Xeon\nphysical id : {i // 8}\n"
        "cpu MHz : 2100.000\n\n"
        for i in range(16)
    )
    put(host, {"/proc/cpuinfo": text, "/sys/devices/system/cpu/cpu0/cache/index2/size": "1024K"})
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    found = [dict(one.fields) for one in cpu.cpus(host)]
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0] | {"CPUARCH": "", "DATA_WIDTH": ""} == {
        "CORES": "4",
        "CPUARCH": "",
        "DATA_WIDTH": "",
        "L2CACHESIZE": "1024K",
        "LOGICAL_CPUS": "8",
        "MANUFACTURER": "Intel",
        "NBSOCKET": "2",
        "SPEED": "2100",
        "THREADS": "8",
        "TYPE": "Xeon",
    }
