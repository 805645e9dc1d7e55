"""Reads a tar.gz piece by piece while it arrives; keeps nothing but the header at hand."""

import tarfile
import zlib
from collections.abc import Generator

from deploy_server.domain.archive.contents import (
    Contents,
    EntryKind,
    damaged,
    refusal,
    shown,
)

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 256 * 1024  # bytes inflated at a time; a quarter of the time that 1 MiB takes
_NOTES_MAX = 1024 * 1024  # bytes of long names and pax records of one entry; zeros at the end
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_DECIDING = ("path", "linkpath", "size")  # pax records that change what an entry is

Steps = Generator[None, bytes, None]
Taking = Generator[None, bytes, bytes]


class TarCheck:
    """Checks a tar.gz that is fed to it; every byte of it, to gzip's own check sum at the end."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._between = False  # two gzip members, or in the zeros after the last one
        self._fed = 0
        self._buffer = bytearray()
        self._unread = 0  # bytes of a file that are still to be passed over
        self._at_entry = True  # a cut here is only seen in the missing check sum
        self._steps = self._walk()
        next(self._steps)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file.

        Raises:
            SpecError: damaged, or something in it that agents refuse.
        """
        self._fed += len(data)
        left = bytes(data)
        while left:
            if self._between:
                left = left.lstrip(b"\0")
                if not left:
                    return
                self._inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
                self._between = False
            left = self._inflate(left)

    def finish(self) -> None:
        """Say that the file ends here.

        Raises:
            SpecError: too early, or something is missing in it.
        """
        if not self._between:
            raise damaged("it ends too early")
        if not self._at_entry or self._buffer or self._unread:
            raise damaged("the tar inside ends too early")
        self._contents.archive_bytes = self._fed
        self._contents.finish()

    def _inflate(self, data: bytes) -> bytes:
        try:
            piece = self._inflater.decompress(data, _PIECE)
        except zlib.error as error:
            raise damaged(_reason(error)) from error
        passed = min(self._unread, len(piece))
        self._unread -= passed
        if passed < len(piece):
            self._steps.send(piece[passed:])
        if self._inflater.eof:
            self._between = True
            return self._inflater.unused_data
        return self._inflater.unconsumed_tail

    def _walk(self) -> Steps:
        """Go from header to header; long names and pax records are for the entry after them."""
        records: dict[str, str] = {}
        notes = 0  # bytes that belong to no file, since the last entry
        while True:
            self._at_entry = not notes
            block = yield from self._take(_BLOCK)
            if not block.strip(b"\0"):
                break
            self._at_entry = False
            header = _header(block)
            if header.type in (*_PAX, tarfile.XGLTYPE, *tarfile.GNU_TYPES):
                notes += _BLOCK + header.size
                self._contents.add_notes(_BLOCK + header.size)
                if notes > _NOTES_MAX:
                    raise damaged("a name or note in it has more than 1 MiB")
                found = yield from self._read_records(header)
                records = {**found, **records}  # the first one counts, as for tarfile
            else:
                _apply(records, header)
                records, notes = {}, 0
                self._add(header)
                if header.type in _REGULAR:
                    self._pass_over(_padded(header.size))
        self._at_entry = True
        yield from self._read_end()

    def _read_records(self, header: tarfile.TarInfo) -> Generator[None, bytes, dict[str, str]]:
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse(header.name)
        data = (yield from self._take(_padded(header.size)))[: header.size]
        if header.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": _text(data.partition(b"\0")[0])}
        if header.type == tarfile.GNUTYPE_LONGLINK:
            return {"linkpath": _text(data.partition(b"\0")[0])}
        records = _pax_records(data)
        if header.type != tarfile.XGLTYPE:
            return records
        if any(key in records for key in _DECIDING):
            raise refusal("it gives all its files one name or size", "Build it again with tar")
        return {}

    def _add(self, header: tarfile.TarInfo) -> None:
        if header.issym():
            self._contents.add(header.name, EntryKind.SYMLINK, target=header.linkname)
        elif header.islnk():
            self._contents.add(header.name, EntryKind.HARDLINK, target=header.linkname)
        elif header.isdir():
            self._contents.add(header.name, EntryKind.FOLDER)
        elif header.type in _REGULAR:
            self._contents.add(header.name, EntryKind.FILE, size=header.size)
        else:
            raise refusal(
                f"{shown(header.name)} is a device, a pipe or of an unknown kind", "Leave it out"
            )

    def _read_end(self) -> Steps:
        """After the end there is nothing but zeros, which fill the last record."""
        zeros = 0
        while True:
            if self._buffer.strip(b"\0"):
                raise refusal(
                    "it goes on after its end, so that agents would leave the rest out",
                    "Build one archive of everything instead of joining several",
                )
            zeros += len(self._buffer)
            self._buffer.clear()
            if zeros > _NOTES_MAX:
                raise damaged("there are more than 1 MiB of zeros after its end")
            self._buffer += yield

    def _take(self, count: int) -> Taking:
        while len(self._buffer) < count:
            self._buffer += yield
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _pass_over(self, count: int) -> None:
        here = min(count, len(self._buffer))
        del self._buffer[:here]
        self._unread = count - here


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise damaged(f"there is no tar in it ({error})") from error
    if header.size < 0:
        raise damaged("a file in it has a size below zero")
    return header


def _apply(records: dict[str, str], header: tarfile.TarInfo) -> None:
    header.name = records.get("path", header.name)
    header.linkname = records.get("linkpath", header.linkname)
    if any(key.startswith("GNU.sparse.") for key in records):
        raise _sparse(header.name)
    if "size" in records:
        if not records["size"].isdecimal() or len(records["size"]) > 18:
            raise damaged("a file in it has a size that is no number")
        header.size = int(records["size"])


def _sparse(name: str) -> Exception:
    return refusal(f"{shown(name)} is a sparse file", "Make the archive without tar's --sparse")


def _pax_records(data: bytes) -> dict[str, str]:
    """Read pax records. Shape: b"20 path=some/file.txt" and a newline; 20 counts all of it."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 9)
        number = data[at:space] if space > at else b""
        end = at + int(number) if number.isdigit() else at
        key, equals, value = data[space + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(data):
            raise damaged("a pax record in it cannot be read")
        records[_text(key)] = _text(value[:-1])
        at = end
    return records


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _reason(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2]
