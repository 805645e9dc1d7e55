"""Bytes made to hurt a parser: the wire answers each with its own error, fast and in little memory.

The same bytes against the whole server are in test_hostile_server.py.
"""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from deploy_agent.wire.envelope import unpack
from deploy_agent.wire.errors import FieldError, FramingError, TooLargeError, WireError, XmlError
from deploy_agent.wire.fragment import FragmentList
from deploy_agent.wire.info import parse_info
from deploy_agent.wire.messages import parse_request
from deploy_agent.wire.replies import InventoryReply, PrologReply
from deploy_agent.wire.terms import MESSAGE_MAX, XML_DEPTH_MAX
from tests.support.hostile import PROLOG, deep, entity_documents, mutations
from tests.support.vectors import FOLDER

MiB = 1024 * 1024
Read = Callable[[bytes], object]

READERS: list[Read] = [parse_request, parse_info, PrologReply.parse, InventoryReply.parse]
readers = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__qualname__)


def read_or_refused(read: Read, data: bytes) -> bool:
    """True when ``data`` is read, or refused with a reason; every other exception comes out."""
    try:
        read(data)
    except WireError as error:
        return bool(str(error))
    return True


@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress], ids=["zlib", "gzip"])
def test_a_bomb_is_refused_without_being_inflated(squeeze: Callable[[bytes], bytes]) -> None:
    bomb = squeeze(bytes(256 * MiB))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        unpack(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MESSAGE_MAX + MiB


def test_a_bomb_inside_a_bomb_is_inflated_once() -> None:
    inner = zlib.compress(bytes(MiB))
    assert unpack(zlib.compress(inner))[0] == inner


def test_the_limit_itself_is_allowed() -> None:
    body = b"<" + b"x" * (MESSAGE_MAX - 1)
    assert len(unpack(zlib.compress(body))[0]) == MESSAGE_MAX
    with pytest.raises(TooLargeError):
        unpack(zlib.compress(body + b"x"))
    with pytest.raises(TooLargeError):
        unpack(body + b"x")


@readers
@pytest.mark.parametrize("name", entity_documents())
def test_a_doctype_is_refused(read: Read, name: str) -> None:
    with pytest.raises(XmlError) as caught:
        read(entity_documents()[name])
    assert "root:" not in str(caught.value)


@readers
@pytest.mark.parametrize("depth", [XML_DEPTH_MAX + 1, 255, 300, 100_000])
def test_depth_has_an_end(read: Read, depth: int) -> None:
    with pytest.raises((XmlError, TooLargeError)):
        read(deep(depth))


def test_every_cut_of_a_message_is_refused() -> None:
    for length in range(len(PROLOG) - 1):
        with pytest.raises(WireError):
            parse_request(PROLOG[:length])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252", "iso-8859-15"]
)
def test_an_encoding_that_is_declared_is_read(encoding: str) -> None:
    text = "<?xml version='1.0' encoding='{}'?>" + PROLOG.decode().replace("host-a", "hôst-à")
    declared = encoding.removesuffix("-sig")
    request = parse_request(text.format(declared).encode(encoding))
    assert request.device_id.startswith("hôst-à")


@pytest.mark.parametrize("declared", ["UTF-7", "klingon", "base64", "rot13", "", "UTF-8\x00"])
def test_an_encoding_that_nobody_knows_is_refused_or_harmless(declared: str) -> None:
    document = f'<?xml version="1.0" encoding="{declared}"?>'.encode() + PROLOG
    assert read_or_refused(parse_request, document)


def test_bytes_that_only_claim_to_be_utf8_are_read_as_windows_1252() -> None:
    request = parse_request(PROLOG.replace(b"host-a", b"h\xf4st"))
    assert request.device_id.startswith("hôst-")


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\x78\x9c", b"\x1f\x8b", b"PK\x03\x04" + bytes(64)]
)
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(FramingError):
        unpack(body)


def test_the_recorded_garbage_is_refused() -> None:
    with pytest.raises(FramingError):
        unpack((FOLDER / "probe-bad-not-zlib.request.bin").read_bytes())
    for name in ("probe-bad-deviceid-form", "probe-bad-unknown-query"):
        with pytest.raises(FieldError):
            parse_request((FOLDER / f"{name}.request.xml").read_bytes())


@pytest.mark.parametrize(
    "document",
    [
        b"<DOWNLOAD/>",
        b'<DOWNLOAD ID="../../etc" PRI="5" ACT="STORE" FRAGS="0" PATH="/x"/>',
        b'<DOWNLOAD ID="1" PRI="11" ACT="STORE" FRAGS="0" PATH="/x"/>',
        b'<DOWNLOAD ID="1" PRI="-1" ACT="STORE" FRAGS="0" PATH="/x"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="DELETE" FRAGS="0" PATH="/x"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="STORE" FRAGS="99999999999" PATH="/x"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="EXECUTE" FRAGS="0"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="LAUNCH" FRAGS="0" NAME=" "/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="STORE" FRAGS="1" PATH="/x" DIGEST="zz" DIGEST_ALGO="MD5"'
        b' DIGEST_ENCODE="Hexa"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="STORE" FRAGS="0" PATH="/x" PROTO="FILE"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="STORE" FRAGS="0" PATH="/x" X_SHA256="00"/>',
        b'<DOWNLOAD ID="1" PRI="5" ACT="STORE" FRAGS="0" PATH="/x" X_SUCCESS_CODES="1;2"/>',
        "<DOWNLOAD ID='١٢٣' PRI='5' ACT='STORE' FRAGS='0' PATH='/x'/>".encode(),
    ],
)
def test_an_info_file_with_a_wrong_field_names_it(document: bytes) -> None:
    with pytest.raises(FieldError) as caught:
        parse_info(document)
    assert caught.value.field in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"0" * 64 + b"  ../../etc/passwd",
        b"0" * 64 + b"  1800000001-2",
        (b"0" * 64 + b"  1800000001-1\n") + (b"0" * 64 + b"  1800000001-2\n"),
        b"\xff" * 100,
        b"",
    ],
)
def test_a_list_of_fragments_names_exactly_those_there_are(data: bytes) -> None:
    with pytest.raises(FieldError):
        FragmentList.parse(data, "1800000001", 1)


def test_mutated_documents_are_read_or_refused_by_name() -> None:
    """2,000 changed documents, each through every reader: a WireError or an answer, no more."""
    dice = random.Random(20261121)
    for document in mutations(2000, dice, compressed=False):
        for read in READERS:
            assert read_or_refused(read, document)


def test_mutated_bodies_are_unpacked_or_refused_by_name() -> None:
    dice = random.Random(1121)
    for body in mutations(2000, dice, compressed=True):
        assert read_or_refused(unpack, body)
