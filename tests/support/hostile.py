"""Documents and bodies made to hurt a parser, and random mutations of the recordings."""

import random
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy

from lxml import etree

from tests.support.vectors import FOLDER

DEVICE_ID = "host-a-2026-11-21-10-24-07"
PROLOG = f"<REQUEST><DEVICEID>{DEVICE_ID}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>".encode()


def deep(depth: int) -> bytes:
    """A document of ``depth`` elements inside each other."""
    return b"<a>" * depth + b"</a>" * depth


def entity_documents() -> dict[str, bytes]:
    """The classics of XML: every one needs a DOCTYPE, and a reader that obeys it is lost."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = f"<REQUEST><DEVICEID>{{}}-{DEVICE_ID}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"
    return {
        name: (doctype + body.format(use)).encode()
        for name, doctype, use in [
            ("billion-laughs", f'<!DOCTYPE R [<!ENTITY l0 "lol">{laughs}]>', "&l9;"),
            ("quadratic", f'<!DOCTYPE R [<!ENTITY a "{"a" * 50_000}">]>', "&a;" * 1000),
            ("file", '<!DOCTYPE R [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
            ("network", '<!DOCTYPE R [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]>', "&x;"),
            ("parameter", '<!DOCTYPE R [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>', "x"),
            ("external-dtd", '<!DOCTYPE R SYSTEM "file:///etc/passwd">', "x"),
            ("harmless", "<!DOCTYPE R>", "x"),
        ]
    }


def _flip(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _replace(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] = dice.choice(b"\x00<>&\"'\xff\xfe0-9%;]")


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _remove(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    del data[start : start + dice.randrange(1, 64)]


def _repeat(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    data[start:start] = data[start : start + dice.randrange(1, 64)] * dice.randrange(1, 20)


def _insert(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    data[start:start] = dice.choice(
        [
            b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
            b"&x;",
            b"&#0;",
            b"<![CDATA[",
            b"]]>",
            b"<?php ?>",
            b"9" * 400,
            b"-1",
            b"1e999",
            b"<a>" * 80,
            "é\u202e東\U0001f600".encode(),
            b"'; DROP TABLE computer; --",
            b"\x00\x00",
        ]
    )


_WAYS: list[Callable[[bytearray, random.Random], None]] = [
    _flip,
    _replace,
    _cut,
    _remove,
    _repeat,
    _insert,
]


def mutate(data: bytes, dice: random.Random) -> bytes:
    """``data`` changed in one to four random ways."""
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 5)):
        if changed:
            dice.choice(_WAYS)(changed, dice)
    return bytes(changed)


def mutations(count: int, dice: random.Random, *, compressed: bool) -> Iterator[bytes]:
    """``count`` changed recordings: bodies as sent when ``compressed``, else their documents.

    The 340 KB inventory is left out: changing the small ones finds more in the same time.
    """
    pattern = "*.request.zlib" if compressed else "*.re*.xml"
    pool = [path.read_bytes() for path in sorted(FOLDER.glob(pattern))]
    pool += [path.read_bytes() for path in sorted(FOLDER.glob("constructed/*.xml"))]
    pool = [each for each in pool if 0 < len(each) < 30_000]
    for number in range(count):
        document = dice.choice(pool)
        packed = compressed and not document.startswith(b"<")
        inside = zlib.decompress(document) if packed else document
        # Two of three reach past the envelope, one of three past the parser.
        if number % 3 == 0:
            yield mutate(document, dice)
        else:
            changed = mutate(inside, dice) if number % 3 == 1 else reshaped(inside, dice)
            yield zlib.compress(changed) if packed else changed


_VALUES = [
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "9" * 400,
    str(2**63),
    "nan",
    "x" * 70_000,
    "'; DROP TABLE computer; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "é\u202e東\U0001f600\u0000".replace("\u0000", "\ufffd"),
    "%s%n{0}${x}",
    DEVICE_ID,
    "INVENTORY",
    "DOWNLOAD",
    "1800000001",
]


def _change_values(root: etree._Element, dice: random.Random) -> None:
    elements = list(root.iter())
    for _ in range(dice.randrange(1, 6)):
        each = dice.choice(elements)
        if each.attrib and dice.random() < 0.5:
            each.set(dice.choice(list(each.attrib)), dice.choice(_VALUES))
        else:
            each.text = dice.choice(_VALUES)


def _move_elements(root: etree._Element, dice: random.Random) -> None:
    elements = list(root.iter())
    one, other = dice.choice(elements), dice.choice(elements)
    if one is not root and one not in other.iterancestors() and one is not other:
        other.append(one)
    else:
        other.append(deepcopy(dice.choice(elements[1:] or elements)))


def _rename(root: etree._Element, dice: random.Random) -> None:
    elements = list(root.iter())
    dice.choice(elements).tag = dice.choice(elements).tag


def reshaped(document: bytes, dice: random.Random) -> bytes:
    """``document`` as well-formed XML with values, places and names that nobody expects."""
    root = etree.fromstring(document)
    for _ in range(dice.randrange(1, 4)):
        dice.choice([_change_values, _change_values, _move_elements, _rename])(root, dice)
    return etree.tostring(root)
