import contextlib
import io
import random
import stat
import struct
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_server.domain.archive import Contents, Limits, check_zip
from deploy_server.domain.errors import SpecError
from tests.support.archive_bytes import zip_, zip_link, zip_special


def check(data: bytes, contents: Contents | None = None) -> Contents:
    contents = contents or Contents("windows")
    check_zip(io.BytesIO(data), contents)
    return contents


def refused(data: bytes, contents: Contents | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        check(data, contents)
    return caught.value


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize(
    "members",
    [
        {"setup.exe": b"MZ" * 1000, "data/": b"", "data/a b.txt": b"", "é/名.txt": b"x"},
        {f"{n}.txt": bytes([n]) * 3000 for n in range(200)},
        {"big": random.Random(1).randbytes(3_000_000)},
    ],
)
def test_good_archives_pass(members: Mapping[str, bytes], method: int) -> None:
    assert check(zip_(members, method)).entries == len(members)


def test_a_zip_that_was_written_as_a_stream() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a", "w", force_zip64=True) as file:
            file.write(b"x" * 100_000)
        archive.writestr("b", b"y")
    assert check(pipe.getvalue()).entries == 2


def test_a_directory_longer_than_a_piece() -> None:
    members = {f"{n:05}-" + "x" * 200: b"" for n in range(6000)}
    assert check(zip_(members)).entries == 6000


def test_a_comment_at_the_end() -> None:
    file = io.BytesIO(zip_({"a": b"1"}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"c" * 60_000
    assert check(file.getvalue()).entries == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (zip_({"../a": b"1"}), "outside"),
        (zip_({"..\\a": b"1"}), "outside"),
        (zip_({"/a": b"1"}), "outside"),
        (zip_({"\\a": b"1"}), "outside"),
        (zip_({"C:\\a": b"1"}), "outside"),
        (zip_({"a.txt": b"1", "A.TXT": b"2"}), "twice"),
        (zip_({"nul.txt": b"1"}), "cannot be the name"),
        (zip_({"a/b:c": b"1"}), "cannot be the name"),
        (zip_link("a", "../b"), "points outside"),
        (zip_link("a", "/etc"), "points outside"),
        (zip_link("a", "x" * 5000), "very long"),
        (zip_special("a", stat.S_IFIFO), "device or a pipe"),
        (zip_special("a", stat.S_IFCHR), "device or a pipe"),
        (zip_({"a": b"1"}, zipfile.ZIP_BZIP2), "method 12"),
        (zip_({"a": b"1"}, zipfile.ZIP_LZMA), "method 14"),
        (zip_({}), "empty"),
    ],
)
def test_what_agents_refuse_is_refused(data: bytes, says: str) -> None:
    error = refused(data)
    assert says in error.message
    assert (error.field, bool(error.hint)) == ("file", True)


def test_a_link_inside_passes() -> None:
    check(zip_link("a/b", "../c"), Contents("any"))


def test_what_is_launched_is_found_as_windows_finds_it() -> None:
    data = zip_({"Setup.EXE": b"MZ", "bin/tool.exe": b"MZ"})
    for name in ("setup.exe", "SETUP", "Setup.EXE"):
        check(data, Contents("windows", launch=name))
    assert refused(data, Contents("windows", launch="tool.exe")).field == "target"
    assert refused(data, Contents("any", launch="setup.exe")).field == "target"


def _changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


ONE = zip_({"name": b"content " * 100})
CENTRAL = ONE.index(b"PK\x01\x02")
END = ONE.index(b"PK\x05\x06")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (ONE[:-30], "end of the zip"),
        (ONE[:-1], "end of the zip"),
        (ONE[:40], "end of the zip"),
        (_changed(ONE, CENTRAL, b"XX"), "directory of the zip cannot"),
        (_changed(ONE, CENTRAL + 16, b"\0\0\0\0"), "check sum"),
        (_changed(ONE, CENTRAL + 24, b"\x01\0\0\0"), "another size"),
        (_changed(ONE, CENTRAL + 24, b"\xff\0\1\0"), "another size"),
        (_changed(ONE, CENTRAL + 20, b"\xff\xff\xff\0"), "overlap"),
        (_changed(ONE, CENTRAL + 20, struct.pack("<L", 100)), "reaches into"),
        (_changed(ONE, CENTRAL + 42, b"\5\0\0\0"), "not where"),
        (_changed(ONE, CENTRAL + 46, b"eman"), "two names"),
        (_changed(ONE, CENTRAL + 8, b"\1\0"), "encrypted"),
        (_changed(ONE, CENTRAL + 10, b"\x09\0"), "method 9"),
        (_changed(ONE, CENTRAL + 8, b"\x20\0"), "do not have"),
        (_changed(ONE, CENTRAL + 6, b"\x64\0"), "do not have"),
        (_changed(ONE, 6, b"\0\x08"), "two names"),
        (_changed(ONE, END + 16, b"\0\0\0\0"), "not where it should be"),
        (_changed(ONE, END + 4, b"\1\0\1\0"), "several parts"),
        (_changed(ONE, 40, b"\xff\xff\xff"), "damaged"),
        (_changed(ONE, CENTRAL + 24, b"\xff\xff\xff\xff"), "zip64"),
        (zip_({"é": b"1"}).replace("é".encode(), b"\xff\xff"), "UTF-8"),
    ],
)
def test_damage_is_seen(data: bytes, says: str) -> None:
    error = refused(data)
    assert says in str(error)


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    data = _changed(ONE, CENTRAL + 24, struct.pack("<L", 2 * 1024**3))
    assert "becomes more than 1024 MiB" in refused(data).message


