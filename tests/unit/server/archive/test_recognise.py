import pytest

from deploy_server.domain.archive import Kind, accept, accept_single, recognise
from deploy_server.domain.errors import SpecError
from tests.support.archive_bytes import tar, tar_gz, zip_

TAR_GZ = tar_gz({"a": b"1"})
ZIP = zip_({"a": b"1"})
FOREIGN = {
    "rar": b"Rar!\x1a\x07\x01\x00",
    "rar4": b"Rar!\x1a\x07\x00",
    "7z": b"7z\xbc\xaf\x27\x1c\0\4",
    "tar": tar({"a": b"1"}),
    "bzip2": b"BZh91AY&SY",
    "xz": b"\xfd7zXZ\x00\x00",
    "zstd": b"\x28\xb5\x2f\xfd\x24",
    "lha": b"\x21\x00-lh5-\x00",
    "spanned zip": b"PK\x07\x08PK\x03\x04",
}
OTHER = [b"MZ\x90", b"\xed\xab\xee\xdb", b"!<arch>\n", b"#!/bin/sh\n", b"\xd0\xcf\x11\xe0", b"x"]


@pytest.mark.parametrize(
    ("head", "os", "kind"),
    [
        (ZIP, "windows", Kind.ZIP),
        (ZIP, "any", Kind.ZIP),
        (TAR_GZ, "linux", Kind.TAR_GZ),
        (TAR_GZ, "macos", Kind.TAR_GZ),
        (TAR_GZ, "any", Kind.TAR_GZ),
        (zip_({}), "windows", Kind.ZIP),
    ],
)
def test_each_system_gets_its_archive(head: bytes, os: str, kind: Kind) -> None:
    assert accept(head[:512], os) is kind


@pytest.mark.parametrize(
    ("head", "os", "says"),
    [
        (ZIP, "linux", "the file is a zip, and agents on linux get tar.gz"),
        (ZIP, "macos", "agents on macos get tar.gz"),
        (TAR_GZ, "windows", "the file is a tar.gz, and agents on windows get zip"),
        (b"", "any", "the file is empty"),
        (b"\x7fELF", "any", "no zip or tar.gz archive"),
    ],
)
def test_another_file_is_refused(head: bytes, os: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        accept(head, os)
    assert caught.value.field == "file"
    assert caught.value.hint


@pytest.mark.parametrize("head", FOREIGN.values(), ids=FOREIGN)
def test_foreign_archives_are_refused_wrapped_or_not(head: bytes) -> None:
    assert recognise(head[:512]) is Kind.FOREIGN
    for look in (accept, accept_single):
        with pytest.raises(SpecError, match="cannot unpack") as caught:
            look(head[:512], "linux")
        assert "tar.gz" in caught.value.hint


@pytest.mark.parametrize("head", OTHER)
def test_a_single_file_has_to_be_wrapped(head: bytes) -> None:
    with pytest.raises(SpecError, match="wrap"):
        accept(head, "linux")
    assert accept_single(head, "linux") is Kind.TAR_GZ
    assert accept_single(head, "any") is Kind.TAR_GZ
    assert accept_single(head, "windows") is Kind.ZIP


def test_nothing_is_not_wrapped() -> None:
    with pytest.raises(SpecError, match="empty"):
        accept_single(b"", "linux")
