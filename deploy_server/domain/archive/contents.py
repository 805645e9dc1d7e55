"""What an archive may contain; the same rules for zip and tar.gz.

They are our agent's own (deploy_agent/machine/unpack.py), told before thousands of agents find
out: names stay inside the folder, links too, nothing comes twice, no devices, no bombs.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from deploy_server.domain.errors import SpecError

GIB = 1024**3
DEPTH_MAX = 128  # folders in a name
_SHOWN = 5  # names that a message lists

_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_NAME = re.compile(
    r'[<>:"|?*\x00-\x1f]|[. ]\Z|\A(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|\Z)', re.IGNORECASE
)
_WINDOWS_PROGRAMS = ("", ".exe", ".com", ".bat", ".cmd")  # what cmd.exe finds without its ending


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become.

    Attributes:
        max_entries: of any kind.
        max_bytes: of all files together.
        max_ratio: of the files' bytes to the archive's; counts from `ratio_from` bytes on.
        ratio_from: bytes below which no ratio is suspicious.
    """

    max_entries: int = 200_000
    max_bytes: int = 64 * GIB
    max_ratio: int = 200
    ratio_from: int = GIB

    def allowed_bytes(self, archive_bytes: int | None) -> int:
        """Return what an archive of this size may become; None is a size not known yet."""
        if archive_bytes is None:
            return self.max_bytes
        return min(self.max_bytes, max(self.ratio_from, self.max_ratio * archive_bytes))


class EntryKind(Enum):
    """What an entry of an archive is."""

    FILE = auto()
    FOLDER = auto()
    SYMLINK = auto()
    HARDLINK = auto()


