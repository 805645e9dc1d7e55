"""The inventory as a whole: OCS's names, and nothing that keeps it from going out."""

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy_agent.machine import inventory
from deploy_agent.machine.inventory import (
    CHECKSUM_BITS,
    collect,
)
from deploy_agent.machine.inventory.host import Host, section
from deploy_agent.wire import xml
from deploy_agent.wire.messages import Inventory, parse_request
from deploy_agent.wire.sections import Section
from tests.unit.agent.inventory.computers import linux_only, no_programs, put

VECTORS = Path(__file__).parents[3] / "vectors"


def recorded(name: str) -> dict[str, list[dict[str, str | None]]]:
    root = xml.parse_xml((VECTORS / f"{name}.request.xml").read_bytes())
    content = root.find("CONTENT")
    assert content is not None
    found: dict[str, list[dict[str, str | None]]] = {}
    for element in content:
        fields = {str(child.tag): child.text for child in element}
        found.setdefault(str(element.tag), []).append(fields)
    return found


# What the recorded agent sends and ours does not: REPOSITORY is about apt's configuration,
# INSTALLDATE is 1970-00-01 there, zram is memory.
LEFT_OUT = {"REPOSITORY", "DOWNLOAD"}


FIELDS_LEFT_OUT = {"HARDWARE": {"INSTALLDATE"}}


@linux_only
def test_sections_and_fields_are_those_of_the_recorded_agent() -> None:
    ours: dict[str, set[str]] = {}
    for one in collect():
        ours.setdefault(one.name, set()).update(key for key, _ in one.fields)
    theirs = recorded("agent-02-inventory-first")
    missing = set(theirs) - LEFT_OUT - set(ours)
    assert missing <= {"STORAGES", "SOFTWARES"}, "what this computer may really not have"
    for name in set(theirs) & set(ours):
        # Fields that are always there in the recording; others depend on the computer.
        filled = [{key for key, value in fields.items() if value} for fields in theirs[name]]
        always = set.intersection(*filled) - FIELDS_LEFT_OUT.get(name, set())
        depends = {"DEFAULTGATEWAY", "DNS", "IPADDR", "DUPLEX", "SPEED", "L2CACHESIZE"}
        assert always - depends <= ours[name], name


def test_checksum_has_the_recorded_bits() -> None:
    hardware_of = {name: recorded(name)["HARDWARE"][0] for name in ("agent-02-inventory-first",)}
    full = int(hardware_of["agent-02-inventory-first"]["CHECKSUM"] or 0)
    assert all(full & bit for bit in CHECKSUM_BITS.values())
    # The second inventory was sent without software, when free space had changed.
    second = int(recorded("agent-05-inventory-nosoftware")["HARDWARE"][0]["CHECKSUM"] or 0)
    changed = {name for name, bit in CHECKSUM_BITS.items() if second & bit}
    assert changed == {"HARDWARE", "DRIVES", "SOFTWARES"}


@linux_only
def test_a_real_inventory_is_a_message() -> None:
    sections = collect()
    message = Inventory("pc-2026-11-21-10-24-07", sections)
    again = parse_request(message.to_bytes())
    assert isinstance(again, Inventory)
    assert [one.name for one in again.sections] == [one.name for one in sections]
    first = dict(sections[0].fields)
    assert sections[0].name == "HARDWARE"
    assert first["NAME"] == socket.gethostname().partition(".")[0]
    assert int(first["CHECKSUM"]) == sum(CHECKSUM_BITS.values())
    assert int(first["MEMORY"]) == psutil.virtual_memory().total // 2**20


def test_a_failing_collector_costs_its_section_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(host: Host) -> Iterator[Section]:
        yield section("DRIVES", TYPE="/")
        raise ZeroDivisionError("a strange device")

    monkeypatch.setitem(inventory._COLLECTORS, "DRIVES", broken)
    with caplog.at_level(logging.WARNING):
        sections = collect(run=no_programs)
    names = {one.name for one in sections}
    assert "DRIVES" not in names
    assert {"HARDWARE", "CPUS"} <= names
    assert not int(dict(sections[0].fields)["CHECKSUM"]) & CHECKSUM_BITS["DRIVES"]
    assert "goes without DRIVES" in caplog.text


def test_sections_hold_what_has_a_value() -> None:
    made = section("DRIVES", A=None, B="", C=0, D="  x\ny\t z ", E="\0\ud800\x1b", F="\ufffe<&>")
    assert made == Section(
        "DRIVES",
        (("C", "0"), ("D", "x y z"), ("E", "\ufffd\ufffd\ufffd"), ("F", "\ufffd<&>")),
    )


FILES = [
    "/etc/os-release",
    "/etc/resolv.conf",
    "/etc/passwd",
    "/etc/group",
    "/proc/cpuinfo",
    "/proc/net/route",
    "/proc/net/ipv6_route",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/chassis_type",
    "/sys/firmware/dmi/entries/17-0/raw",
    "/sys/block/sda/size",
    "/var/log/wtmp",
    "/var/lib/rpm/Packages",
]


contents = st.binary(max_size=60) | st.sampled_from(
    [
        b"\xff" * 500,
        b"x\tx\tZZ\tx\t" * 20,
        b"NAME='unclosed\n",
        "²".encode(),
        b"\x11\xff" + b"\xff" * 400,
    ]
)


@settings(max_examples=40)
@given(st.lists(contents, min_size=len(FILES), max_size=len(FILES)), st.binary(max_size=100))
def test_nothing_in_any_file_keeps_the_inventory_from_going_out(
    files: list[bytes], output: bytes
) -> None:
    with tempfile.TemporaryDirectory() as root:
        host = Host(Path(root), lambda command: output)
        put(host, dict(zip(FILES, files, strict=True)))
        sections = collect(root=host.root, run=host.run)
        message = Inventory("pc-2026-11-21-10-24-07", sections).to_bytes()
        parsed = parse_request(message)
        assert isinstance(parsed, Inventory)
        assert parsed.checksum == sum(CHECKSUM_BITS.values()), "a collector gave up"


@linux_only
def test_an_inventory_costs_little() -> None:
    """At most 0.5 s of CPU with the programs that it starts (contract of the benchmarks)."""
    began = os.times()
    collect()
    ended = os.times()
    assert sum(ended[:4]) - sum(began[:4]) < 0.5