def test_files_that_share_their_bytes() -> None:
    """A bomb of another kind: every entry of the directory names the same data."""
    entry = ONE[CENTRAL:END]
    many = b"".join(entry.replace(b"name", b"n%03d" % n) for n in range(200))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 200, 200, len(many), CENTRAL, 0)
    assert "damaged" in refused(ONE[:CENTRAL] + many + end).message


def test_too_many_entries() -> None:
    members = {str(n): b"" for n in range(11)}
    limits = Limits(max_entries=10)
    assert "10 entries" in refused(zip_(members), Contents("any", limits=limits)).message
    assert (
        "1 entries"
        in refused(
            zip_({"x" * 200: b"", "y" * 200: b""}), Contents("any", limits=Limits(max_entries=1))
        ).message
    )


def test_more_entries_than_the_old_format_counts() -> None:
    members = {f"{number:x}": b"" for number in range(65_600)}
    assert check(zip_(members, zipfile.ZIP_STORED)).entries == 65_600


def _wide(data: bytes, size: int = 900, cut: int = 0) -> bytes:
    """The zip with the size of its file in the wide field, as one has it above 4 GiB."""
    wide = struct.pack("<HHQ", 1, 8, size)[: 12 - cut]
    central = bytearray(data[CENTRAL:END])
    central[24:28] = b"\xff" * 4
    struct.pack_into("<H", central, 30, len(wide))
    central += wide
    end = bytearray(data[END:])
    struct.pack_into("<L", end, 12, len(central))
    return data[:CENTRAL] + bytes(central) + bytes(end)


def test_wide_sizes() -> None:
    assert check(_wide(ONE, 800)).unpacked == 800
    assert "another size" in refused(_wide(ONE, 801)).message
    assert "zip64" in refused(_wide(ONE, 800, cut=3)).message


def test_the_wide_end_of_the_directory_is_looked_for() -> None:
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    assert "zip64" in refused(ONE[:END] + locator + ONE[END:]).message


@given(st.binary(max_size=400), st.integers(0, len(ONE)))
def test_any_bytes_are_judged(noise: bytes, at: int) -> None:
    """Whatever is put into a zip, it passes or is refused; nothing else is raised."""
    data = bytearray(ONE)
    data[at : at + len(noise)] = noise
    with contextlib.suppress(SpecError):
        check(bytes(data))
