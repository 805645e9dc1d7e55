import contextlib
import gzip
import random
import tarfile
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_server.domain.archive import Contents, Limits, TarCheck
from deploy_server.domain.errors import SpecError
from tests.support.archive_bytes import LONG, special, tar, tar_gz

Members = Mapping[str, bytes | tarfile.TarInfo]


def check(data: bytes, contents: Contents | None = None, step: int = 1000) -> Contents:
    contents = contents or Contents("linux")
    looked = TarCheck(contents)
    for at in range(0, len(data), step):
        looked.feed(data[at : at + step])
    looked.finish()
    return contents


def refused(data: bytes, contents: Contents | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        check(data, contents)
    return caught.value


GOOD: dict[str, Members] = {
    "files and folders": {"./": b"", "a/": b"", "a/b.sh": b"echo", "c": b"x" * 100_000},
    "a link inside": {"a/b": b"1", "a/c": special("a/c", tarfile.SYMTYPE, "../a/b")},
    "a hard link": {"a": b"1", "b": special("b", tarfile.LNKTYPE, "a")},
    "names of every script": {"préfix/ошибка/名前": b"1", "a b\tc": b"2", "a\nb": b"3"},
    "long names": {LONG: b"1", LONG + "2": b"2"},
    "an empty file": {"a": b""},
    "a backslash, which systemd uses": {r"dev-\x2d.mount": b"1"},
}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("members", GOOD.values(), ids=GOOD)
def test_good_archives_pass(members: Members, form: int) -> None:
    contents = check(tar_gz(members, form))
    assert contents.entries == len(members)


@pytest.mark.parametrize("step", [1, 511, 512, 513, 10_000_000])
def test_pieces_may_have_any_size(step: int) -> None:
    assert check(tar_gz(GOOD["files and folders"]), step=step).entries == 4


def test_several_gzip_members_and_zeros_after_them() -> None:
    data = tar({"a": b"1", "b": b"2" * 5000})
    pieces = [data[:700], data[700:5000], data[5000:]]
    assert check(b"".join(map(gzip.compress, pieces)) + b"\0" * 512).entries == 2


BAD: dict[str, tuple[Members, str]] = {
    "climbs out": ({"../a": b"1"}, "outside"),
    "climbs out in the middle": ({"a/../../b": b"1"}, "outside"),
    "absolute": ({"a": special("/etc/passwd", tarfile.REGTYPE)}, "outside"),
    "a drive": ({"C:/x": b"1"}, "outside"),
    "a link out": ({"a": special("a", tarfile.SYMTYPE, "../b")}, "points outside"),
    "a link down and out": ({"a": special("a", tarfile.SYMTYPE, "b/../../c")}, "points outside"),
    "an absolute link": ({"a": special("a", tarfile.SYMTYPE, "/etc/passwd")}, "points outside"),
    "a link to nothing": ({"a": special("a", tarfile.SYMTYPE, "")}, "points outside"),
    "a hard link out": ({"a": special("a", tarfile.LNKTYPE, "../b")}, "outside"),
    "a hard link to nothing": ({"a": special("a", tarfile.LNKTYPE, "b")}, "come before"),
    "a device": ({"a": special("a", tarfile.BLKTYPE)}, "device"),
    "a terminal": ({"a": special("a", tarfile.CHRTYPE)}, "device"),
    "a pipe": ({"a": special("a", tarfile.FIFOTYPE)}, "device"),
    "an unknown kind": ({"a": special("a", b"Z")}, "unknown kind"),
    "a volume's name": ({"a": special("a", b"V")}, "unknown kind"),
    "a sparse file": ({"a": special("a", tarfile.GNUTYPE_SPARSE)}, "sparse"),
    "a file twice": ({"a": b"1", "./a": b"2"}, "twice"),
    "a file where a folder is": ({"a/b": b"1", "a": b"2"}, "twice"),
    "a folder where a file is": ({"a": b"1", "a/b": b"2"}, "twice"),
    "a link where a folder is": (
        {"a/": b"", "b": special("a", tarfile.SYMTYPE, "c")},
        "twice",
    ),
    "a hard link to a link": (
        {"a": special("a", tarfile.SYMTYPE, "b"), "c": special("c", tarfile.LNKTYPE, "a")},
        "come before",
    ),
    "too deep": ({"d/" * 130 + "a": b"1"}, "128 folders"),
    "a file without a name": ({"a": special("./", tarfile.REGTYPE)}, "no name"),
}


@pytest.mark.parametrize(("members", "says"), BAD.values(), ids=BAD)
def test_what_agents_refuse_is_refused(members: Members, says: str) -> None:
    error = refused(tar_gz(members))
    assert says in error.message
    assert (error.field, bool(error.hint)) == ("file", True)


def test_an_empty_archive() -> None:
    assert "empty" in refused(tar_gz({})).message


def test_names_windows_cannot_have() -> None:
    for name in ("aux.txt", "a:b", "a.", "x\\..\\..\\y", "a?"):
        refused(tar_gz({name: b"1"}), Contents("any"))
    assert "twice" in refused(tar_gz({"a": b"1", "A": b"1"}), Contents("any")).message
    check(tar_gz({"a": b"1", "A": b"1", "aux": b"1"}), Contents("linux"))


def test_what_is_launched_has_to_be_at_the_top() -> None:
    data = tar_gz({"./install.sh": b"1", "bin/tool.sh": b"1"})
    check(data, Contents("linux", launch="install.sh"))
    error = refused(data, Contents("linux", launch="tool.sh"))
    assert error.field == "target"
    assert "'install.sh'" in error.hint
    assert "only folders" in refused(tar_gz({"a/": b""}), Contents("linux", launch="a")).hint
    refused(data, Contents("linux", launch="INSTALL.SH"))


@pytest.mark.parametrize("end", [3, 30, 300, -1, -4, -9])
def test_a_cut_file(end: int) -> None:
    data = tar_gz({"a": random.Random(1).randbytes(2000)})
    assert "damaged" in refused(data[:end]).message


def test_a_tar_that_is_cut_inside_a_whole_gzip() -> None:
    data = tar({"a": b"1" * 2000})
    assert "tar inside ends too early" in refused(gzip.compress(data[:1500])).message
    assert "tar inside ends too early" in refused(gzip.compress(data[:200])).message


def test_a_tar_without_its_end_is_one_that_agents_unpack() -> None:
    check(gzip.compress(tar({"a": b"1" * 512})[:1024]))


def test_every_changed_byte_is_seen() -> None:
    """Of the gzip's own bytes some can change without a change of what is in it."""
    data = tar({"a": random.Random(2).randbytes(300)})
    packed = gzip.compress(data, 0)
    seen = 0
    for at in range(10, len(packed), 11):
        changed = bytearray(packed)
        changed[at] ^= 0x10
        with contextlib.suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(bytes(changed)) == data:
                continue
        refused(bytes(changed))
        seen += 1
    assert seen > 300


def test_gzip_of_something_else() -> None:
    assert "no tar in it" in refused(gzip.compress(b"hello" * 1000)).message


def test_two_archives_in_one() -> None:
    joined = gzip.compress(tar({"a": b"1"}) + tar({"b": b"1"}))
    assert "goes on after its end" in refused(joined).message
    assert "goes on after its end" in refused(tar_gz({"a": b"1"}) + tar_gz({"b": b"1"})).message


def test_something_after_the_gzip() -> None:
    assert "damaged" in refused(tar_gz({"a": b"1"}) + b"garbage").message


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    huge = special("zeros", tarfile.REGTYPE, size=3 * 1024**3)
    head = huge.tobuf(tarfile.PAX_FORMAT)
    error = refused(gzip.compress(head), Contents("linux", archive_bytes=10_000_000))
    assert "1907 MiB" in error.message


def test_a_bomb_of_unknown_length_is_refused_at_its_end() -> None:
    limits = Limits(ratio_from=1000)
    assert (
        "becomes more than"
        in refused(tar_gz({"a": b"\0" * 1_000_000}), Contents("linux", limits=limits)).message
    )


def test_too_many_entries() -> None:
    members = {str(n): b"" for n in range(11)}
    assert (
        "more than 10 entries"
        in refused(tar_gz(members), Contents("linux", limits=Limits(max_entries=10))).message
    )


def test_too_many_folders() -> None:
    limits = Limits(max_entries=10)
    assert (
        "10 folders"
        in refused(tar_gz({"a/" * 11 + "b": b"1"}), Contents("linux", limits=limits)).message
    )


def test_names_and_notes_are_bounded() -> None:
    note = special("x", tarfile.XHDTYPE, size=2 * 1024**2)
    assert "1 MiB" in refused(gzip.compress(note.tobuf())).message
    empty = special("x", tarfile.XHDTYPE).tobuf()
    assert "1 MiB" in refused(gzip.compress(empty * 3000)).message


def test_zeros_at_the_end_are_bounded() -> None:
    assert "zeros" in refused(gzip.compress(tar({"a": b"1"}) + bytes(2 * 1024**2))).message


def test_a_global_name_is_refused() -> None:
    data = b"16 path=a/b/c/d\n"
    info = special("x", tarfile.XGLTYPE, size=len(data))
    assert "one name" in refused(gzip.compress(info.tobuf() + data.ljust(512, b"\0"))).message


@pytest.mark.parametrize("record", [b"5 a=b", b"99 a=b\n", b"x a=b\n", b"6 a=bc", b"0 a=b\n", b"1"])
def test_broken_pax_records(record: bytes) -> None:
    info = special("x", tarfile.XHDTYPE, size=len(record))
    assert "pax" in refused(gzip.compress(info.tobuf() + record.ljust(512, b"\0"))).message


def test_a_size_below_zero() -> None:
    head = bytearray(special("a", b"0").tobuf())
    head[124:136] = b"\xff" * 12  # base 256, as GNU writes what octal cannot hold
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    assert "below zero" in refused(gzip.compress(bytes(head))).message


@pytest.mark.parametrize("record", [b"22 GNU.sparse.major=1\n", b"24 GNU.sparse.name=a/b/\n"])
def test_sparse_files_of_the_new_kind(record: bytes) -> None:
    info = special("x", tarfile.XHDTYPE, size=len(record))
    data = info.tobuf() + record.ljust(512, b"\0") + special("a", b"0").tobuf()
    assert "sparse" in refused(gzip.compress(data)).message


def test_a_size_that_is_no_number() -> None:
    data = b"13 size=-100\n"
    head = special("x", tarfile.XHDTYPE, size=len(data)).tobuf() + data.ljust(512, b"\0")
    assert "no number" in refused(gzip.compress(head + special("a", b"0").tobuf())).message


@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_any_bytes_are_judged(noise: bytes, at: int) -> None:
    """Whatever is put into a tar, it passes or is refused; nothing else is raised."""
    data = bytearray(tar({"a": b"1" * 600, LONG: b"2"}))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(SpecError):
        check(zlib.compress(bytes(data), wbits=31))
