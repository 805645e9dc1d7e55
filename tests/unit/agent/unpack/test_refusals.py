"""What is bad ends with a code, and changes nothing outside."""

import gzip
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.unpack import unpack
from tests.unit.agent.unpack.archives import (
    Member,
    good_tar,
    good_zip,
    link,
    member,
    tar_bytes,
    tar_gz,
    zip_of,
)

EVIL: dict[str, list[Member]] = {
    "climbs": [member("../victim", b"evil")],
    "climbs in the middle": [member("a/../../victim", b"evil")],
    "absolute": [member("/tmp/tranche-evil", b"evil")],
    "link out": [link("a", "../victim")],
    "absolute link": [link("a", "/etc/passwd")],
    "through a link": [link("d", "."), member("d/x", b"evil")],
    "through a link made before": [
        member("sub", type=tarfile.DIRTYPE),
        link("sub/up", "../sub"),
        member("sub/up/x", b""),
    ],
    "file then link": [member("a", b"1"), link("a", "b")],
    "link then file": [link("a", "b"), member("a", b"1")],
    "twice": [member("a", b"1"), member("./a", b"2")],
    "file then folder": [member("a", b"1"), member("a/b", b"2")],
    "folder then file": [member("a/b", b"2"), member("a", b"1")],
    "hard link out": [link("a", "../victim", tarfile.LNKTYPE)],
    "absolute hard link": [link("a", "/etc/passwd", tarfile.LNKTYPE)],
    "hard link to nothing": [link("a", "b", tarfile.LNKTYPE)],
    "hard link to a link": [link("b", "c"), link("a", "b", tarfile.LNKTYPE)],
    "hard link to a folder": [member("b", type=tarfile.DIRTYPE), link("a", "b", tarfile.LNKTYPE)],
    "character device": [member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [member("disk", type=tarfile.BLKTYPE, devmajor=8)],
    "pipe": [member("pipe", type=tarfile.FIFOTYPE)],
    "unknown type": [member("odd", type=b"Z")],
    "the tree as a file": [member(".", b"evil")],
    "a name of 300 letters": [member("n" * 300, b"")],
    "too deep": [member("d/" * 200 + "f", b"")],
    # A NUL ends a name in a header, but not in a pax record.
    "a NUL": [member("a", b"", pax_headers={"path": "a\0b"})],
    "no character": [member("a", b"", pax_headers={"path": "\x1b[2J\n"}), member("/\x1b[2J\n")],
}


@pytest.mark.parametrize("members", EVIL.values(), ids=EVIL.keys())
def test_evil_tars_are_refused(members: list[Member], archive: Path, tree: Path) -> None:
    tar_gz(archive, *members)
    with pytest.raises(UnpackFailed) as caught:
        unpack(archive, tree)
    assert caught.value.code == "ERR_UNZIP"
    assert str(caught.value).isprintable()
    assert not Path("/tmp/tranche-evil").exists()


@pytest.mark.parametrize(
    ("name", "file_mode"),
    [
        ("../victim", 0o644),
        ("..\\victim", 0o644),
        ("/tmp/tranche-evil", 0o644),
        ("\\tmp\\x", 0o644),
        ("C:\\Windows\\x", 0o644),
        ("dev", 0o020644),
        ("pipe", 0o010644),
        ("link", 0o120777),  # its content, and so its target, is absolute
    ],
)
def test_evil_zips_are_refused(name: str, file_mode: int, archive: Path, tree: Path) -> None:
    zip_of(archive, (name, b"/etc/passwd", file_mode))
    with pytest.raises(UnpackFailed):
        unpack(archive, tree)


def test_zip_with_a_name_twice(archive: Path, tree: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        zip_of(archive, ("a", b"1", 0o644), ("a", b"2", 0o644))
    with pytest.raises(UnpackFailed, match="twice"):
        unpack(archive, tree)


def test_encrypted_zip(tmp_path: Path, archive: Path, tree: Path) -> None:
    (tmp_path / "f").write_text("secret")
    command = ["zip", "-q", "-P", "pw", f"{archive}.zip", "f"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(UnpackFailed, match="encrypted"):
        unpack(Path(f"{archive}.zip"), tree)


@pytest.mark.parametrize("content", [b"", b"PK", b"MZ\x90\x00", b"#!/bin/sh\n", b"\x1f\x8b", b"7z"])
def test_foreign_files(content: bytes, archive: Path, tree: Path) -> None:
    archive.write_bytes(content)
    with pytest.raises(UnpackFailed):
        unpack(archive, tree)


def test_gzip_without_a_tar_inside(archive: Path, tree: Path) -> None:
    archive.write_bytes(gzip.compress(b"hello\n" * 1000))
    with pytest.raises(UnpackFailed):
        unpack(archive, tree)


@pytest.mark.parametrize("make", [good_tar, good_zip])
def test_every_cut_is_noticed(make: Callable[[Path], Path], archive: Path, tree: Path) -> None:
    whole = make(archive).read_bytes()
    for length in [*range(0, len(whole), len(whole) // 40), len(whole) - 1, len(whole) - 8]:
        archive.write_bytes(whole[:length])
        with pytest.raises(UnpackFailed):
            unpack(archive, tree)


@pytest.mark.parametrize("make", [good_tar, good_zip])
def test_changed_bytes_are_noticed_or_harmless(
    make: Callable[[Path], Path], archive: Path, tree: Path
) -> None:
    whole = make(archive).read_bytes()
    noticed = 0
    for at in range(5, len(whole), len(whole) // 60):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            unpack(archive, tree)
        except UnpackFailed:
            noticed += 1
    assert noticed > 50  # a zip's dates and comments have no digest


def test_a_damaged_header_is_not_taken_for_the_end(archive: Path, tree: Path) -> None:
    raw = bytearray(tar_bytes(member("a", b"1" * 600), member("b", b"2" * 600)))
    second = 512 + 1024
    assert raw[second : second + 1] == b"b"
    raw[second + 100] ^= 1
    archive.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(UnpackFailed, match="damaged"):
        unpack(archive, tree)


def test_sizes_below_zero(archive: Path, tree: Path) -> None:
    in_header = tarfile.TarInfo("a")
    in_header.size = -512
    in_record = tar_bytes(member("a", pax_headers={"size": "-512"}))
    for raw in (in_header.tobuf(tarfile.GNU_FORMAT) + bytes(1024), in_record):
        archive.write_bytes(gzip.compress(raw))
        with pytest.raises(UnpackFailed):
            unpack(archive, tree)


def test_sparse_files(tmp_path: Path, archive: Path, tree: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    for form in ("gnu", "posix"):
        command = ["tar", "-czSf", str(archive), f"--format={form}", "-C", str(tmp_path), "sparse"]
        subprocess.run(command, check=True)
        with pytest.raises(UnpackFailed, match="sparse"):
            unpack(archive, tree)
