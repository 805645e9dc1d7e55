"""Archives to build packages from, made in memory: names to contents."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

Content = bytes | str


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def tar_gz(path: Path, files: Mapping[str, Content]) -> Path:
    """A tar.gz at ``path``; level 1, so that big random files cost little."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(_bytes(content))
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(_bytes(content)))
    return path


def zip_file(path: Path, files: Mapping[str, Content]) -> Path:
    """A zip at ``path``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, _bytes(content))
    return path
