import gzip
import tracemalloc
import zlib

import pytest

from deploy_agent.wire.envelope import Envelope, pack, unpack
from deploy_agent.wire.errors import FramingError, TooLargeError

MESSAGE = b"<REQUEST><QUERY>PROLOG</QUERY></REQUEST>"


@pytest.mark.parametrize("envelope", Envelope)
def test_a_message_comes_back_with_its_envelope(envelope: Envelope) -> None:
    assert unpack(pack(MESSAGE, envelope)) == (MESSAGE, envelope)


@pytest.mark.parametrize("level", range(10))
def test_every_zlib_level_is_recognised(level: int) -> None:
    assert unpack(zlib.compress(MESSAGE, level)) == (MESSAGE, Envelope.ZLIB)


def test_gzip_of_another_program_is_read() -> None:
    assert unpack(gzip.compress(MESSAGE, mtime=0)) == (MESSAGE, Envelope.GZIP)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"  \n", b"\xef\xbb\xbf\n "])
def test_plain_xml_may_begin_with_a_mark_or_spaces(start: bytes) -> None:
    assert unpack(start + MESSAGE) == (start + MESSAGE, Envelope.PLAIN)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"hello, world", "neither"),
        (zlib.compress(MESSAGE)[:-5], "cut short"),
        (zlib.compress(MESSAGE)[:-1], "cut short"),
        (gzip.compress(MESSAGE, mtime=0)[:-1], "cut short"),
        (b"\x1f\x8bgarbage that is no gzip", "not gzip"),
        (b"\x78\x9cgarbage that is no zlib", "not zlib"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(FramingError, match=reason):
        unpack(body)


def test_a_message_of_exactly_the_limit_passes() -> None:
    assert unpack(zlib.compress(b"a" * 1000), limit=1000)[0] == b"a" * 1000
    with pytest.raises(TooLargeError):
        unpack(zlib.compress(b"a" * 1001), limit=1000)
    with pytest.raises(TooLargeError):
        unpack(b"<" * 1001, limit=1000)


def test_a_bomb_is_never_inflated_beyond_the_limit() -> None:
    bomb = zlib.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            unpack(bomb, limit=1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
