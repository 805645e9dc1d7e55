"""Archives as tests need them, good and evil."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return member(name, type=kind, linkname=target)


def tar_bytes(*members: Member, format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_gz(path: Path, *members: Member) -> Path:
    path.write_bytes(gzip.compress(tar_bytes(*members), 1))
    return path


def zip_of(
    path: Path, *entries: tuple[str, bytes, int], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = method
            opened.writestr(info, content)
    return path


def good_tar(path: Path) -> Path:
    return tar_gz(path, *(member(f"f{i}", os.urandom(3000)) for i in range(20)))


def good_zip(path: Path) -> Path:
    return zip_of(path, *((f"f{i}", os.urandom(3000), 0o644) for i in range(20)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
