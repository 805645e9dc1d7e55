"""The recorded exchanges of tests/vectors, and the comparison of XML as trees.

OCS's server writes elements and attributes in an order that is random per process, so nothing is
ever compared as text where it comes from there.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lxml import etree

FOLDER = Path(__file__).parents[1] / "vectors"
CONSTRUCTED = FOLDER / "constructed"

Tree = tuple[str, tuple[tuple[str, str], ...], str, tuple[Any, ...]]


@dataclass(frozen=True)
class Half:
    """A request or a response as it was recorded.

    Attributes:
        start_line: e.g. "POST /ocsinventory HTTP/1.1" or "HTTP/1.1 200 OK".
        headers: names in lower case.
        body: the bytes as sent, compressed where they were.
        xml: the document inside, b"" where there is none.
    """

    start_line: str
    headers: dict[str, str]
    body: bytes
    xml: bytes


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its response, by the name of its files."""

    name: str

    def __str__(self) -> str:
        return self.name

    @cached_property
    def request(self) -> Half:
        return self._half("request")

    @cached_property
    def response(self) -> Half:
        return self._half("response")

    @property
    def method(self) -> str:
        return self.request.start_line.split()[0]

    @property
    def path(self) -> str:
        return self.request.start_line.split()[1]

    @property
    def status(self) -> int:
        return int(self.response.start_line.split()[1])

    def _half(self, which: str) -> Half:
        stem = f"{self.name}.{which}"
        head = (FOLDER / f"{stem}.txt").read_bytes().decode("latin-1")
        start, *lines = [line for line in head.split("\r\n") if line]
        headers = dict(line.split(": ", 1) for line in lines)
        found = {each: self._read(f"{stem}.{each}") for each in ("zlib", "xml", "html", "bin")}
        return Half(
            start_line=start,
            headers={name.lower(): value for name, value in headers.items()},
            body=found["zlib"] or found["bin"] or found["html"] or found["xml"],
            xml=found["xml"],
        )

    @staticmethod
    def _read(name: str) -> bytes:
        path = FOLDER / name
        return path.read_bytes() if path.exists() else b""


def exchanges(prefix: str = "") -> list[Exchange]:
    """Every recorded exchange whose name begins with ``prefix``."""
    names = {path.name.removesuffix(".request.txt") for path in FOLDER.glob("*.request.txt")}
    return [Exchange(name) for name in sorted(names) if name.startswith(prefix)]


def posts() -> list[Exchange]:
    """The messages of agents that are in order: POSTs that OCS's server answered 200."""
    return [each for each in exchanges() if each.method == "POST" and each.status == 200]


def constructed() -> list[Path]:
    """The documents of tests/vectors/constructed."""
    return sorted(CONSTRUCTED.glob("*.xml"))


def tree(document: bytes | etree._Element) -> Tree:
    """The document without what carries no meaning: order, indentation, comments."""
    root = etree.fromstring(document) if isinstance(document, bytes) else document
    children = sorted(tree(child) for child in root if isinstance(child.tag, str))
    attributes = sorted((str(key), str(value)) for key, value in root.attrib.items())
    return (str(root.tag), tuple(attributes), (root.text or "").strip(), tuple(children))