@dataclass
class Contents:
    """Judges the entries of one archive in their order.

    Attributes:
        os: the system that the package is for.
        launch: the file that has to be there; None where nothing is launched.
        archive_bytes: size of the archive, None where it is not known yet.
        limits: what it may become.
        entries: how many there were so far.
        unpacked: bytes of all files so far.
    """

    os: str
    launch: str | None = None
    archive_bytes: int | None = None
    limits: Limits = field(default_factory=Limits)
    entries: int = 0
    unpacked: int = 0
    _files: set[int] = field(default_factory=set)
    _links: set[int] = field(default_factory=set)
    _folders: set[int] = field(default_factory=set)
    _last_folder: tuple[str, ...] = ()
    _top: list[str] = field(default_factory=list)
    _launch_found: bool = False

    def add(self, name: str, kind: EntryKind, size: int = 0, target: str = "") -> None:
        """Judge the next entry.

        Args:
            name: with `/` between folders.
            kind: what it is.
            size: of a file, bytes.
            target: of a link.

        Raises:
            SpecError: agents would refuse it; field `file`.
        """
        self.entries += 1
        self.unpacked += size
        self._check_size()
        parts = self._parts(name)
        if kind is EntryKind.FOLDER:
            self._add_folders(name, parts)
            return
        if not parts:
            raise refusal(f"{shown(name)} is no name of a file", "Build the archive again")
        self._add_folders(name, parts[:-1])
        if kind is EntryKind.SYMLINK:
            _check_link(name, len(parts), target)
        elif kind is EntryKind.HARDLINK and self._key(self._parts(target)) not in self._files:
            raise refusal(
                f"{shown(name)} is a link to {shown(target)}, which does not come before it",
                "Put the file itself there",
            )
        self._add_file(name, parts, self._links if kind is EntryKind.SYMLINK else self._files)

    def add_notes(self, size: int) -> None:
        """Count bytes that belong to no file; they cost time too.

        Raises:
            SpecError: there are too many; field `file`.
        """
        self.unpacked += size
        self._check_size()

    def finish(self) -> None:
        """Judge the archive as a whole, now that every entry was there.

        Raises:
            SpecError: field `file`; or `target`, where what is launched is not in it.
        """
        if not self.entries:
            raise SpecError("file", "the archive is empty", "Put something into it")
        self._check_size()
        if self.launch is not None and not self._launch_found:
            held = ", ".join(self._top) or "no file, only folders"
            raise SpecError(
                "target",
                f"there is no {shown(self.launch)} at the top of the archive, and it is launched",
                f"Add it, or give another name. At its top there is: {held}",
            )

    def _check_size(self) -> None:
        if self.entries > self.limits.max_entries:
            raise refusal(f"it has more than {self.limits.max_entries} entries", "Split it")
        allowed = self.limits.allowed_bytes(self.archive_bytes)
        if self.unpacked > allowed:
            raise refusal(
                f"it becomes more than {allowed // 1024**2} MiB when it is unpacked",
                "Split it, or look whether it is what it should be",
            )

    def _parts(self, name: str) -> tuple[str, ...]:
        windows = self.os in ("windows", "any")
        slashes = name.replace("\\", "/") if windows else name
        parts = tuple(part for part in slashes.split("/") if part not in ("", "."))
        if slashes.startswith("/") or _DRIVE.match(name) or ".." in parts:
            raise refusal(
                f"{shown(name)} lies outside the folder that it is unpacked into",
                "Build the archive with relative names",
            )
        if len(parts) > DEPTH_MAX:
            raise refusal(f"{shown(name)} has more than {DEPTH_MAX} folders", "Nest them less")
        if "\0" in name or (windows and any(_WINDOWS_NAME.search(part) for part in parts)):
            raise refusal(f"{shown(name)} cannot be the name of a file there", "Rename it")
        return parts

    def _add_folders(self, name: str, parts: tuple[str, ...]) -> None:
        """Remember a folder and those above it; nothing else can have their names."""
        if parts == self._last_folder:
            return
        for depth in range(1, len(parts) + 1):
            key = self._key(parts[:depth])
            if key in self._files or key in self._links:
                raise _twice(name)
            self._folders.add(key)
        if len(self._folders) > self.limits.max_entries:
            raise refusal(f"it has more than {self.limits.max_entries} folders", "Split it")
        self._last_folder = parts

    def _add_file(self, name: str, parts: tuple[str, ...], where: set[int]) -> None:
        key = self._key(parts)
        if key in self._files or key in self._links or key in self._folders:
            raise _twice(name)
        where.add(key)
        if len(parts) == 1:
            if len(self._top) < _SHOWN:
                self._top.append(shown(parts[0]))
            self._launch_found = self._launch_found or self._is_launched(parts[0])

    def _key(self, parts: tuple[str, ...]) -> int:
        """Return a name in 8 bytes: 200,000 names would take a lot of memory."""
        name = "/".join(parts)
        return hash(name.casefold() if self.os in ("windows", "any") else name)

    def _is_launched(self, name: str) -> bool:
        if self.launch is None:
            return False
        if self.os != "windows":
            return name == self.launch
        endings = (self.launch + ending for ending in _WINDOWS_PROGRAMS)
        return name.casefold() in {ending.casefold() for ending in endings}


def shown(name: str) -> str:
    """Return a name from an archive as people may see it: printable, at most 100 characters."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:100])
    return f"'{text}'"


def refusal(message: str, hint: str) -> SpecError:
    """Return the error for something that an archive must not have."""
    return SpecError("file", f"agents would refuse the archive: {message}", hint)


def damaged(why: str) -> SpecError:
    """Return the error for an archive that cannot be read to its end."""
    return SpecError(
        "file", f"the archive is damaged: {why}", "Build it again, or upload it again in full"
    )


def _twice(name: str) -> SpecError:
    return refusal(f"{shown(name)} is in it twice", "Build the archive again")


def _check_link(name: str, depth: int, target: str) -> None:
    """Refuse a symbolic link that could lead out: `..` only in front, and not too many."""
    steps = [step for step in target.replace("\\", "/").split("/") if step not in ("", ".")]
    ups = next((i for i, step in enumerate(steps) if step != ".."), len(steps))
    absolute = target.startswith(("/", "\\")) or _DRIVE.match(target)
    if not target or absolute or ups > depth - 1 or ".." in steps[ups:]:
        raise refusal(
            f"the link {shown(name)} points outside, to {shown(target)}",
            "Make it relative, or let a script of the package make the link",
        )
