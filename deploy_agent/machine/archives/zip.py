"""Reads the entries of a zip."""

import struct
import zipfile
from collections.abc import Iterator
from typing import IO

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.archives.entry import DAMAGED, Entry, Kind, reading, shown

LINK_MAX = 4096  # bytes of a symbolic link's target

_END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_DIRECTORY_BYTES = 256  # of a zip's central directory, for each entry that is allowed
_UNIX = 3  # ZipInfo.create_system of archives with Unix modes


def zip_entries(archive: IO[bytes], max_files: int) -> Iterator[Entry]:
    """Yield what is in `archive`, in the order of its directory.

    Args:
        archive: a seekable file.
        max_files: bounds how much of the directory is read.

    Raises:
        UnpackFailed: damaged, or something that cannot be unpacked.
    """
    _check_directory_size(archive, max_files * _DIRECTORY_BYTES)
    with reading():
        opened = zipfile.ZipFile(archive)
    with opened:
        for info in opened.infolist():
            yield _zip_entry(opened, info)


def _check_directory_size(archive: IO[bytes], limit: int) -> None:
    """Refuse a central directory that would fill the memory; zipfile reads it whole."""
    length = archive.seek(0, 2)
    archive.seek(max(0, length - _END_OF_DIRECTORY.size - 0xFFFF))
    tail = archive.read()
    archive.seek(0)
    at = tail.rfind(_END_MAGIC)
    if at < 0 or len(tail) - at < _END_OF_DIRECTORY.size:
        raise UnpackFailed("the archive is damaged: the end of the zip is missing", DAMAGED)
    size = _END_OF_DIRECTORY.unpack_from(tail, at)[5]
    if size == 0xFFFFFFFF:  # the real number stands in the zip64 record
        size = _zip64_directory_size(tail, at)
    if size > limit:
        raise UnpackFailed("the archive has too many entries", "Split the package")


def _zip64_directory_size(tail: bytes, end: int) -> int:
    at = tail.rfind(b"PK\x06\x06", 0, end)
    if at < 0 or len(tail) - at < 48:
        raise UnpackFailed("the archive is damaged: the zip64 record is missing", DAMAGED)
    return int.from_bytes(tail[at + 40 : at + 48], "little")


def _zip_entry(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    # Old Windows tools wrote backslashes, against the format; nothing else means a folder there.
    name = info.filename.replace("\\", "/")
    attributes = info.external_attr >> 16 if info.create_system == _UNIX else 0
    mode = attributes & 0o777
    kind = attributes & 0o170000
    if name.endswith("/") or kind == 0o040000:
        return Entry(name, Kind.FOLDER, mode or 0o755)
    if kind not in (0, 0o100000, 0o120000):
        raise UnpackFailed(f"'{shown(name)}' in the archive is a device or a pipe", "Leave it out")
    _check_method(name, info)
    with reading():
        content = opened.open(info)
    if kind == 0o120000:
        with content, reading():
            target = content.read(LINK_MAX).decode()
        return Entry(name, Kind.SYMLINK, mode, target=target)
    return Entry(name, Kind.FILE, mode or 0o644, size=info.file_size, content=content)


def _check_method(name: str, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 1:
        raise UnpackFailed(
            f"'{shown(name)}' in the archive is encrypted", "Make it without a password"
        )
    # The memory that the other methods need is chosen by the archive.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnpackFailed(
            f"'{shown(name)}' in the archive is compressed by method {info.compress_type}",
            "Make the zip with the usual method, Deflate",
        )
