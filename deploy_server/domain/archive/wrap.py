"""Makes archives as streams; most of all one of a single file."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from deploy_server.domain.archive.recognise import Kind

_MODE = 0o755  # what is wrapped may be the program to launch
_SAMPLE = 1024 * 1024  # bytes
_WORTHWHILE = 0.9  # of its size; installers are compressed already
_ZIP64_FROM = 2**31  # bytes


def wrap(
    blocks: Iterable[bytes], kind: Kind, name: str, length: int, now: datetime
) -> Iterator[bytes]:
    """Yield an archive that holds one executable file.

    Args:
        blocks: the file's bytes.
        kind: zip or tar.gz.
        name: of the file inside; a bare name.
        length: bytes of all blocks together.
        now: the file's time.
    """
    pieces = iter(blocks)
    first = next(pieces, b"")
    sample = first[:_SAMPLE]
    level = 6 if len(zlib.compress(sample, 1)) < len(sample) * _WORTHWHILE else 0
    everything = _chain(first, pieces)
    if kind is Kind.ZIP:
        return zip_stream([(name, everything)], level, now, length)
    return _tar_gz(everything, name, length, level, now)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _tar_gz(
    blocks: Iterator[bytes], name: str, length: int, level: int, now: datetime
) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = length, _MODE, int(now.timestamp())
    deflater = zlib.compressobj(level, wbits=16 + zlib.MAX_WBITS)
    yield deflater.compress(member.tobuf(tarfile.PAX_FORMAT))
    for block in blocks:
        yield deflater.compress(block)
    padding = -length % tarfile.BLOCKSIZE
    yield deflater.compress(bytes(padding + 2 * tarfile.BLOCKSIZE)) + deflater.flush()


def zip_stream(
    members: Iterable[tuple[str, Iterable[bytes]]],
    level: int,
    now: datetime,
    length: int | None = None,
) -> Iterator[bytes]:
    """Yield a zip of `members`, each a name and its bytes.

    Args:
        members: in order; each is read when its turn comes.
        level: of compression, 0 to 9.
        now: the time of every file.
        length: bytes of the largest file where the caller knows it.
    """
    sink = _Sink()
    # What needs no zip64 has none: old agents' unpackers may not know it.
    wide = length is None or length >= _ZIP64_FROM
    with zipfile.ZipFile(sink, "w") as archive:
        for name, blocks in members:
            with archive.open(_zip_member(name, level, now), "w", force_zip64=wide) as file:
                for block in blocks:
                    file.write(block)
                    yield sink.take()
    yield sink.take()


def _zip_member(name: str, level: int, now: datetime) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, now.timetuple()[:6])
    member.create_system = 3  # Unix, so that the mode counts
    member.external_attr = (0o100000 | _MODE) << 16
    # Level 0 and not "stored": the sizes stand behind the data here, and unpackers that read
    # from the front find the end of what is stored only by guessing.
    member.compress_type = zipfile.ZIP_DEFLATED
    member._compresslevel = level  # type: ignore[attr-defined]
    return member


class _Sink(io.RawIOBase):
    """Keeps what zipfile writes until it is taken; it cannot go back to change a header."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
