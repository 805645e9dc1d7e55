"""The list of software of an inventory, parsed apart from the rest of it.

It is nine tenths of the message and nearly always one that was seen before: then its bytes say so,
and nobody parses them. What comes of a message is the same either way.
"""

import hashlib
import threading
from functools import cached_property

from deploy_agent.wire import xml
from deploy_agent.wire.errors import XmlError
from deploy_agent.wire.xml import Element

NAME = "SOFTWARES"
#: Bytes; below, one parser is cheaper than two.
LENGTH_MIN = 16_384
#: How long the rest may be, in lengths of the list: more would pay for two parsers, for nothing.
REST_MAX = 1.0
#: Lists that are remembered, at about a hundred bytes each.
KNOWN_MAX = 16_384

_FIRST, _LAST = f"<{NAME}>".encode(), f"</{NAME}>".encode()


class Apart:
    """Elements called NAME that follow each other in a message.

    Attributes:
        raw: their bytes, UTF-8.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        if digest not in _known:
            _ = self.elements
            _known.add(digest)

    @cached_property
    def elements(self) -> list[Element]:
        """The elements, all of one document.

        Raises:
            XmlError: they are not whole elements of that name and nothing else; only when made.
        """
        # As deep as they are in the message, which has a limit of depth.
        root = xml.parse_exactly(b"<REQUEST><CONTENT>%b</CONTENT></REQUEST>" % self.raw)
        if len(root) != 1 or any(child.tag != NAME for child in root[0]):
            raise XmlError("there is something else between the software")
        return list(root[0])


class _Known:
    """Digests of lists that were parsed before; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        with self._lock:
            self._digests[digest] = None
            if len(self._digests) > KNOWN_MAX:
                del self._digests[next(iter(self._digests))]


_known = _Known()


def parse(data: bytes, *, limit: int) -> tuple[Element, Apart | None]:
    """Return the root of a message and its list of software, where that was parsed apart.

    The CONTENT then has one element called NAME in the place of the list.

    Args:
        data: the document.
        limit: bytes.

    Raises:
        TooLargeError, XmlError: as `xml.parse_xml`, for the whole message.
    """
    start, end = data.find(_FIRST), data.rfind(_LAST) + len(_LAST)
    length, rest = end - start, len(data) - (end - start)
    is_worth_it = length >= LENGTH_MIN and rest <= length * REST_MAX
    if start < 0 or not is_worth_it or not xml.is_utf8(data):
        return xml.parse_xml(data, limit=limit), None
    xml.check_size(data, limit=limit)
    # Whatever is odd is read as one, which also says what is wrong with it; nothing of the first
    # try is in memory any more by then.
    return _divided(data, start, end) or (xml.parse_xml(data, limit=limit), None)


def _divided(data: bytes, start: int, end: int) -> tuple[Element, Apart] | None:
    before, after = memoryview(data)[:start], memoryview(data)[end:]
    hashed = hashlib.blake2b(before, digest_size=16)
    hashed.update(after)
    # It stands where the list was, and no message can hold its own digest: where the parser finds
    # it as an element, it would have found the list as elements too, not in a comment or as text.
    mark = hashed.hexdigest()
    tag = f'<{NAME} mark="{mark}"/>'.encode()
    try:
        root = xml.parse_exactly(b"".join((before, tag, after)))
        return (root, Apart(data[start:end])) if _is_marked(root, mark) else None
    except XmlError:
        return None


def _is_marked(root: Element, mark: str) -> bool:
    content = root.find("CONTENT")
    found = () if content is None else content.findall(NAME)
    return len(found) == 1 and found[0].get("mark") == mark
