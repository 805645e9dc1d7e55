"""Reads a zip entry by entry, each against its check sum; keeps a piece of the directory."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from deploy_server.domain.archive.contents import (
    Contents,
    EntryKind,
    damaged,
    refusal,
    shown,
)

_PIECE = 256 * 1024  # bytes read or inflated at a time
_LINK_MAX = 4096  # bytes of a symbolic link's target
_DIRECTORY_BYTES = 256  # of the directory for each entry that is allowed

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_ENTRY_MAX = _CENTRAL.size + 3 * 0xFFFF
_STORED, _DEFLATED = 0, 8
_UNIX = 3  # who made the entry; then its attributes are a Unix mode
_ENCRYPTED = 0x41  # flags: by a password; by a certificate
_PATCHED = 0x20
_VERSION_MAX = 63  # of the format, times ten; what zipfile reads
_UTF8 = 0x800
_MASK32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says about one entry."""

    raw_name: bytes
    name: str
    version: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int  # Unix, with the kind; 0 from other systems


def check_zip(file: BinaryIO, contents: Contents) -> None:
    """Return when `file` is a zip that agents unpack; every byte of its files was read.

    Args:
        file: seekable.
        contents: judges what is in it.

    Raises:
        SpecError: damaged, or something in it that agents refuse.
    """
    length = file.seek(0, io.SEEK_END)
    contents.archive_bytes = length
    start, size = _find_directory(file, length)
    if size > contents.limits.max_entries * _DIRECTORY_BYTES:
        raise refusal(f"it has more than {contents.limits.max_entries} entries", "Split it")
    packed = 0
    for entry in _entries(file, start, size):
        packed += entry.packed
        if packed > length:
            raise damaged("its files overlap")
        _check_entry(file, entry, start, contents)
    contents.finish()


def _check_entry(file: BinaryIO, entry: _Entry, end: int, contents: Contents) -> None:
    _check_method(entry)
    content = _content(file, entry, end)
    kind = _kind(entry)
    if kind is EntryKind.SYMLINK:
        if entry.size > _LINK_MAX:
            raise refusal(f"{shown(entry.name)} is a link to a very long name", "Shorten it")
        target = b"".join(content).decode("utf-8", "surrogateescape")
        contents.add(entry.name, kind, target=target)
        return
    # The size that it claims counts before it is inflated, so that a bomb is never lit.
    contents.add(entry.name, kind, entry.size)
    for _ in content:
        pass


def _find_directory(file: BinaryIO, length: int) -> tuple[int, int]:
    """Return where the directory begins and its bytes; it ends where the end record begins."""
    tail_at = max(0, length - _END.size - _LOCATOR64.size - _END64.size - 0xFFFF)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise damaged("the end of the zip is missing")
    _, disk, first_disk, _, _, size, start, _ = _END.unpack_from(tail, at)
    if (disk, first_disk) not in ((0, 0), (0xFFFF, 0xFFFF)):
        raise refusal("it is one part of a zip in several parts", "Make it in one part")
    end = tail_at + at
    locator_at = at - _LOCATOR64.size
    if locator_at >= 0 and tail.startswith(b"PK\x06\x07", locator_at):
        record_at = locator_at - _END64.size
        if record_at < 0 or not tail.startswith(b"PK\x06\x06", record_at):
            raise damaged("the zip64 record is missing")
        *_, size, start = _END64.unpack_from(tail, record_at)
        end = tail_at + record_at
    if start + size != end:
        raise damaged("the directory of the zip is not where it should be")
    return start, size


def _entries(file: BinaryIO, start: int, size: int) -> Iterator[_Entry]:
    """Yield the directory's entries, reading a piece of it at a time."""
    at, end = start, start + size
    data, used = b"", 0
    while at < end:
        if len(data) - used < _ENTRY_MAX and at + len(data) - used < end:
            rest = data[used:]
            file.seek(at + len(rest))
            data, used = rest + file.read(min(_PIECE, end - at - len(rest))), 0
        entry, length = _parse_entry(data, used)
        used += length
        at += length
        yield entry
    if at != end:
        raise damaged("the directory of the zip is cut")


