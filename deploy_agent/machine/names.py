"""Says which names and links of an archive stay inside the folder it is unpacked into. Pure."""

import os
import re

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.archives import shown

DEPTH_MAX = 128  # folders in a name; rmtree and others count on a bound

_DRIVE = re.compile(r"[A-Za-z]:")
# What Windows forbids in a name, and its devices, which are files in every folder there.
_WINDOWS_NAME = re.compile(
    r'[<>:"|?*\x00-\x1f]|[. ]\Z|\A(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|\Z)', re.IGNORECASE
)


def name_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a name in an archive; () for the tree itself.

    Raises:
        UnpackFailed: it is absolute, has `..`, or cannot be a name here.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or _DRIVE.match(name) or ".." in parts:
        raise UnpackFailed(
            f"'{shown(name)}' in the archive lies outside the package's folder",
            "Build the package from an archive with relative names",
        )
    if len(parts) > DEPTH_MAX:
        raise UnpackFailed(f"a name in the archive has more than {DEPTH_MAX} folders")
    if "\0" in name or (os.name == "nt" and any(_WINDOWS_NAME.search(part) for part in parts)):
        raise UnpackFailed(
            f"'{shown(name)}' in the archive cannot be a file's name here", "Rename it"
        )
    return parts


def check_link(name: str, parts: tuple[str, ...], target: str) -> None:
    """Refuse a symbolic link that could lead out of the tree.

    Args:
        name: the link's, for the message.
        parts: the link's name in parts.
        target: where it points to.

    Raises:
        UnpackFailed: it could.
    """
    steps = [step for step in target.replace("\\", "/").split("/") if step not in ("", ".")]
    ups = next((i for i, step in enumerate(steps) if step != ".."), len(steps))
    absolute = target.startswith(("/", "\\")) or _DRIVE.match(target)
    if not target or absolute or ups > len(parts) - 1 or ".." in steps[ups:]:
        raise UnpackFailed(
            f"the link '{shown(name)}' in the archive points outside, to '{shown(target)}'",
            "Make it relative, or let a script of the package make the link",
        )
