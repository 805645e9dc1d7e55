"""How much room a disk has, told without what takes a runner long to import."""

import os
from pathlib import Path


def free_bytes(place: Path) -> int:
    """Return how many bytes fit on the disk of `place`, an existing folder."""
    if hasattr(os, "statvfs"):
        status = os.statvfs(place)
        return status.f_bavail * status.f_frsize
    import shutil  # Windows

    return shutil.disk_usage(place).free
