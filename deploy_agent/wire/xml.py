"""The one XML parser and writer: no DTD, no entities, no network, bounded depth and size."""

import re

from lxml import etree

from deploy_agent.wire import terms
from deploy_agent.wire.errors import TooLargeError, XmlError

Element = etree._Element

# What XML 1.0 cannot carry at all, escaped or not; U+FFFD stands in for it.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DECLARATION_MAX = 4096  # bytes
_BEFORE = b"\xef\xbb\xbf\xff\xfe \t\r\n"  # marks of byte order, white space
_EBCDIC = "<?xm".encode("cp037")
_ENCODINGS = re.compile(rb"""encoding\s*=\s*["']([^"']*)""")
# Those in which every < and = is that very byte, so that they can be counted unparsed. In UTF-7,
# JAVA and C99 there are other ways to write them, and EBCDIC has other bytes.
_COUNTABLE = re.compile(
    rb"""(us-)?ascii|utf-?8|utf-?(16|32)([bl]e)?|ucs-?[24]([bl]e)?|iso-10646-ucs-[24]
    |iso[-_]?8859[-_]?\d+|latin-?\d+|(windows|cp)-?125\d|(cp|ibm)(437|850|852|858|866)
    |koi8-[ru]|mac|macintosh|shift[-_]jis|cp93[26]|euc-(jp|kr|tw|cn)|big5|gb2312|gbk|gb18030""",
    re.VERBOSE | re.IGNORECASE,
)
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (terms.XML_DEPTH_MAX + 1)})")
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


def clean(text: str) -> str:
    """Return `text` with every character that XML cannot carry replaced by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def parse_xml(data: bytes, *, limit: int = terms.MESSAGE_MAX) -> Element:
    """Parse `data` and return its root element.

    The encodings of `_COUNTABLE` are taken; bytes that do not fit the encoding they declare
    (agents copy names from everywhere) are read again as Windows-1252 where UTF-8 was meant, as
    OCS's server does with its own guess.

    Args:
        data: the document; at most `limit` bytes.
        limit: bytes.

    Raises:
        TooLargeError: `data` is longer than `limit`, or has more than `terms.XML_ELEMENTS_MAX`
            elements and attributes: a tree takes 50 times the room of the bytes that it comes from.
        XmlError: not well-formed, a DOCTYPE, deeper than `terms.XML_DEPTH_MAX`, unknown encoding.
    """
    check_size(data, limit=limit)
    try:
        root = _parse(data)
    except etree.XMLSyntaxError as error:
        repaired = _as_utf8(data)
        if repaired is None:
            raise _malformed(error) from error
        return parse_exactly(repaired)
    _check(root)
    return root


def parse_exactly(data: bytes) -> Element:
    """Parse what is no larger than it may be, and repair nothing.

    Raises:
        XmlError: as `parse_xml`.
    """
    try:
        root = _parse(data)
    except etree.XMLSyntaxError as error:
        raise _malformed(error) from error
    _check(root)
    return root


def check_size(data: bytes, *, limit: int) -> None:
    """Refuse what would take too much memory as a tree.

    Raises:
        TooLargeError: as `parse_xml`.
        XmlError: the encoding could hide elements from being counted.
    """
    if len(data) > limit:
        raise TooLargeError(f"the XML has {len(data)} bytes, more than {limit}")
    _check_encoding(data)
    # An attribute takes as much as an element, and is compared with its neighbours besides.
    tags = data.count(b"<") + data.count(b"=")
    if tags > terms.XML_ELEMENTS_MAX and tags - data.count(b"</") > terms.XML_ELEMENTS_MAX:
        raise TooLargeError(
            f"the XML has more than {terms.XML_ELEMENTS_MAX} elements and attributes"
        )


def is_utf8(data: bytes) -> bool:
    """Return whether the document claims to be UTF-8, in words or by saying nothing."""
    if data.startswith(_WIDE_BOMS):
        return False
    declared = _DECLARED.match(data)
    return declared is None or declared.group(1).lower() in (b"utf-8", b"utf8")


def to_bytes(root: Element, *, declaration: bool = True) -> bytes:
    """Return `root` as UTF-8 bytes, indented by two spaces, ending with a newline.

    Shape: <?xml version='1.0' encoding='UTF-8'?> <REPLY> <RESPONSE>STOP</RESPONSE> </REPLY>
    """
    return etree.tostring(root, xml_declaration=declaration, encoding="UTF-8", pretty_print=True)


def add(parent: Element, name: str, text: str | None = None) -> Element:
    """Append an element `name` with `text` to `parent` and return it."""
    child = etree.SubElement(parent, name)
    if text is not None:
        child.text = clean(text)
    return child


def element(name: str, attributes: dict[str, str] | None = None) -> Element:
    """Return a new element with `attributes`, cleaned."""
    made = etree.Element(name)
    for key, value in (attributes or {}).items():
        made.set(key, clean(value))
    return made


def _malformed(error: etree.XMLSyntaxError) -> XmlError:
    return XmlError(f"the XML is not well-formed: {error.msg}")


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
        # Nobody asks for them, and a document would be refused for naming one twice.
        collect_ids=False,
    )


def _parse(data: bytes) -> Element:
    try:
        root = etree.fromstring(data, _parser())
    except (LookupError, ValueError) as error:
        raise XmlError(f"the XML cannot be read: {error}") from error
    if root is None:
        raise XmlError("the XML is empty")
    return root


def _check_encoding(data: bytes) -> None:
    """Refuse an encoding that could hide elements from being counted."""
    if data.startswith(_EBCDIC):
        raise XmlError("the XML is not well-formed: EBCDIC is not supported")
    # Zeros are half of UTF-16; its declaration is in itself.
    head = data[:_DECLARATION_MAX].replace(b"\0", b"").lstrip(_BEFORE)
    declaration, end, _ = head.partition(b"?>")
    if not declaration.startswith(b"<?xml"):
        return
    if not end:
        raise XmlError("the XML is not well-formed: its declaration has no end")
    for name in _ENCODINGS.findall(declaration):
        if not _COUNTABLE.fullmatch(name):
            raise XmlError(
                f"the XML is not well-formed: the encoding {name[:40].decode('latin-1')!r} is not"
                " supported"
            )


def _as_utf8(data: bytes) -> bytes | None:
    """Return `data` recoded to UTF-8 where it only claims to be; None if that is not it."""
    if not is_utf8(data):
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace").encode("utf-8")
    return None


def _check(root: Element) -> None:
    docinfo = root.getroottree().docinfo
    if docinfo.doctype or docinfo.internalDTD is not None:
        raise XmlError("a DOCTYPE is not accepted")
    if _TOO_DEEP(root):
        raise XmlError(f"the XML is deeper than {terms.XML_DEPTH_MAX} elements")
