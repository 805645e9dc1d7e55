"""What the server builds a package from, the agent unpacks: two readers, one opinion.

Archives are changed at random, so that few of them are good and most are nearly good.
"""

import random
import tarfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from deploy_agent.machine.unpack import unpack
from deploy_server.domain.archive import Contents, Kind, TarCheck, check_zip, recognise
from deploy_server.domain.errors import SpecError
from tests.support.archive_bytes import LONG, special, tar, zip_, zip_link

_FILES = {"a": b"1" * 600, "d/": b"", "d/e": b"2" * 100}
_LINKS = {
    "l": special("l", tarfile.SYMTYPE, "d/e"),
    "h": special("h", tarfile.LNKTYPE, "a"),
}
TARS = [
    tar({**_FILES, LONG: b"x", **_LINKS}, form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)
]
ZIPS = [zip_({**_FILES, "é": b"x"}), zip_link("x/y", "../z"), zip_({"a": b"1" * 60}, 0)]
TELLING = [0, 1, 46, 47, 48, 49, 50, 51, 53, 55, 76, 92, 120, 255]
PIECES = [b"../", b"/", b"\0", b"0000000", b"d/e"]


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few bytes replaced, removed or repeated."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(made))
        width = chance.choice([1, 2, 512])
        match chance.randrange(5):
            case 0 | 1:
                made[at] = chance.choice(TELLING)
            case 2:
                del made[at : at + width]
            case 3:
                made[at:at] = made[at : at + width]
            case _:
                piece = chance.choice(PIECES)
                made[at : at + len(piece)] = piece
    return bytes(made)


def with_checksums(data: bytes) -> bytes:
    """The tar with right checksums in its headers, so that more than they are looked at."""
    made = bytearray(data)
    for at in range(0, len(made) - 511, 512):
        block = made[at : at + 512]
        if block[257:262] == b"ustar":
            total = sum(block[:148]) + 8 * 32 + sum(block[156:])
            made[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(made)


def a_tar(chance: random.Random) -> bytes:
    data = changed(chance.choice(TARS), chance)
    return zlib.compress(with_checksums(data) if chance.random() < 0.8 else data, 1, wbits=31)


def a_zip(chance: random.Random) -> bytes:
    return changed(chance.choice(ZIPS), chance)


def is_accepted(data: bytes) -> bool:
    kind = recognise(data[:512])
    try:
        if kind is Kind.TAR_GZ:
            check = TarCheck(Contents("linux"))
            check.feed(data)
            check.finish()
        elif kind is Kind.ZIP:
            check_zip(BytesIO(data), Contents("any"))
        else:
            return False
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("make", [a_tar, a_zip])
def test_the_agent_unpacks_what_the_server_accepts(
    make: Callable[[random.Random], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy_agent.machine.unpack._sync", lambda tree: None)  # it takes long
    chance = random.Random(20261121)
    accepted = 0
    for number in range(300):
        data = make(chance)
        if is_accepted(data):
            accepted += 1
            (tmp_path / "archive").write_bytes(data)
            try:
                unpack(tmp_path / "archive", tmp_path / f"tree{number}")
            except Exception as error:
                raise AssertionError(f"{number}: {error}; the archive: {data.hex()}") from error
    assert 15 < accepted < 285, "most changes should be refused, and not all"
