"""The software of an inventory, parsed apart: nobody can tell from what comes of a message."""

import math
import random
import sys

import pytest

from deploy_agent.wire import apart, terms
from deploy_agent.wire.errors import WireError
from deploy_agent.wire.messages import Inventory, parse_request
from deploy_agent.wire.sections import Received

ONE = "<SOFTWARES><NAME>Zoë &amp; co</NAME><VERSION> 1.2 </VERSION></SOFTWARES>"
TWO = "<SOFTWARES>\n<NAME>bash</NAME></SOFTWARES>"
NESTED = "<SOFTWARES><NAME>a</NAME><SOFTWARES><NAME>b</NAME></SOFTWARES></SOFTWARES>"
CUT = "<SOFTWARES><NAME>a</NAME>"
DEEP = f"<SOFTWARES>{'<a>' * terms.XML_DEPTH_MAX}{'</a>' * terms.XML_DEPTH_MAX}</SOFTWARES>"
MARKED = '<SOFTWARES mark="0"/>'
DRIVE = "<DRIVES><TYPE>/</TYPE></DRIVES>"
BIOS = "<BIOS><SSN>s</SSN></BIOS>"
DECLARED = '<?xml version="1.0" encoding="UTF-8" ?>\n'


def message(content: str, declared: str = DECLARED) -> bytes:
    text = (
        "<REQUEST><DEVICEID>pc-2026-11-21-10-00-00</DEVICEID><QUERY>INVENTORY</QUERY>"
        f"<CONTENT>{content}</CONTENT></REQUEST>"
    )
    return (declared + text).encode()


ORDINARY = f"{DRIVE}{ONE}\n{TWO}{ONE}{BIOS}"
ODD = {
    "one list": ORDINARY,
    "nothing but it": ONE,
    "something between": f"{ONE}{DRIVE}{TWO}",
    "nested": NESTED + BIOS,
    "in a comment": f"{DRIVE}<!--{ONE}-->{BIOS}",
    "in a comment, another beside it": f"<!--{ONE}-->{MARKED}{BIOS}",
    "a comment in it": ONE.replace("Zoë", "Z<!-- o -->oë"),
    "as text": f"<BIOS><SSN><![CDATA[{ONE}]]></SSN></BIOS>",
    "text in it": ONE.replace("Zoë", "<![CDATA[</SOFTWARES>]]>"),
    "in an attribute": f"<BIOS a='{ONE.replace('<', '&lt;')}'/>",
    "in an instruction": f"<?x {ONE}?>{BIOS}",
    "in another section": f"<BIOS>{ONE}</BIOS>{DRIVE}",
    "in a second content": f"{DRIVE}</CONTENT><CONTENT>{ONE}",
    "over two contents": f"{ONE}</CONTENT><CONTENT>{TWO}",
    "another spelling before": f"<SOFTWARES ><NAME>x</NAME></SOFTWARES>{ONE}",
    "another spelling after": f"{ONE}<SOFTWARES NAME='x'/>",
    "no end": ONE + CUT,
    "no end, then another": CUT + ONE,
    "too deep": DEEP,
    "an unknown entity": ONE.replace("&amp;", "&other;"),
    "a prefix": f"<x:BIOS xmlns:x='urn:x'>{ONE}</x:BIOS><x:DRIVES/>{TWO}",
    "the same xml:id inside and outside": f"<BIOS xml:id='a'/><SOFTWARES xml:id='a'/>{ONE}",
    "the same xml:id within": ONE.replace("<NAME>", "<NAME xml:id='a'>") + "<BIOS xml:id='a'/>",
    "in a prefix that is not declared": f"{ONE}<x:DRIVES/>",
}


def outcome(data: bytes) -> Inventory | str:
    try:
        found = parse_request(data)
    except WireError as error:
        return f"{type(error).__name__}: {error}"
    assert isinstance(found, Inventory)
    return found


