"""What is good arrives whole; what the machine lacks has its code."""

import gzip
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.errors import CleanFailed, OutOfSpace, UnpackFailed
from deploy_agent.machine.unpack import unpack
from tests.unit.agent.unpack.archives import (
    good_tar,
    member,
    mode,
    names,
    root_only,
    tar_bytes,
    tar_gz,
    zip_of,
)


def test_tar_gz_keeps_names_contents_and_modes(archive: Path, tree: Path) -> None:
    big = os.urandom(700_000)
    long = "x" * 90 + "/" + "y" * 200
    tar_gz(
        archive,
        member("./", type=tarfile.DIRTYPE, mode=0o755),
        member("./install.sh", b"#!/bin/sh\n", mode=0o755),
        member("private", b"secret", mode=0o600),
        member("readonly", b"", mode=0o444),
        member("data/é ü.bin", big),
        member("empty", type=tarfile.DIRTYPE, mode=0o750),
        member(long, b"long"),
        member(".hidden/.file", b"dot"),
    )
    unpack(archive, tree)
    assert (tree / "data/é ü.bin").read_bytes() == big
    assert (tree / long).read_bytes() == b"long"
    assert (tree / ".hidden/.file").read_bytes() == b"dot"
    assert [mode(tree / name) for name in ("install.sh", "private", "readonly", "empty")] == [
        0o755,
        0o600,
        0o444,
        0o750,
    ]
    assert mode(tree) == 0o700


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_every_tar_format(kind: int, archive: Path, tree: Path) -> None:
    name = "d" * 80 + "/" + "f" * 80
    archive.write_bytes(gzip.compress(tar_bytes(member(name, b"1"), format=kind)))
    unpack(archive, tree)
    assert (tree / name).read_bytes() == b"1"


def test_what_the_programs_tar_and_zip_make(tmp_path: Path, archive: Path, tree: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "sub/link").symlink_to("../run.sh")
    os.link(source / "run.sh", source / "sub/hard")
    subprocess.run(["tar", "-czf", archive, "-C", source, "."], check=True)
    unpack(archive, tree)
    assert names(tree) == ["run.sh", "sub", "sub/hard", "sub/link"]
    assert (tree / "sub/hard").samefile(tree / "run.sh")
    assert os.readlink(tree / "sub/link") == "../run.sh"
    archive.unlink()
    subprocess.run(["zip", "-qry", f"{archive}.zip", "."], cwd=source, check=True)
    unpack(Path(f"{archive}.zip"), tree)
    assert names(tree) == ["run.sh", "sub", "sub/hard", "sub/link"]
    assert mode(tree / "run.sh") == 0o755
    assert os.readlink(tree / "sub/link") == "../run.sh"


def test_the_kind_is_told_by_bytes_not_by_name(tmp_path: Path, tree: Path) -> None:
    zip_of(tmp_path / "a.tar.gz", ("z", b"zip", 0o644))
    unpack(tmp_path / "a.tar.gz", tree)
    assert names(tree) == ["z"]
    tar_gz(tmp_path / "b.zip", member("t", b"tar"))
    unpack(tmp_path / "b.zip", tree)
    assert names(tree) == ["t"]


def test_zip_modes(archive: Path, tree: Path) -> None:
    zip_of(archive, ("run", b"1", 0o100755), ("key", b"2", 0o600))
    unpack(archive, tree)
    assert [mode(tree / name) for name in ("run", "key")] == [0o755, 0o600]


def test_zip_made_on_windows(archive: Path, tree: Path) -> None:
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("dir\\sub\\setup.exe", "dir/empty/"):
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            info.external_attr = 0xFFFF0020  # not Unix modes, whatever stands there
            opened.writestr(info, b"")
    unpack(archive, tree)
    assert names(tree) == ["dir", "dir/empty", "dir/sub", "dir/sub/setup.exe"]
    assert mode(tree / "dir/sub/setup.exe") == 0o644


def test_an_archive_without_entries(archive: Path, tree: Path) -> None:
    tar_gz(archive)
    unpack(archive, tree)
    assert names(tree) == []
    zip_of(archive)
    unpack(archive, tree)
    assert names(tree) == []


def test_the_old_tree_is_gone(archive: Path, tree: Path) -> None:
    (tree / "old").mkdir(parents=True)
    unpack(tar_gz(archive, member("new")), tree)
    assert names(tree) == ["new"]


def test_setuid_setgid_and_sticky_bits_are_dropped(archive: Path, tree: Path) -> None:
    tar_gz(
        archive,
        member("su", b"x", mode=0o6755),
        member("d", type=tarfile.DIRTYPE, mode=0o7777),
    )
    unpack(archive, tree)
    assert mode(tree / "su") == 0o755
    assert mode(tree / "d") == 0o777
    zip_of(archive, ("su", b"x", 0o104755))
    unpack(archive, tree)
    assert mode(tree / "su") == 0o755


def test_folders_without_rights_still_take_their_files(archive: Path, tree: Path) -> None:
    tar_gz(archive, member("d", type=tarfile.DIRTYPE, mode=0), member("d/f", b"1", mode=0))
    unpack(archive, tree)
    assert (mode(tree / "d"), mode(tree / "d/f")) == (0o700, 0o400)


def test_an_archive_that_is_not_there(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(UnpackFailed, match="cannot be read"):
        unpack(tmp_path / "missing", tree)


def test_a_tree_that_cannot_be_made(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CleanFailed):
        unpack(good_tar(archive), tmp_path / "file/tree")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


@root_only
@pytest.mark.parametrize("size", [200_000, 5_000_000])
def test_a_full_disk(size: int, archive: Path, small_disk: Path) -> None:
    """Many small files fill it; one big file is refused before its first byte."""
    files = [member(f"f{i}", os.urandom(size)) for i in range(6_000_000 // size)]
    with pytest.raises(OutOfSpace) as caught:
        unpack(tar_gz(archive, *files), small_disk / "tree")
    assert caught.value.code == "ERR_OUT_OF_SPACE"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is only sync for all disks")
def test_only_the_disk_of_the_tree_is_waited_for(
    archive: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("a stick that somebody copies to would hold the agent")

    monkeypatch.setattr("os.sync", refuse)
    good_tar(archive)
    unpack(archive, tree)
    assert names(tree)


def test_a_system_without_syncfs_syncs_all(
    archive: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bool] = []
    monkeypatch.setattr("os.sync", lambda: called.append(True))
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    good_tar(archive)
    unpack(archive, tree)
    assert called == [True]
