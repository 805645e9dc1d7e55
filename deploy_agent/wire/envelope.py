"""The compression around a message; a reply goes back the way its request came.

Source: Ocsinventory.pm:handler, System.pm:_inflate; vectors/agent-01-*.zlib.
"""

import zlib
from enum import Enum

from deploy_agent.wire import terms
from deploy_agent.wire.errors import FramingError, TooLargeError

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class Envelope(Enum):
    """How a message was compressed."""

    ZLIB = "zlib"
    GZIP = "gzip"
    PLAIN = "plain"


_WINDOW = {Envelope.ZLIB: zlib.MAX_WBITS, Envelope.GZIP: 16 + zlib.MAX_WBITS}


def unpack(body: bytes, *, limit: int = terms.MESSAGE_MAX) -> tuple[bytes, Envelope]:
    """Return the XML inside `body` and how it was compressed.

    Args:
        body: as received.
        limit: bytes that the inflated message may have; nothing beyond is ever inflated.

    Raises:
        TooLargeError: the message is longer than `limit`.
        FramingError: empty, cut, or neither zlib, gzip nor XML.
    """
    envelope = _recognise(body)
    if envelope is Envelope.PLAIN:
        if len(body) > limit:
            raise TooLargeError(f"the message has {len(body)} bytes, more than {limit}")
        return body, envelope
    inflater = zlib.decompressobj(_WINDOW[envelope])
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise FramingError(f"the body is not {envelope.value}: {error}") from error
    if len(data) > limit:
        raise TooLargeError(f"the message inflates to more than {limit} bytes")
    if not inflater.eof:
        raise FramingError(f"the {envelope.value} body is cut short")
    return data, envelope


def is_longer(body: bytes, size: int) -> bool:
    """Whether the message inside `body` has more than `size` bytes; no more are inflated."""
    try:
        unpack(body, limit=size)
    except TooLargeError:
        return True
    except FramingError:
        return False
    return False


def pack(data: bytes, envelope: Envelope = Envelope.ZLIB) -> bytes:
    """Return `data` compressed as `envelope` says."""
    if envelope is Envelope.PLAIN:
        return data
    deflater = zlib.compressobj(wbits=_WINDOW[envelope])
    return deflater.compress(data) + deflater.flush()


def _recognise(body: bytes) -> Envelope:
    if not body:
        raise FramingError("the body is empty")
    if body.startswith(_GZIP_MAGIC):
        return Envelope.GZIP
    if body.removeprefix(_BOM).lstrip()[:1] == b"<":
        return Envelope.PLAIN
    # RFC 1950: deflate in the low nibble, header divisible by 31.
    if len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0:
        return Envelope.ZLIB
    raise FramingError("the body is neither zlib, gzip nor XML")
