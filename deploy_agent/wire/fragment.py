"""Fragments: their names, how a package is cut, and the list of their digests.

Source: features.md 2 (names from 1, byte concatenation); contract.md 4 (fragments.sha256).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploy_agent.wire import terms
from deploy_agent.wire.errors import FieldError

FRAGMENTS_FILE = "fragments.sha256"
INFO_FILE = "info"

_ID = re.compile(r"[0-9]{10}\Z", re.ASCII)
_LEGACY_ID = re.compile(r"[0-9]{1,20}\Z", re.ASCII)
_LINE = re.compile(rb"([0-9a-f]{64}) [ *](.+)\Z")


def check_package_id(text: str) -> str:
    """Return `text` when it is a package id as our server makes them: 10 decimal digits.

    Raises:
        FieldError: it is not.
    """
    if not _ID.match(text) or int(text) > terms.PACKAGE_ID_MAX:
        raise FieldError("ID", f"not a package id: {text[:40]!r}")
    return text


def check_foreign_package_id(text: str) -> str:
    """Return `text` when any OCS server may use it as a package id: digits only.

    Our agent makes folders of this name, so nothing but digits passes.

    Raises:
        FieldError: it is not.
    """
    if not _LEGACY_ID.match(text):
        raise FieldError("ID", f"not a package id: {text[:40]!r}")
    return text


def fragment_name(package_id: str, number: int) -> str:
    """Return the file name of fragment `number`, counted from 1."""
    return f"{package_id}-{number}"


@dataclass(frozen=True, slots=True)
class FragmentPlan:
    """How a package of `size` bytes is cut: pieces of `fragment_size`, the last one smaller.

    Attributes:
        size: bytes of the package; 0 means that there is no file.
        fragment_size: bytes, at least 1.
    """

    size: int
    fragment_size: int

    def __post_init__(self) -> None:
        if self.size < 0 or self.fragment_size < 1:
            raise ValueError(f"cannot cut {self.size} bytes into pieces of {self.fragment_size}")

    @classmethod
    def by_count(cls, size: int, count: int) -> "FragmentPlan":
        """Return the plan with pieces of ceil(size / count); there may be fewer than `count`."""
        if count < 1:
            raise ValueError(f"cannot cut into {count} pieces")
        return cls(size, max(1, -(-size // count)))

    @property
    def count(self) -> int:
        """How many fragments there are."""
        return -(-self.size // self.fragment_size)

    def length(self, number: int) -> int:
        """Return the bytes of fragment `number`, counted from 1."""
        if not 1 <= number <= self.count:
            raise ValueError(f"there is no fragment {number} of {self.count}")
        return min(self.fragment_size, self.size - (number - 1) * self.fragment_size)


@dataclass(frozen=True, slots=True)
class FragmentList:
    """What fragments.sha256 says: the SHA-256 of each fragment, in order.

    Attributes:
        package_id: whose fragments.
        digests: raw SHA-256 of fragment 1, 2, ...
    """

    package_id: str
    digests: tuple[bytes, ...]

    def lines(self) -> Iterator[bytes]:
        """Yield the file's lines, as sha256sum(1) writes and reads them.

        Shape: b"9f86d0...0a08  1800000001-1" and a newline.
        """
        return fragment_lines(self.package_id, self.digests)

    @classmethod
    def parse(cls, data: bytes, package_id: str, count: int) -> "FragmentList":
        """Read the list of `count` fragments of package `package_id`.

        Raises:
            FieldError: a line is off, or fragments are missing or too many.
        """
        found: dict[bytes, bytes] = {}
        for line in data.splitlines():
            parts = _LINE.match(line)
            if parts is None:
                raise FieldError(FRAGMENTS_FILE, f"not a line of sha256sum: {line[:80]!r}")
            found[parts.group(2)] = bytes.fromhex(parts.group(1).decode("ascii"))
        names = [fragment_name(package_id, n).encode("ascii") for n in range(1, count + 1)]
        if set(found) != set(names):
            raise FieldError(FRAGMENTS_FILE, f"does not list exactly the {count} fragments")
        return cls(package_id, tuple(found[name] for name in names))


def fragment_lines(package_id: str, digests: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of fragments.sha256 for `digests` in order, without holding them all."""
    for number, raw in enumerate(digests, 1):
        yield f"{raw.hex()}  {fragment_name(package_id, number)}\n".encode("ascii")
