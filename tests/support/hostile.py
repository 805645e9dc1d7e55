"""Documents and bodies made to hurt a parser, and random mutations of the recordings."""

import random
import zlib
from collections.abc import Callable, Iterator

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
        if compressed and number % 3 == 0 and not document.startswith(b"<"):
            # Change what is inside and compress it again: this reaches past the envelope.
            yield zlib.compress(mutate(zlib.decompress(document), dice))
        else:
            yield mutate(document, dice)
