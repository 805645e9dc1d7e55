"""Reads the entries of a tar.gz, as a stream."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from typing import IO, Self

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.archives.entry import (
    DAMAGED,
    PIECE,
    Entry,
    Kind,
    Readable,
    read_piece,
    reading,
    shown,
)

BLOCKS = 32 * 1024  # bytes that tarfile reads ahead; it copies them for each header
HEADERS_MAX = 1024 * 1024  # bytes of tar headers (long names, pax records) for one entry


def tar_entries(archive: IO[bytes]) -> Iterator[Entry]:
    """Yield what is in `archive`, in its order.

    Raises:
        UnpackFailed: damaged, or something that cannot be unpacked.
    """
    with gzip.GzipFile(fileobj=archive, mode="rb") as inflated:
        stream = _Metered(inflated)
        stream.allow(HEADERS_MAX)
        with reading():
            tar = tarfile.open(  # noqa: SIM115 - holds nothing but `inflated`
                fileobj=stream,
                mode="r|",
                tarinfo=_Header,
                bufsize=BLOCKS,
            )
        while True:
            stream.allow(HEADERS_MAX)
            with reading():
                member = tar.next()
            if member is None:
                break
            # tarfile keeps every header that it has seen; typeshed does not know the list.
            tar.members.clear()  # type: ignore[attr-defined]
            stream.allow(HEADERS_MAX + member.size)
            yield _tar_entry(tar, member)
        stream.allow(HEADERS_MAX)
        while read_piece(stream):  # gzip's own digest stands at its very end
            pass


def _tar_entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    mode = member.mode & 0o777
    if member.isdir():
        return Entry(member.name, Kind.FOLDER, mode)
    if member.issym():
        return Entry(member.name, Kind.SYMLINK, mode, target=member.linkname)
    if member.islnk():
        return Entry(member.name, Kind.HARDLINK, mode, target=member.linkname)
    if member.issparse():
        raise UnpackFailed(
            f"'{shown(member.name)}' is a sparse file in the archive",
            "Make the archive without tar's --sparse",
        )
    if not member.isreg():
        raise UnpackFailed(
            f"'{shown(member.name)}' in the archive is a device, a pipe or of an unknown kind",
            "Leave it out and build the package again",
        )
    with reading():
        content = tar.extractfile(member)
    return Entry(member.name, Kind.FILE, mode, size=member.size, content=content)


class _Header(tarfile.TarInfo):
    """A tar header that is either good or an error.

    tarfile takes a damaged header in the middle for the end of the archive and leaves the rest
    out without a word.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.strip(b"\0"):
                raise UnpackFailed(f"the archive is damaged: {error}", DAMAGED) from error
            raise  # blocks of zeros: the real end
        if header.size < 0:
            raise UnpackFailed("the archive is damaged: a size below zero", DAMAGED)
        return header


class _Metered(io.BufferedIOBase):
    """A stream that refuses to give more than it was allowed to since the last entry.

    tarfile reads long names, pax records and sparse maps whole, however long they claim to be.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._left = 0

    def allow(self, size: int) -> None:
        self._left = size + 2 * PIECE  # tarfile reads ahead by a piece

    def read(self, size: int | None = PIECE, /) -> bytes:
        data = self._stream.read(PIECE if size is None else size)
        self._left -= len(data)
        if self._left < 0:
            raise UnpackFailed("the archive has too many bytes that belong to no file", DAMAGED)
        return data
