"""Sections that are read when somebody asks for them."""

import pytest
from lxml import etree

from deploy_agent.wire.messages import Inventory, parse_request
from deploy_agent.wire.sections import Received, Section

CONTENT = """
<CONTENT>
  <DRIVES><TYPE>/</TYPE><TOTAL> 12 </TOTAL><TYPE>again</TYPE></DRIVES>
  <BIOS SSN="s"><SSN>other</SSN><SMODEL/></BIOS>
  <DRIVES TYPE="/boot"/>
</CONTENT>
"""
ROOT = Section("DRIVES", (("TYPE", "/"), ("TOTAL", "12"), ("TYPE", "again")))
BIOS = Section("BIOS", (("SSN", "s"), ("SSN", "other"), ("SMODEL", "")))
BOOT = Section("DRIVES", (("TYPE", "/boot"),))


def received(text: str = CONTENT) -> Received:
    return Received(etree.fromstring(text))


def test_they_are_a_sequence() -> None:
    sections = received()
    assert list(sections) == [ROOT, BIOS, BOOT]
    assert (len(sections), sections[1], sections[1:]) == (3, BIOS, [BIOS, BOOT])
    assert sections == (ROOT, BIOS, BOOT)
    assert sections == (ROOT, BIOS, BOOT)
    assert sections != (ROOT, BIOS)
    assert sections != "no sections"
    assert "'SSN', 'other'" in repr(sections)


def test_names_come_in_their_order_and_once() -> None:
    assert received().names == ("DRIVES", "BIOS")
    assert received().named("DRIVES") == [ROOT, BOOT]
    assert received().named("NOTHING") == []


def test_a_table_has_the_first_of_each_field() -> None:
    fields = ("TOTAL", "TYPE", "FREE")
    assert received().table("DRIVES", fields) == [("12", "/", ""), ("", "/boot", "")]
    assert received().table("BIOS", ("SSN",)) == [("s",)]
    assert received().table("NOTHING", fields) == []


@pytest.mark.parametrize("name", ["DRIVES", "BIOS"])
def test_equal_sections_are_equal_bytes(name: str) -> None:
    sections = received()
    assert sections.raw(name) == received().raw(name)
    assert sections.raw(name) == sections.raw(name)
    moved = CONTENT.replace("<BIOS", "<OTHER/><BIOS").replace("</BIOS>", "</BIOS>\n\n")
    assert received(moved).raw(name) == sections.raw(name)
    for was, now in (("12", "13"), ("</TYPE>", "</TYPE><NEW/>"), ('"s"', '"t"')):
        changed = received(CONTENT.replace(was, now))
        assert (changed.raw(name) == sections.raw(name)) is (
            changed.named(name) == sections.named(name)
        )


def test_reading_and_hashing_do_not_disturb_each_other() -> None:
    sections = received()
    before = list(sections)
    for name in sections.names:
        sections.raw(name)
    assert list(sections) == before
    assert sections.table("BIOS", ("SSN",)) == [("s",)]


def test_what_was_made_is_as_if_it_had_been_received() -> None:
    made = Received.of([ROOT, BOOT])
    assert Received.of(made) is made
    assert made == [ROOT, BOOT]
    assert made.raw("DRIVES") == Received.of((ROOT, BOOT)).raw("DRIVES")
    message = Inventory("pc-2026-01-02-03-04-05", (ROOT, BIOS, BOOT))
    assert parse_request(message.to_bytes()) == message
