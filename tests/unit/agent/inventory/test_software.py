"""SOFTWARES, asked of the real dpkg and of a made-up rpm."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy_agent.machine.inventory import (
    CHECKSUM_BITS,
    collect,
    software,
)
from deploy_agent.machine.inventory.host import Host, run_program
from tests.unit.agent.inventory.computers import put

DPKG_STATUS = """\
Package: adduser
Status: install ok installed
Installed-Size: 686
Maintainer: Debian <x@example.org>
Architecture: all
Version: 3.134
Homepage: https://example.org/?a=1&b=<2>
Description: add and remove users
 more

Package: libc6
Status: hold ok installed
Maintainer: Debian <x@example.org>
Multi-Arch: same
Architecture: amd64
Version: 2:2.36-9
Description: GNU C Library \xff\x01\x1b[31m

Package: gone
Status: deinstall ok config-files
Maintainer: Debian <x@example.org>
Architecture: all
Version: 1
Description: removed
"""


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="asks the real dpkg-query")
def test_softwares_from_dpkg(tmp_path: Path) -> None:
    host = Host(tmp_path, run_program)
    put(
        host,
        {
            "/var/lib/dpkg/status": DPKG_STATUS.encode("latin-1"),
            "/var/lib/dpkg/info/format": "1\n",
            "/var/lib/dpkg/info/adduser.list": "/.\n",
        },
    )
    os.utime(host.path("/var/lib/dpkg/info/adduser.list"), (1747699200, 1747699200))
    found = [dict(one.fields) for one in software.softwares(host)]
    assert found[0] == {
        "ARCHITECTURE": "all",
        "COMMENTS": "add and remove users",
        "FILESIZE": "702464",
        "FROM": "deb",
        "INSTALLDATE": time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(1747699200)),
        "NAME": "adduser",
        "PUBLISHER": "https://example.org/?a=1&b=<2>",
        "VERSION": "3.134",
    }
    assert found[1]["NAME"] == "libc6:amd64"
    assert found[1]["COMMENTS"] == "GNU C Library \ufffd\ufffd\ufffd[31m"
    assert len(found) == 2


def test_softwares_from_rpm(host: Host) -> None:
    calls = []

    def rpm(command: Sequence[str]) -> bytes:
        calls.append(command)
        records = [
            ("bash", "5.1.8-9.el9", "x86_64", "7738634", "1747699200", "Rocky", "The shell"),
            ("gpg-pubkey", "1-1", "(none)", "0", "1747699200", "(none)", "gpg(x)"),
            ("odd", "1-1", "(none)", "x", "99999999999999999", "(none)", "a\nb\xff"),
        ]
        text = "".join("\x1f".join(record) + "\x1e" for record in records)
        return text.encode("latin-1") + b"cut\x1foff"

    put(host, {"/var/lib/rpm/rpmdb.sqlite": ""})
    found = [dict(one.fields) for one in software.softwares(Host(host.root, rpm))]
    assert found[0]["NAME"] == "bash"
    assert found[0]["VERSION"] == "5.1.8-9.el9"
    assert found[0]["FROM"] == "rpm"
    assert found[0]["PUBLISHER"] == "Rocky"
    assert found[1] == {
        "ARCHITECTURE": "(none)",
        "COMMENTS": "a b\ufffd",
        "FROM": "rpm",
        "NAME": "odd",
        "VERSION": "1-1",
    }
    assert len(found) == 2
    assert f"--root={host.root}" in calls[0]


def test_no_package_manager_is_fine(host: Host) -> None:
    assert list(software.softwares(host)) == []
    put(host, {"/usr/lib/rpm/macros": ""})  # without the program
    assert list(software.softwares(host)) == []


def test_a_broken_package_manager_keeps_what_the_server_knows(host: Host) -> None:
    def broken(command: Sequence[str]) -> bytes:
        raise subprocess.CalledProcessError(2, command)

    put(host, {"/var/lib/dpkg/status": ""})
    sections = collect(root=host.root, run=broken)
    checksum = int(dict(sections[0].fields)["CHECKSUM"])
    assert not checksum & CHECKSUM_BITS["SOFTWARES"]
    assert checksum & CHECKSUM_BITS["BIOS"]
