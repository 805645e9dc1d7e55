"""Files that are there whole or not at all, also after a power cut."""

import contextlib
import os
import tempfile
from pathlib import Path

from deploy_server.storage.owning import owner_for


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make `path` hold exactly `data`; whoever reads it sees the old file or the new one.

    It belongs to whom its folder belongs.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if owner := owner_for(path.parent):
                os.fchown(file.fileno(), *owner)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        # Also on Ctrl-C: a temporary file may hold half a private key.
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
