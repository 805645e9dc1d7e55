import pytest

from deploy_agent.wire import terms, xml
from deploy_agent.wire.errors import TooLargeError, XmlError


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not well-formed"),
        (b"text", "not well-formed"),
        (b"<a><b></a>", "not well-formed"),
        (b"<a", "not well-formed"),
        (b"<a/><b/>", "not well-formed"),
        (b"<a>&unknown;</a>", "not well-formed"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "not well-formed"),
        (b"<!DOCTYPE a><a/>", "DOCTYPE"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "DOCTYPE"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "DOCTYPE"),
        (b"<a>" * 100 + b"</a>" * 100, "deeper"),
        (b"<a>" * 100_000, "not well-formed"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(XmlError, match=reason):
        xml.parse_xml(data)


def test_a_billion_laughs_cost_nothing() -> None:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE a [<!ENTITY l0 "ha">{lines}]><a>&l9;</a>'.encode()
    with pytest.raises(XmlError):
        xml.parse_xml(bomb)


def test_the_deepest_accepted_document() -> None:
    deepest = b"<a>" * terms.XML_DEPTH_MAX + b"</a>" * terms.XML_DEPTH_MAX
    assert xml.parse_xml(deepest).tag == "a"


def test_more_elements_than_a_tree_may_have() -> None:
    most = terms.XML_ELEMENTS_MAX
    assert len(xml.parse_xml(b"<a>" + b"<b/>" * (most - 1) + b"</a>")) == most - 1
    with pytest.raises(TooLargeError, match="elements"):
        xml.parse_xml(b"<a>" + b"<b></b>" * most + b"</a>")
    with pytest.raises(TooLargeError, match="attributes"):
        xml.parse_xml(b"<a " + b" ".join(b"b%d=''" % n for n in range(most)) + b"/>")


def test_longer_than_the_limit() -> None:
    with pytest.raises(TooLargeError):
        xml.parse_xml(b"<a/>" + b" " * 100, limit=50)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<a>Grüße 日本</a>".encode(), "Grüße 日本"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>Grüße</a>'.encode("latin-1"), "Grüße"),
        ('<?xml version="1.0" encoding="windows-1252"?><a>5 €</a>'.encode("cp1252"), "5 €"),
        ('<?xml version="1.0" encoding="UTF-16"?><a>Grüße</a>'.encode("utf-16"), "Grüße"),
        # An agent that says UTF-8 and copies a name in the code page of its system.
        ('<?xml version="1.0" encoding="UTF-8"?><a>Grüße</a>'.encode("cp1252"), "Grüße"),
        ("<a>Grüße</a>".encode("cp1252"), "Grüße"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert xml.parse_xml(data).text == text


@pytest.mark.parametrize("name", ["UTF-7", "utf7", "UNICODE-1-1-UTF-7", "JAVA", "C99", "IBM037"])
def test_an_encoding_that_hides_elements_from_their_count_is_refused(name: str) -> None:
    head = f'<?xml version="1.0" encoding = "{name}"?>'.encode()
    for start in (head, head.decode().encode("utf-16"), head.replace(b"?>", b" " * 5000 + b"?>")):
        with pytest.raises(XmlError, match="not well-formed"):
            xml.parse_xml(start + b"<a>+ADw-b/></a>")


def test_a_document_in_ebcdic_is_refused() -> None:
    with pytest.raises(XmlError, match="not well-formed"):
        xml.parse_xml('<?xml version="1.0" encoding="IBM037"?><a/>'.encode("cp037"))


def test_comments_and_instructions_are_not_elements() -> None:
    root = xml.parse_xml(b"<?x y?><a><!-- no --><b/><?z?></a>")
    assert [child.tag for child in root] == ["b"]


def test_characters_that_xml_cannot_carry_are_replaced() -> None:
    root = xml.element("a", {"b": "x\0y\ud800\uffff"})
    xml.add(root, "c", "\x0b\x1bok\t\n")
    again = xml.parse_xml(xml.to_bytes(root))
    assert again.get("b") == "x\ufffdy\ufffd\ufffd"
    assert again.findtext("c") == "\ufffd\ufffdok\t\n"