def _parse_entry(data: bytes, at: int) -> tuple[_Entry, int]:
    if len(data) - at < _CENTRAL.size or not data.startswith(b"PK\x01\x02", at):
        raise damaged("the directory of the zip cannot be read")
    fields = _CENTRAL.unpack_from(data, at)
    system, flags, method, crc = fields[2], fields[5], fields[6], fields[9]
    packed, size, name_length, extra_length, comment_length = fields[10:15]
    name_at = at + _CENTRAL.size
    raw_name = data[name_at : name_at + name_length]
    extra = data[name_at + name_length : name_at + name_length + extra_length]
    size, packed, offset = _zip64(extra, size, packed, fields[18])
    entry = _Entry(
        raw_name=raw_name,
        # Old Windows tools wrote backslashes, against the format; nothing else means a folder.
        name=_decode(raw_name, flags).replace("\\", "/"),
        version=fields[3],
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        offset=offset,
        mode=fields[17] >> 16 if system == _UNIX else 0,
    )
    return entry, _CENTRAL.size + name_length + extra_length + comment_length


def _zip64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Return size, packed size and offset; those that 32 bits cannot hold stand in `extra`."""
    wide = b""
    while len(extra) >= 4:
        tag, length = struct.unpack_from("<HH", extra)
        if tag == 1:
            wide = extra[4 : 4 + length]
        extra = extra[4 + length :]
    values = []
    for value in (size, packed, offset):
        if value == _MASK32:
            if len(wide) < 8:
                raise damaged("a zip64 record in it is cut")
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        values.append(value)
    return values[0], values[1], values[2]


def _decode(raw_name: bytes, flags: int) -> str:
    try:
        return raw_name.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise damaged("a name in it is not in UTF-8 although it says so") from error


def _kind(entry: _Entry) -> EntryKind:
    kind = entry.mode & 0o170000
    if entry.name.endswith("/") or kind == 0o040000:
        return EntryKind.FOLDER
    if kind == 0o120000:
        return EntryKind.SYMLINK
    if kind not in (0, 0o100000):
        raise refusal(f"{shown(entry.name)} is a device or a pipe", "Leave it out")
    return EntryKind.FILE


def _check_method(entry: _Entry) -> None:
    if entry.flags & _ENCRYPTED:
        raise refusal(f"{shown(entry.name)} is encrypted", "Make the zip without a password")
    if entry.flags & _PATCHED or entry.version > _VERSION_MAX:
        raise refusal(
            f"{shown(entry.name)} needs an unpacker that agents do not have",
            "Make the zip with another program",
        )
    if entry.method not in (_STORED, _DEFLATED):
        raise refusal(
            f"{shown(entry.name)} is compressed by method {entry.method}",
            "Make the zip with the usual method, Deflate",
        )


def _content(file: BinaryIO, entry: _Entry, end: int) -> Iterator[bytes]:
    """Yield the file of an entry piece by piece, and check it when it is through."""
    crc = length = 0
    packed = _packed(file, entry, end)
    for piece in packed if entry.method == _STORED else _inflated(packed, entry.name):
        crc = zlib.crc32(piece, crc)
        length += len(piece)
        if length > entry.size:
            break
        yield piece
    if length != entry.size:
        raise damaged(f"{shown(entry.name)} has another size than it should")
    if crc != entry.crc:
        raise damaged(f"{shown(entry.name)} does not fit its check sum")


def _packed(file: BinaryIO, entry: _Entry, end: int) -> Iterator[bytes]:
    file.seek(entry.offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise damaged(f"{shown(entry.name)} is not where the directory says")
    fields = _LOCAL.unpack(header)
    name_length, extra_length = fields[-2:]
    if file.read(name_length) != entry.raw_name or (fields[3] ^ entry.flags) & _UTF8:
        raise damaged(f"{shown(entry.name)} has two names")
    start = entry.offset + _LOCAL.size + name_length + extra_length
    if start + entry.packed > end:
        raise damaged(f"{shown(entry.name)} reaches into the directory")
    file.seek(start)
    left = entry.packed
    while left:
        piece = file.read(min(_PIECE, left))
        if not piece:
            raise damaged("it ends too early")
        left -= len(piece)
        yield piece


def _inflated(packed: Iterator[bytes], name: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        for data in packed:
            left = data
            while left and not inflater.eof:
                yield inflater.decompress(left, _PIECE)
                left = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise damaged(f"{shown(name)} cannot be inflated") from error
    if not inflater.eof:
        raise damaged(f"{shown(name)} ends too early")
