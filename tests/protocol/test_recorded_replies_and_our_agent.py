"""Our agent, given what a real OCS server said: in any order, with parts missing, on and off.

The replies are the recorded ones, byte for byte or changed by what a test is about; the agent's
services and state are the real ones.
"""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from deploy_agent.domain.errors import ServerUnreachable
from deploy_agent.domain.state import State
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.replies import DownloadSettings, PrologReply
from tests.support.computer import Computer
from tests.support.vectors import Exchange, posts

PROLOGS = [each for each in posts() if "prolog" in each.name]
ONE, THREE, FORCED = "1800000001", ("1800000001", "1800000002", "1800000003"), "1800000009"
HERE = {"info": "https://127.0.0.1:8590/download", "fragment": "http://127.0.0.1:8190/download"}


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    """A computer whose server is OCS's, with the packages of the recordings behind it."""
    computer = Computer(tmp_path)
    server = computer.server
    server.ours = False
    for package_id in (*THREE, FORCED):
        server.publish(package_id, foreign=True)
        for url in [each for each in server.files if f"/{package_id}/" in each]:
            name = url.rpartition("/")[2]
            base = HERE["info" if name == "info" else "fragment"]
            server.files[f"{base}/{package_id}/{name}"] = server.files.pop(url)
    return computer


def recorded(name: str) -> bytes:
    return Exchange(name).response.xml


def say(pc: Computer, reply: bytes) -> None:
    pc.server.prolog_reply = reply


def codes(pc: Computer) -> list[tuple[str, str]]:
    return [(report.package_id, report.code) for report in pc.server.reports]


def shuffled(reply: bytes, dice: random.Random) -> bytes:
    """The same reply in another order of elements and attributes, as Perl's hashes give it."""
    root = etree.fromstring(reply)
    for each in list(root.iter()):
        children = list(each)
        dice.shuffle(children)
        each[:] = children
        attributes = list(each.attrib.items())
        dice.shuffle(attributes)
        each.attrib.clear()
        each.attrib.update(attributes)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def without(reply: bytes, kind: str, attribute: str) -> bytes:
    """The reply without an attribute of its first PARAM of that TYPE."""
    root = etree.fromstring(reply)
    param = next(each for each in root.iter("PARAM") if each.get("TYPE") == kind)
    del param.attrib[attribute]
    return etree.tostring(root)


# Order.


@pytest.mark.parametrize("exchange", PROLOGS, ids=str)
def test_the_order_of_a_reply_means_nothing(exchange: Exchange) -> None:
    """But for that of its packages, which the agent sorts anyway."""
    said = PrologReply.parse(exchange.response.xml)
    dice = random.Random(exchange.name)
    for _ in range(50):
        read = PrologReply.parse(shuffled(exchange.response.xml, dice))
        offers = tuple(sorted(read.offers, key=lambda offer: offer.package_id))
        assert replace(read, offers=offers) == said


@pytest.mark.parametrize("seed", range(5))
def test_several_packages_are_done_whatever_their_order(pc: Computer, seed: int) -> None:
    say(pc, shuffled(recorded("probe-prolog-3-packages"), random.Random(seed)))
    assert pc.once().exit_status == 0
    assert sorted(codes(pc)) == [(each, "SUCCESS") for each in THREE]
    assert len(pc.runner.started) == 3


# Missing parts.


@pytest.mark.parametrize("attribute", ["FORCE", "SCHEDULE", "POSTCMD", "CERT_PATH", "CERT_FILE"])
def test_an_offer_without_what_may_be_left_out_is_done(pc: Computer, attribute: str) -> None:
    say(pc, without(recorded("agent-03-prolog-one-package"), "PACK", attribute))
    pc.once()
    assert codes(pc) == [(ONE, "SUCCESS")]


@pytest.mark.parametrize("attribute", ["ID", "INFO_LOC", "TYPE"])
def test_an_offer_that_says_not_enough_harms_no_other(pc: Computer, attribute: str) -> None:
    say(pc, without(recorded("probe-prolog-3-packages"), "PACK", attribute))
    assert pc.once().exit_status == 0
    assert sorted(codes(pc)) == [(each, "SUCCESS") for each in THREE[1:]]


def test_an_offer_without_a_place_for_fragments_ends_with_a_result(pc: Computer) -> None:
    say(pc, without(recorded("agent-03-prolog-one-package"), "PACK", "PACK_LOC"))
    for url in [each for each in pc.server.files if each.startswith("http:")]:
        del pc.server.files[url]
    pc.once()
    assert codes(pc) == [(ONE, "ERR_DOWNLOAD_PACK")]


@pytest.mark.parametrize(
    ("attribute", "field"),
    [
        ("FRAG_LATENCY", "frag_latency_s"),
        ("CYCLE_LATENCY", "cycle_latency_s"),
        ("PERIOD_LATENCY", "period_latency_s"),
        ("PERIOD_LENGTH", "period_length"),
        ("TIMEOUT", "timeout_days"),
        ("EXECUTION_TIMEOUT", "execution_timeout_min"),
    ],
)
def test_a_conf_without_a_number_means_the_usual_one(
    pc: Computer, attribute: str, field: str
) -> None:
    say(pc, without(recorded("agent-03-prolog-one-package"), "CONF", attribute))
    agent = pc.agent()
    agent.poll()
    settings = agent.contact.memory.settings
    assert settings is not None
    assert settings.on
    assert getattr(settings, field) == getattr(DownloadSettings(), field)


