"""Makes archives for tests: good ones, and those that no honest tool makes."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping

LONG = "folder/" * 30 + "file"


def tar(members: Mapping[str, bytes | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed tar; a name ending in / is a folder, a TarInfo is taken as it is."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content, io.BytesIO(b"\0" * content.size))
                continue
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mode = 0o755
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def tar_gz(members: Mapping[str, bytes | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar.gz."""
    return gzip.compress(tar(members, form), 1)


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A member of a tar that is no ordinary file."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    info.size = size
    return info


def zip_(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip; a name ending in / is a folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def zip_special(name: str, kind: int, content: bytes = b"") -> bytes:
    """A zip made on Unix with one entry of a kind such as `stat.S_IFLNK`."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, content)
    return file.getvalue()


def zip_link(name: str, target: str) -> bytes:
    """A zip with one symbolic link."""
    return zip_special(name, stat.S_IFLNK, target.encode())
