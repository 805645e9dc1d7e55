"""The digest of a joined package, in every form that agents know.

Source: Download.pm:check_digest (hex in lower case, base64 without padding).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from deploy_agent.wire.errors import FieldError


class DigestAlgorithm(StrEnum):
    """DIGEST_ALGO. Only MD5 is verified by every OCS agent."""

    MD5 = "MD5"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


class DigestEncoding(StrEnum):
    """DIGEST_ENCODE."""

    HEXA = "Hexa"
    BASE64 = "Base64"


_LENGTHS = {DigestAlgorithm.MD5: 16, DigestAlgorithm.SHA1: 20, DigestAlgorithm.SHA256: 32}


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest with its algorithm and spelling.

    Attributes:
        algorithm: which hash.
        raw: the hash's bytes.
        encoding: how `text` spells them.
    """

    algorithm: DigestAlgorithm
    raw: bytes
    encoding: DigestEncoding = DigestEncoding.HEXA

    @property
    def text(self) -> str:
        """DIGEST as agents expect it: lower-case hex, or base64 without padding."""
        if self.encoding is DigestEncoding.HEXA:
            return self.raw.hex()
        return base64.b64encode(self.raw).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str, algorithm: str, encoding: str) -> "Digest":
        """Read the three attributes of an info file, in any case, padded or not.

        Raises:
            FieldError: an unknown algorithm or encoding, or a text that is no such digest.
        """
        try:
            which = DigestAlgorithm(algorithm.upper().replace("-", ""))
        except ValueError:
            raise FieldError("DIGEST_ALGO", f"unknown: {algorithm[:40]!r}") from None
        spelling = _encoding(encoding)
        raw = _decode(text.strip(), spelling)
        if len(raw) != _LENGTHS[which]:
            raise FieldError("DIGEST", f"{len(raw)} bytes long, {which} has {_LENGTHS[which]}")
        return cls(which, raw, spelling)

    def matches(self, raw: bytes) -> bool:
        """Whether `raw` is this digest."""
        return hmac.compare_digest(self.raw, raw)


class Hasher:
    """Several digests of one stream in one pass."""

    def __init__(self, algorithms: Iterable[DigestAlgorithm]) -> None:
        # MD5 and SHA1 are OCS's; what we trust is SHA256 (contract.md 4).
        self._hashes = {
            which: hashlib.new(which.value.lower(), usedforsecurity=False)
            for which in set(algorithms)
        }
        self.length = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next piece of the stream."""
        self.length += len(piece)
        for each in self._hashes.values():
            each.update(piece)

    def raw(self, algorithm: DigestAlgorithm) -> bytes:
        """Return the hash of what was taken so far."""
        return self._hashes[algorithm].digest()


def _encoding(text: str) -> DigestEncoding:
    for each in DigestEncoding:
        if text.lower() == each.value.lower():
            return each
    if text.lower() == "hex":
        return DigestEncoding.HEXA
    raise FieldError("DIGEST_ENCODE", f"unknown: {text[:40]!r}")


def _decode(text: str, encoding: DigestEncoding) -> bytes:
    try:
        if encoding is DigestEncoding.HEXA:
            return bytes.fromhex(text)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise FieldError("DIGEST", f"not {encoding}: {text[:80]!r}") from None