# Off.

OFF = {
    "ON=0": recorded("probe-prolog-download-off"),
    "STOP without OPTION": recorded("probe-prolog-frequency-minus1"),
    "an empty CONF": b"<REPLY><RESPONSE>SEND</RESPONSE><OPTION><NAME>DOWNLOAD</NAME>"
    b'<PARAM TYPE="CONF"/></OPTION><PROLOG_FREQ>24</PROLOG_FREQ></REPLY>',
    "no CONF": b"<REPLY><RESPONSE>STOP</RESPONSE><OPTION><NAME>DOWNLOAD</NAME></OPTION></REPLY>",
    "a CONF without ON": without(recorded("probe-prolog-known"), "CONF", "ON"),
    "nothing": b"<REPLY/>",
}


@pytest.mark.parametrize("name", OFF)
def test_where_nothing_is_switched_on_nothing_is_fetched(pc: Computer, name: str) -> None:
    say(pc, OFF[name])
    pc.once()
    assert pc.server.requests == []
    assert pc.runner.started == []


@pytest.mark.parametrize("name", OFF)
def test_switched_off_in_mid_download_it_rests_and_loses_nothing(pc: Computer, name: str) -> None:
    say(pc, recorded("agent-03-prolog-one-package"))  # a second after each fragment
    agent = pc.agent(Patience())
    agent.poll()
    while pc.server.asked()[f"{ONE}-1"] == 0:
        wait = agent.step()
        pc.clock.advance(seconds=wait.seconds if wait else 0)
    say(pc, OFF[name])
    agent.poll()
    asked = len(pc.server.requests)
    for _ in range(20):
        wait = agent.step()
        pc.clock.advance(seconds=60)
    assert len(pc.server.requests) == asked
    assert codes(pc) == []
    record = pc.store.read(ONE)
    assert record is not None
    assert record.state is State.DOWNLOADING
    say(pc, recorded("agent-03-prolog-one-package"))
    pc.once()
    assert codes(pc) == [(ONE, "SUCCESS")]
    assert pc.server.asked() == {"info": 1, **{f"{ONE}-{n}": 1 for n in (1, 2, 3)}}


@pytest.mark.parametrize("name", OFF)
def test_a_result_is_told_also_where_it_is_switched_off(pc: Computer, name: str) -> None:
    say(pc, recorded("agent-03-prolog-one-package"))
    pc.server.report_fault = ServerUnreachable("connection refused")
    assert pc.once().exit_status == 1
    pc.server.report_fault = None
    say(pc, OFF[name])
    pc.once()
    assert codes(pc) == [(ONE, "SUCCESS")]
    assert len(pc.runner.started) == 1


# History and force.


def test_what_is_in_history_is_answered_in_ocs_words_and_not_done(pc: Computer) -> None:
    say(pc, recorded("agent-03-prolog-one-package"))
    pc.once()
    pc.once()
    assert codes(pc) == [(ONE, "SUCCESS"), (ONE, "SUCCESS_ALREADY_SETUP")]
    assert len(pc.runner.started) == 1


def test_a_forced_package_is_done_each_time_it_is_offered(pc: Computer) -> None:
    say(pc, recorded("agent-26-prolog-forced-package"))
    for _ in range(3):
        pc.once()
    assert codes(pc) == [(FORCED, "SUCCESS")] * 3
    assert len(pc.runner.started) == 3


def test_one_of_several_that_fails_stops_no_other(pc: Computer) -> None:
    say(pc, recorded("probe-prolog-3-packages"))
    del pc.server.files[f"{HERE['fragment']}/{THREE[1]}/{THREE[1]}-2"]
    pc.once()
    assert sorted(codes(pc)) == [
        (THREE[0], "SUCCESS"),
        (THREE[1], "ERR_DOWNLOAD_PACK"),
        (THREE[2], "SUCCESS"),
    ]


# What else a reply says.


def test_send_asks_for_the_inventory_and_stop_does_not(pc: Computer) -> None:
    say(pc, recorded("probe-prolog-known"))
    pc.once()
    assert len(pc.server.inventories) == 1
    say(pc, recorded("probe-prolog-frequency-minus1"))
    pc.once()
    assert len(pc.server.inventories) == 1


@pytest.mark.parametrize("exchange", PROLOGS, ids=str)
def test_nothing_of_ours_is_sent_to_ocs(pc: Computer, exchange: Exchange) -> None:
    say(pc, exchange.response.xml)
    agent = pc.agent()
    agent.poll()
    assert not agent.contact.memory.ours
    assert agent.contact.memory.prolog_freq_h == 24
    assert all(report.attempt is None for report in pc.server.reports)
