"""Every recorded message is read and written again, and the two are the same tree."""

import pytest

from deploy_agent.wire.envelope import Envelope, pack, unpack
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, parse_request
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
)
from tests.support.vectors import FOLDER, Exchange, exchanges, posts, tree

HOST_A = "host-a-2026-11-21-10-24-07"
KINDS = {"prolog": Prolog, "inventory": Inventory, "download": DownloadReport}

messages = pytest.mark.parametrize("exchange", posts(), ids=str)


def kind(exchange: Exchange) -> str:
    return next(each for each in KINDS if each in exchange.name.split("-"))


def of_kind(name: str) -> list[Exchange]:
    return [each for each in posts() if kind(each) == name]


def test_the_recordings_are_all_here() -> None:
    table = (FOLDER / "README.md").read_text().splitlines()
    described = {
        line.split("|")[1].strip() for line in table if line.startswith(("| agent-", "| probe-"))
    }
    assert {each.name for each in exchanges()} == described
    assert {kind(each) for each in posts()} == set(KINDS)


@messages
def test_a_recorded_body_inflates_to_its_document(exchange: Exchange) -> None:
    assert unpack(exchange.request.body) == (exchange.request.xml, Envelope.ZLIB)
    if exchange.response.body:
        assert unpack(exchange.response.body) == (exchange.response.xml, Envelope.ZLIB)


@messages
def test_a_packed_document_is_the_recorded_one_again(exchange: Exchange) -> None:
    for envelope in Envelope:
        assert unpack(pack(exchange.request.xml, envelope)) == (exchange.request.xml, envelope)


@messages
def test_a_recorded_request_is_read_and_rewritten(exchange: Exchange) -> None:
    request = parse_request(exchange.request.xml)
    assert type(request) is KINDS[kind(exchange)]
    assert tree(request.to_bytes()) == tree(exchange.request.xml)


@pytest.mark.parametrize("exchange", of_kind("download"), ids=str)
def test_a_report_is_written_byte_for_byte(exchange: Exchange) -> None:
    written = parse_request(exchange.request.xml).to_bytes()
    # Perl closes an empty element with a space before the slash; nothing else may differ.
    assert written.replace(b"/>", b" />") == exchange.request.xml


@pytest.mark.parametrize("exchange", of_kind("prolog"), ids=str)
def test_a_recorded_prolog_reply_is_read_and_rewritten(exchange: Exchange) -> None:
    reply = PrologReply.parse(exchange.response.xml)
    assert reply.refused == ()
    assert reply.tranche is None
    assert tree(reply.to_bytes()) == tree(exchange.response.xml)


@pytest.mark.parametrize("exchange", of_kind("inventory"), ids=str)
def test_a_recorded_inventory_reply_is_read_and_rewritten(exchange: Exchange) -> None:
    reply = InventoryReply.parse(exchange.response.xml)
    assert tree(reply.to_bytes()) == tree(exchange.response.xml)


@pytest.mark.parametrize("exchange", of_kind("download"), ids=str)
def test_a_report_is_answered_with_nothing(exchange: Exchange) -> None:
    assert exchange.response.body == b""


SLOW = DownloadSettings(frag_latency_s=1, cycle_latency_s=1, period_latency_s=1)
FAST = DownloadSettings(frag_latency_s=0, cycle_latency_s=0, period_latency_s=0)


def offer(package_id: str, *, force: bool = False) -> PackageOffer:
    return PackageOffer(
        package_id=package_id,
        info_loc="127.0.0.1:8590/download",
        pack_loc="127.0.0.1:8190/download",
        force=force,
    )


#: What each reply means, written down by hand from the recordings' README.
REPLIES = {
    "agent-01-prolog-new-device": PrologReply(True, settings=SLOW),
    "agent-03-prolog-one-package": PrologReply(True, settings=SLOW, offers=(offer("1800000001"),)),
    "agent-24-prolog-already-in-history": PrologReply(True, settings=FAST),
    "agent-26-prolog-forced-package": PrologReply(
        True, settings=FAST, offers=(offer("1800000009", force=True),)
    ),
    "probe-prolog-3-packages": PrologReply(
        True,
        settings=FAST,
        offers=(offer("1800000001"), offer("1800000002"), offer("1800000003")),
    ),
    "probe-prolog-frequency-minus1": PrologReply(False, settings=None),
}


@pytest.mark.parametrize(("name", "expected"), REPLIES.items(), ids=list(REPLIES))
def test_a_reply_built_from_values_is_the_recorded_one(name: str, expected: PrologReply) -> None:
    recorded = Exchange(name).response.xml
    assert tree(expected.to_bytes()) == tree(recorded)
    assert PrologReply.parse(recorded) == expected


def test_download_off_is_said_by_the_conf() -> None:
    reply = PrologReply.parse(Exchange("probe-prolog-download-off").response.xml)
    assert reply.settings is not None
    assert not reply.settings.on


def test_the_first_inventory_holds_the_machine() -> None:
    inventory = parse_request(Exchange("agent-02-inventory-first").request.xml)
    assert isinstance(inventory, Inventory)
    names = [section.name for section in inventory.sections]
    assert names.count("SOFTWARES") == 860
    hardware = next(each for each in inventory.sections if each.name == "HARDWARE")
    assert hardware.get("OSNAME") == "Debian GNU/Linux 12"


def test_the_history_of_an_inventory_is_read() -> None:
    inventory = parse_request(Exchange("agent-23-inventory-with-history").request.xml)
    assert isinstance(inventory, Inventory)
    assert inventory.history is not None
    assert "1800000001" in inventory.history


def test_the_tag_is_answered_only_where_it_differs() -> None:
    equal = InventoryReply.parse(Exchange("probe-inventory-tag").response.xml)
    changed = InventoryReply.parse(Exchange("probe-inventory-tag-changed").response.xml)
    assert equal == InventoryReply(None)
    assert changed == InventoryReply({"TAG": "paris"})
