"""Made-up computers: files under a folder, and no programs."""

import sys
from collections.abc import Iterator, Sequence

import pytest

from deploy_agent.machine.inventory.host import Host
from deploy_agent.wire.sections import Section

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")


def no_programs(command: Sequence[str]) -> bytes:
    raise FileNotFoundError(command[0])


def put(host: Host, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = host.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def only(found: Iterator[Section]) -> dict[str, str]:
    (one,) = found
    return dict(one.fields)
