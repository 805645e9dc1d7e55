"""Tells kinds of files apart by their first bytes."""

from enum import StrEnum

from deploy_server.domain.errors import SpecError

HEAD = 512  # bytes that `recognise` wants to see


class Kind(StrEnum):
    """What a file is; the value is how people name it."""

    ZIP = "zip"
    TAR_GZ = "tar.gz"
    FOREIGN = "foreign archive"
    OTHER = "other"


# An empty zip has no first file, only the end of its directory.
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"Rar!\x1a\x07": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"LZIP": "compressed by lzip",
    b"\x1f\x9d": "compressed by compress",
    b"PK\x07\x08": "one part of a zip in several parts",
}
_SUITS = {
    "windows": (Kind.ZIP,),
    "linux": (Kind.TAR_GZ,),
    "macos": (Kind.TAR_GZ,),
    "any": (Kind.ZIP, Kind.TAR_GZ),
}


def recognise(head: bytes) -> Kind:
    """Return what a file is that begins with `head`, its first `HEAD` bytes or all of them."""
    if head.startswith(_ZIP):
        return Kind.ZIP
    if head.startswith(_GZIP):
        return Kind.TAR_GZ
    return Kind.FOREIGN if _foreign_name(head) else Kind.OTHER


def accept(head: bytes, os: str) -> Kind:
    """Return the kind of an archive that begins with `head` and suits `os`.

    Raises:
        SpecError: it suits not, or is none; field `file`.
    """
    kind = recognise(head)
    wanted = " or ".join(_SUITS[os])
    if not head:
        raise SpecError("file", "the file is empty", "Choose the one that you meant")
    if kind is Kind.FOREIGN:
        raise _foreign(head, wanted)
    if kind is Kind.OTHER:
        raise SpecError(
            "file",
            f"the file is no {wanted} archive, and agents unpack nothing else",
            f"Make a {wanted} of it, or have it wrapped into one (--wrap; a tick in the form)",
        )
    if kind not in _SUITS[os]:
        raise SpecError(
            "file",
            f"the file is a {kind}, and agents on {os} get {wanted}",
            f"Make a {wanted} of the same content, or choose another operating system",
        )
    return kind


def accept_single(head: bytes, os: str) -> Kind:
    """Return into which kind of archive a file is wrapped that begins with `head`.

    Raises:
        SpecError: it is empty, or an archive that agents do not unpack; field `file`.
    """
    if not head:
        raise SpecError("file", "the file is empty", "Choose the one that you meant")
    if recognise(head) is Kind.FOREIGN:
        raise _foreign(head, " or ".join(_SUITS[os]))
    return Kind.ZIP if os == "windows" else Kind.TAR_GZ


def _foreign(head: bytes, wanted: str) -> SpecError:
    return SpecError(
        "file",
        f"the file is {_foreign_name(head)}, which agents cannot unpack",
        f"Unpack it and make a {wanted} of its content",
    )


def _foreign_name(head: bytes) -> str:
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar":
        return "a tar that is not compressed"
    if head[2:4] == b"-l" and head[6:7] == b"-":
        return "an LHA archive"
    return ""
