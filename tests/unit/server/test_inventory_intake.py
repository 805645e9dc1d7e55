"""Inventories in the database: rows made, renamed, shared, kept and removed."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Inventory, parse_request
from deploy_agent.wire.sections import Section
from deploy_server.services.computers import inventory_sections, software_of
from deploy_server.storage.models import (
    Base,
    Computer,
    ComputerAddress,
    DownloadHistory,
    Report,
    SectionContent,
    SoftwareItem,
    SoftwareSet,
)
from tests.support import factories as make
from tests.support.clock import START
from tests.support.contact import UNIX, Wire, section
from tests.support.statements import recorded as statements_of
from tests.support.vectors import Exchange

PC = "pc-2026-01-02-03-04-05"
NEW = "renamed-2026-05-06-07-08-09"


@pytest.fixture
def wire(session: Session) -> Wire:
    return Wire(session)


def computer(wire: Wire, device_id: str = PC) -> Computer:
    return wire.session.scalars(select(Computer).where(Computer.device_id == device_id)).one()


def rows(wire: Wire, model: type[Base]) -> int:
    return wire.session.scalar(select(func.count()).select_from(model)) or 0


def software(*names: str) -> list[Section]:
    return [section("SOFTWARES", NAME=name, VERSION="1.0", PUBLISHER="P") for name in names]


def history(wire: Wire) -> set[int]:
    return set(wire.session.scalars(select(DownloadHistory.package_id)))


def recorded(wire: Wire, name: str = "agent-02-inventory-first") -> Inventory:
    message = parse_request(Exchange(name).request.xml)
    assert isinstance(message, Inventory)
    return message


def test_the_first_inventory_makes_the_computer(wire: Wire) -> None:
    wire.say(recorded(wire))
    pc = computer(wire, "host-a-2026-11-21-10-24-07")
    assert (pc.name, pc.os_family, pc.memory, pc.ip) == ("host-a", "linux", 24105, "192.0.2.2")
    assert (pc.os_version, pc.os_version_key, pc.os_version_sort != "") == ("12", "12", True)
    assert (pc.created_at, pc.last_contact, pc.last_inventory) == (START, START, START)
    assert pc.agent == UNIX
    assert len(software_of(wire.session, pc.id)) == 860
    sections = inventory_sections(wire.session, pc.id)
    assert len(sections["LOCAL_GROUPS"]) == 48
    assert ("TYPE", "AMD EPYC") in sections["CPUS"][0]
    assert "SOFTWARES" not in sections


def test_the_same_again_costs_hashes_and_one_row(wire: Wire) -> None:
    wire.say(recorded(wire))
    wire.session.commit()
    with statements_of(wire.session) as statements:
        wire.say(recorded(wire))
    assert len([each for each in statements if not each.startswith("BEGIN")]) == 3


def test_what_changed_replaces_and_what_nobody_has_goes(wire: Wire) -> None:
    wire.inventory(PC, section("DRIVES", FREE="1"), section("BIOS", SSN="s"), *software("a", "b"))
    contents, sets = rows(wire, SectionContent), rows(wire, SoftwareSet)
    wire.inventory(PC, section("DRIVES", FREE="2"), section("BIOS", SSN="s"), *software("a", "c"))
    assert (rows(wire, SectionContent), rows(wire, SoftwareSet)) == (contents, sets)
    pc = computer(wire)
    assert inventory_sections(wire.session, pc.id)["DRIVES"] == [[("FREE", "2")]]
    assert [each.name for each in software_of(wire.session, pc.id)] == ["a", "c"]


def test_equal_computers_share_what_is_equal(wire: Wire) -> None:
    for number in range(5):
        wire.inventory(f"pc{number}-2026-01-02-03-04-05", section("BIOS", X="1"), *software("a"))
    assert rows(wire, SoftwareSet) == 1
    assert rows(wire, SoftwareItem) == 1
    assert rows(wire, SectionContent) == 2
    wire.inventory("pc0-2026-01-02-03-04-05", section("BIOS", X="2"), *software("b"))
    assert rows(wire, SoftwareSet) == 2
    others = [computer(wire, f"pc{number}-2026-01-02-03-04-05") for number in (1, 4)]
    for pc in others:
        assert [each.name for each in software_of(wire.session, pc.id)] == ["a"]


def test_sections_that_an_agent_leaves_out_because_nothing_changed_stay(wire: Wire) -> None:
    whole = [section("HARDWARE", CHECKSUM="131071", NAME="pc"), section("BIOS", SSN="s")]
    wire.inventory(PC, *whole, *software("a"))
    wire.inventory(PC, section("HARDWARE", CHECKSUM="1", NAME="pc"))
    pc = computer(wire)
    assert (pc.serial, [each.name for each in software_of(wire.session, pc.id)]) == ("s", ["a"])
    wire.inventory(PC, section("HARDWARE", CHECKSUM="65537", NAME="pc"))
    assert software_of(wire.session, pc.id) == []
    assert computer(wire).software_set_id is None
    wire.inventory(PC, section("HARDWARE", NAME="pc"))  # without CHECKSUM it is taken whole
    assert set(inventory_sections(wire.session, pc.id)) == {"HARDWARE"}


def test_addresses_follow_the_network_cards(wire: Wire) -> None:
    def addresses() -> set[tuple[str, str]]:
        found = wire.session.execute(select(ComputerAddress.kind, ComputerAddress.value_key))
        return {(kind, value) for kind, value in found}

    card = section("NETWORKS", IPADDRESS="FE80::0:1", MACADDR="02-00-5E-00-00-01")
    wire.inventory(PC, section("HARDWARE", IPADDR="10.0.0.1/10.0.0.2"), card)
    first = {
        ("ip", "fe80::1"),
        ("mac", "02:00:5e:00:00:01"),
        ("ip", "10.0.0.1"),
        ("ip", "10.0.0.2"),
    }
    assert addresses() == first
    wire.inventory(PC, section("HARDWARE", CHECKSUM="1", IPADDR="10.0.0.9"))
    assert addresses() == first  # the cards were not sent
    wire.inventory(PC, section("HARDWARE", IPADDR="10.0.0.9"), card)
    assert addresses() == {("ip", "fe80::1"), ("mac", "02:00:5e:00:00:01"), ("ip", "10.0.0.9")}


def test_history_is_the_agents(wire: Wire) -> None:
    for number in (1, 2, 3):
        make.make_package(wire.session, id=1_700_000_000 + number)
    make.make_package(wire.session, id=1_700_000_009, deleted_at=START)
    a, b, unknown, deleted = "1700000001", "1700000002", "1799999999", "1700000009"
    wire.inventory(PC, history=(a, b, unknown, deleted, "9" * 20))
    assert history(wire) == {1_700_000_001, 1_700_000_002}
    wire.inventory(PC, history=(b,))
    assert history(wire) == {1_700_000_002}
    wire.inventory(PC)  # says nothing about it
    assert history(wire) == {1_700_000_002}
    wire.inventory(PC, history=())
    assert history(wire) == set()


def test_a_new_id_inherits_everything(wire: Wire) -> None:
    wire.inventory(PC, section("HARDWARE", NAME="pc"), tag="Lyon")
    pc = computer(wire)
    activation = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, activation, status="NOTIFIED")
    make.make_group(wire.session, pc, name="G")
    wire.report(PC, activation, "ERR_TIMEOUT")
    wire.inventory(NEW, section("HARDWARE", NAME="renamed"), old_device_id=PC)
    renamed = computer(wire, NEW)
    assert (renamed.id, renamed.name, renamed.tag) == (pc.id, "renamed", "Lyon")
    assert renamed.device_id_key == NEW
    assert wire.status(renamed, activation) == "ERR_TIMEOUT"
    assert wire.session.scalars(select(Report.device_id)).all() == [NEW]
    wire.inventory(NEW, section("HARDWARE", NAME="renamed"), old_device_id=PC)
    assert rows(wire, Computer) == 1


def test_two_computers_are_never_merged_by_a_message(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tranche.activity")
    wire.inventory(PC, section("HARDWARE", NAME="one"))
    wire.inventory(NEW, section("HARDWARE", NAME="two"))
    wire.inventory(NEW, section("HARDWARE", NAME="two"), old_device_id=PC)
    assert rows(wire, Computer) == 2
    assert any(line.startswith("106;") for line in caplog.messages)
    wire.inventory(PC, old_device_id=PC)
    assert rows(wire, Computer) == 2


@pytest.mark.parametrize(
    ("first", "sent", "stored", "told"),
    [
        ("paris", "paris", "paris", None),
        ("paris", "lyon", "paris", {"TAG": "paris"}),
        ("paris", None, "paris", {"TAG": "paris"}),
        ("paris", "NA", "paris", {"TAG": "paris"}),
        ("NA", "NA", "", None),
        (None, None, "", {"TAG": "NA"}),
        (None, "NA", "", None),
        (None, "lyon", "lyon", None),  # nobody had given it one
        (None, "  ly\n on ", "ly on", None),
    ],
)
def test_tags(
    wire: Wire, first: str | None, sent: str | None, stored: str, told: dict[str, str] | None
) -> None:
    hardware = section("HARDWARE", NAME="pc")
    assert wire.inventory(PC, hardware, tag=first).account is None
    assert wire.inventory(PC, hardware, tag=sent).account == told
    assert (computer(wire).tag, computer(wire).tag_key) == (stored, stored)


def test_what_no_agent_should_send_fits_the_columns(wire: Wire) -> None:
    long = "ﷺ" * 3000  # one character that folds to eighteen
    names = ("NAME", "OSNAME", "OSVERSION", "USERID", "WORKGROUP", "IPADDR", "ARCH", "DESCRIPTION")
    hardware = Section("HARDWARE", tuple((name, long) for name in names))
    card = section("NETWORKS", IPADDRESS=long, MACADDR=long)
    wire.inventory(
        PC,
        hardware,
        section("BIOS", SSN=long, SMODEL=long),
        card,
        section("SOFTWARES", NAME=long, VERSION=long, PUBLISHER=long),
        section("A" * 64, **{"B" * 300: long}),
        tag=long,
        history=("9" * 20, "0"),
        user_agent=f"OCS-NG_{long}",
    )
    assert len(computer(wire).name) == 255
    wire.inventory(PC, hardware, card, tag=long)
