"""What an inventory says, read from the recordings and from what no agent should send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.messages import Inventory, parse_request
from deploy_agent.wire.sections import Section
from deploy_server.domain import inventory as facts
from deploy_server.domain.addresses import address_key
from tests.support.contact import section
from tests.support.vectors import Exchange


def recorded(name: str) -> facts.Sections:
    message = parse_request(Exchange(name).request.xml)
    assert isinstance(message, Inventory)
    return facts.Sections(message.sections)


def test_the_recorded_inventory() -> None:
    sections = recorded("agent-02-inventory-first")
    values, dropped = facts.read_facts(sections)
    assert dropped == []
    assert values == {
        "name": "host-a",
        "os": "Debian GNU/Linux 12",
        "os_family": "linux",
        "os_version": "12",
        "arch": "x86_64",
        "user": "",
        "workgroup": "WORKGROUP",
        "ip": "192.0.2.2",
        "memory": 24105,
        "serial": "",
        "model": "",
    }
    addresses = facts.read_addresses(sections)
    assert ("ip", "192.0.2.2") in addresses
    assert ("mac", "02:00:5e:00:00:01") in addresses
    software = sections.software()
    assert len(software) == 860
    assert (
        facts.Software.read("alsa-ucm-conf", "1.2.8-1", "https://www.alsa-project.org/") in software
    )


@pytest.mark.parametrize(
    ("name", "comments", "family"),
    [
        ("Debian GNU/Linux 12", "", "linux"),
        ("Ubuntu 24.04", "", "linux"),
        ("Fedora release 41", "#1 SMP", "linux"),
        ("Something Nobody Knows", "", "linux"),
        ("Microsoft Windows 11 Professionnel", "", "windows"),
        ("macOS 15.1", "", "macos"),
        ("Mac OS X", "", "macos"),
        ("FreeBSD 14.1", "", "other"),
        ("SunOS", "", "other"),
        ("AIX", "", "other"),
        ("", "whatever", ""),
        ("  ", "", ""),
    ],
)
def test_systems_are_told_apart(name: str, comments: str, family: str) -> None:
    assert facts.os_family(name, comments) == family


def test_a_number_that_is_none_is_dropped_and_named() -> None:
    for text in ("lots", "-1", "1e9", "9" * 30, "1; DROP TABLE computer"):
        values, dropped = facts.read_facts(facts.Sections([section("HARDWARE", MEMORY=text)]))
        assert values["memory"] is None
        assert "MEMORY" in dropped[0]


def test_what_was_not_sent_says_nothing() -> None:
    assert facts.read_facts({}) == ({}, [])
    values, _ = facts.read_facts(facts.Sections([section("BIOS", SSN="x", SMODEL="y")]))
    assert values == {"serial": "x", "model": "y"}


@pytest.mark.parametrize(
    ("name", "checksum", "gone"),
    [
        ("SOFTWARES", None, True),
        ("SOFTWARES", 65_536, True),
        ("SOFTWARES", 513, False),
        ("BIOS", 0, False),
        ("LOCAL_USERS", 0, True),  # no bit speaks of it
    ],
)
def test_a_section_that_is_missing(name: str, checksum: int | None, gone: bool) -> None:
    assert facts.is_gone(name, checksum) is gone


def test_endless_things_are_bounded() -> None:
    sections = [section(f"S{number}") for number in range(1000)]
    sections += [section("X" * 65), section("HARDWARE", NAME="n" * 1000)]
    assert len(facts.Sections(sections)) == facts.SECTIONS_MAX
    long = facts.Sections([section("HARDWARE", NAME="n" * 1000, OSVERSION="1." * 500)])
    values, _ = facts.read_facts(long)
    assert len(str(values["name"])) == 255
    cards = [section("NETWORKS", IPADDRESS=f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
    assert len(facts.read_addresses(facts.Sections(cards))) == 500
    assert facts.read_history([str(2**31), "9" * 20, "1800000001", "1800000001"]) == [1_800_000_001]


Fields = list[tuple[str, str]]
FIELDS = st.lists(st.tuples(st.sampled_from("ABC"), st.text("ab<&", max_size=3)), max_size=3)


@given(st.lists(FIELDS, min_size=1, max_size=3), st.lists(FIELDS, min_size=1, max_size=3))
def test_contents_have_the_same_digest_where_they_are_the_same(
    one: list[Fields], other: list[Fields]
) -> None:
    def digest(name: str, contents: list[Fields]) -> bytes:
        filler = section("BETWEEN", A="1")
        made = [each for fields in contents for each in (Section(name, tuple(fields)), filler)]
        message = parse_request(Inventory("pc-2026-01-02-03-04-05", made).to_bytes())
        assert isinstance(message, Inventory)
        return facts.Sections(message.sections).digest(name)

    assert len(digest("X", one)) == 16
    assert (digest("X", one) == digest("X", other)) is (one == other)
    assert digest("X", one) != digest("Y", one)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("ip", "FE80:0:0:0:0:0:0:1", "fe80::1"),
        ("ip", " 10.0.0.1 ", "10.0.0.1"),
        ("mac", "02-00-5E-00-00-01", "02:00:5e:00:00:01"),
    ],
)
def test_addresses_have_one_spelling(kind: str, one: str, other: str) -> None:
    assert address_key(kind, one) == address_key(kind, other)
