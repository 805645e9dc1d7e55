"""Changing a published package behind the server's back, as a broken disk or a bad mirror would."""

import hashlib
from pathlib import Path

from lxml import etree


def alter_info(folder: Path, **attributes: str | None) -> None:
    """Set attributes of the info file in ``folder``; None removes one."""
    root = etree.fromstring((folder / "info").read_bytes())
    for name, value in attributes.items():
        if value is None:
            root.attrib.pop(name, None)
        else:
            root.set(name, value)
    (folder / "info").write_bytes(etree.tostring(root, encoding="UTF-8"))


def flip_a_bit(path: Path) -> None:
    """Change one bit in the middle; the length stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replace_content(folder: Path, content: bytes) -> None:
    """Make the package one fragment of ``content``, with every digest right."""
    package_id = folder.name
    for fragment in folder.glob(f"{package_id}-*"):
        fragment.unlink()
    (folder / f"{package_id}-1").write_bytes(content)
    listed = f"{hashlib.sha256(content).hexdigest()}  {package_id}-1\n".encode()
    (folder / "fragments.sha256").write_bytes(listed)
    alter_info(
        folder,
        FRAGS="1",
        DIGEST=hashlib.md5(content).hexdigest(),
        X_SHA256=hashlib.sha256(content).hexdigest(),
        X_FRAGMENTS_SHA256=hashlib.sha256(listed).hexdigest(),
        X_FRAGMENT_SIZE=str(len(content)),
    )