def judge(data: bytes, patch: pytest.MonkeyPatch) -> bool:
    """Compare with the same read as one; returns whether it was parsed apart."""
    patch.setattr(apart, "LENGTH_MIN", sys.maxsize)
    whole = outcome(data)
    patch.setattr(apart, "LENGTH_MIN", len(apart._FIRST) + len(apart._LAST))
    patch.setattr(apart, "REST_MAX", math.inf)
    # Once more: what is known stays unread until somebody asks.
    for _ in range(2):
        found = outcome(data)
        assert found == whole, data
        if not isinstance(found, Inventory):
            return False
        assert isinstance(whole, Inventory)
        for each in (found, whole):
            assert isinstance(each.sections, Received)
        assert found.checksum == whole.checksum
        assert facts(found) == facts(whole)
    return apart.parse(data, limit=terms.MESSAGE_MAX)[1] is not None


def facts(inventory: Inventory) -> object:
    sections = inventory.sections
    assert isinstance(sections, Received)
    table = sections.table("SOFTWARES", ("NAME", "VERSION"))
    return sections.names, len(sections), table, sections.named("SOFTWARES")


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_what_is_odd_is_read_as_one(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(message(content), monkeypatch)


@pytest.mark.parametrize("declared", ["", DECLARED, "<?xml version='1.0'?>", "\ufeff"])
def test_a_list_is_parsed_apart(declared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(message(ORDINARY, declared), monkeypatch)


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_other_encodings_are_read_as_one(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = message(ORDINARY, f'<?xml version="1.0" encoding="{encoding}"?>').decode()
    assert not judge(text.encode(encoding), monkeypatch)


@pytest.mark.parametrize(
    "wrong", [ORDINARY.replace("<SSN>s", "<SSN>\xff"), ORDINARY.replace("Z", "\xff")]
)
def test_what_is_no_utf8_is_repaired_as_one(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = message(wrong).replace("\xff".encode(), b"\xff")
    assert not judge(data, monkeypatch)


def test_nothing_that_happens_to_a_message_tells_them_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(20261122)
    pieces = [each.encode() for each in (ONE, TWO, CUT, MARKED)]
    pieces += [b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<CONTENT>", b"</CONTENT>", b"<", b"&lt;"]
    done = []
    for _ in range(1500):
        data = message("".join(chance.choices([ORDINARY, ONE, TWO, DRIVE, BIOS, NESTED], k=2)))
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(data))
            until = at + chance.choice([0, 0, 1, 12, 40])
            data = data[:at] + chance.choice([b"", *pieces]) + data[until:]
        done.append(judge(data, monkeypatch))
    assert 100 < sum(done) < 1400


@pytest.mark.parametrize("rest", [0.4, 3.0])
def test_only_what_is_mostly_software_is_divided(rest: float) -> None:
    """Two parsers for anything else would be what somebody could make us pay twice."""
    software = ONE * (2 * apart.LENGTH_MIN // len(ONE))
    data = message(software + DRIVE * int(rest * len(software) / len(DRIVE)))
    assert (apart.parse(data, limit=terms.MESSAGE_MAX)[1] is not None) == (rest < 1)


def test_the_size_of_all_of_it_counts() -> None:
    data = message(ONE * (terms.XML_ELEMENTS_MAX // 6) + DRIVE * (terms.XML_ELEMENTS_MAX // 3))
    assert "more than 200000 elements" in str(outcome(data))


def test_what_is_known_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The point of it: an inventory that did not change costs a digest."""
    data = message("<SOFTWARES><NAME>only here</NAME></SOFTWARES>" + ONE)
    monkeypatch.setattr(apart, "LENGTH_MIN", 10)
    monkeypatch.setattr(apart, "REST_MAX", math.inf)
    found = [apart.parse(data, limit=terms.MESSAGE_MAX)[1] for _ in range(2)]
    assert ["elements" in vars(each) for each in found] == [True, False]
    assert [each.findtext("NAME") for each in found[1].elements] == ["only here", "Zoë & co"]


def test_no_more_lists_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "KNOWN_MAX", 2)
    known = apart._Known()
    digests = (b"a", b"b", b"c")
    for each in digests:
        known.add(each)
    assert [each in known for each in digests] == [False, True, True]
