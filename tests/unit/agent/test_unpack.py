"""Archives become trees: what is good arrives whole, what is bad ends with a code."""

import gzip
import io
import os
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.errors import CleanFailed, OutOfSpace, UnpackFailed
from deploy_agent.machine.unpack import Limits, unpack

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tar_bytes(*members: Member, format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_gz(path: Path, *members: Member) -> Path:
    path.write_bytes(gzip.compress(tar_bytes(*members), 1))
    return path


def zip_of(
    path: Path, *entries: tuple[str, bytes, int], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = method
            opened.writestr(info, content)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "package"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Where to unpack; beside it a file that must never change, and nothing new."""
    top = tmp_path / "agent"
    tree = top / "tree"
    top.mkdir()
    (top / "victim").write_text("victim")
    yield tree
    assert {path.name for path in top.iterdir()} <= {"tree", "victim"}
    assert (top / "victim").read_text() == "victim"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))


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


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return member(name, type=kind, linkname=target)


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


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_zip_methods_whose_memory_the_archive_chooses(
    method: int, archive: Path, tree: Path
) -> None:
    zip_of(archive, ("a", b"1" * 1000, 0o644), method=method)
    with pytest.raises(UnpackFailed, match=f"method {method}"):
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


def good_tar(path: Path) -> Path:
    return tar_gz(path, *(member(f"f{i}", os.urandom(3000)) for i in range(20)))


def good_zip(path: Path) -> Path:
    return zip_of(path, *((f"f{i}", os.urandom(3000), 0o644) for i in range(20)))


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
        command = ["tar", "-czSf", archive, f"--format={form}", "-C", tmp_path, "sparse"]
        subprocess.run(command, check=True)
        with pytest.raises(UnpackFailed, match="sparse"):
            unpack(archive, tree)


def test_limit_of_files(archive: Path, tree: Path) -> None:
    limits = Limits(max_files=3)
    tar_gz(archive, *(member(f"f{i}") for i in range(3)))
    unpack(archive, tree, limits=limits)
    for make in (
        lambda: tar_gz(archive, *(member(f"f{i}") for i in range(4))),
        lambda: zip_of(archive, *((f"f{i}", b"", 0) for i in range(4))),
    ):
        make()
        with pytest.raises(UnpackFailed, match="more than 3 entries"):
            unpack(archive, tree, limits=limits)


def test_limit_of_a_zips_directory(archive: Path, tree: Path) -> None:
    zip_of(archive, *((f"{i:0200}", b"", 0) for i in range(20)))
    with pytest.raises(UnpackFailed, match="too many entries"):
        unpack(archive, tree, limits=Limits(max_files=3))


def test_limit_of_bytes(archive: Path, tree: Path) -> None:
    tar_gz(archive, member("a", b"1" * 2000), member("b", b"1" * 2000))
    unpack(archive, tree, limits=Limits(max_bytes=4000))
    with pytest.raises(UnpackFailed, match="becomes more than"):
        unpack(archive, tree, limits=Limits(max_bytes=3999))


def test_compression_bombs(archive: Path, tree: Path) -> None:
    limits = Limits(ratio_from=1_000_000, max_ratio=20)
    unpack(tar_gz(archive, member("a", bytes(900_000))), tree, limits=limits)
    for bomb in (
        lambda: tar_gz(archive, member("a", bytes(30_000_000))),
        lambda: zip_of(archive, ("a", bytes(30_000_000), 0)),
    ):
        bomb()
        with pytest.raises(UnpackFailed, match="becomes more than"):
            unpack(archive, tree, limits=limits)
        assert sum(path.stat().st_size for path in tree.iterdir()) < 4_000_000


def test_headers_that_would_fill_the_memory(archive: Path, tree: Path) -> None:
    """A name of 100 MB, a pax record of 100 MB, and 100 MB of padding behind the end."""
    huge = bytes(100_000_000)
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, len(huge)
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(huge)
    for header in (name, pax):
        archive.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + huge, 1))
        with pytest.raises(UnpackFailed, match="belong to no file"):
            unpack(archive, tree)
    archive.write_bytes(gzip.compress(tar_bytes(member("a")) + huge, 1))
    with pytest.raises(UnpackFailed, match="belong to no file"):
        unpack(archive, tree)


def test_endless_chains_of_headers(archive: Path, tree: Path) -> None:
    pax = tarfile.TarInfo("pax")
    pax.type = tarfile.XHDTYPE
    archive.write_bytes(gzip.compress(pax.tobuf(tarfile.USTAR_FORMAT) * 3000))
    with pytest.raises(UnpackFailed):
        unpack(archive, tree)


def test_many_entries_cost_little_memory(archive: Path, tree: Path) -> None:
    import tracemalloc

    tar_gz(archive, *(member(f"f{i % 50}/{i}", b"x") for i in range(3000)))
    tracemalloc.start()
    try:
        unpack(archive, tree)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


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
