"""Reads tar.gz and zip archives as a sequence of entries; writes nothing.

What an archive claims is hostile until checked: this package bounds what reading costs (headers,
central directory, compression methods whose memory cannot be bounded) and turns whatever the
standard library raises on damaged bytes into `UnpackFailed`. Where entries may be written is
the business of `unpack`.
"""

from collections.abc import Iterator
from typing import IO

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.archives.entry import Entry, Kind, read_piece, shown
from deploy_agent.machine.archives.tar import tar_entries
from deploy_agent.machine.archives.zip import zip_entries

__all__ = ["Entry", "Kind", "entries", "read_piece", "shown"]

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def entries(archive: IO[bytes], *, max_files: int) -> Iterator[Entry]:
    """Yield what is in `archive`, in its order.

    The kind is told by the first bytes, never by a name.

    Args:
        archive: a seekable file at its beginning.
        max_files: bounds how much of a zip's directory is read.

    Raises:
        UnpackFailed: neither tar.gz nor zip, damaged, or of a kind that cannot be unpacked.
    """
    magic = archive.read(4)
    archive.seek(0)
    if magic.startswith(_GZIP):
        yield from tar_entries(archive)
    elif magic in _ZIP:
        yield from zip_entries(archive, max_files)
    else:
        raise UnpackFailed(
            f"the archive begins with {magic.hex(' ') or 'nothing'}: it is no tar.gz and no zip",
            "Build the package from a tar.gz or a zip",
        )
