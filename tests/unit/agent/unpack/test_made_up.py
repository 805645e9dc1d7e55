"""Archives that hypothesis made up: whatever they hold, nothing happens outside the tree."""

import errno
import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.domain.errors import PackageError
from deploy_agent.machine.unpack import Limits, unpack

LIMITS = Limits(max_files=50, max_bytes=100_000, ratio_from=100_000)

steps = st.sampled_from(["a", "b", "c", "..", ".", "", "victim", "d e", "é", "\\", "..\\victim"])
names = st.lists(steps, min_size=1, max_size=5).map("/".join) | st.sampled_from(
    ["/victim", "C:\\victim", "../../victim", "a\0b", "\ud800", "x" * 256]
)
tar_kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"Z"]
)
zip_kinds = st.sampled_from([0, 0o040000, 0o100000, 0o120000, 0o020000])
modes = st.sampled_from([0, 0o644, 0o755, 0o4755, 0o2777, 0o7777])


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for _ in range(draw(st.integers(1, 8))):
            info = tarfile.TarInfo(draw(names).encode(errors="replace").decode())
            info.type, info.mode, info.linkname = draw(tar_kinds), draw(modes), draw(names)
            info.linkname = info.linkname.encode(errors="replace").decode()
            content = draw(st.binary(max_size=5)) if info.isreg() else b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 1)


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for number in range(draw(st.integers(1, 8))):
            info = zipfile.ZipInfo(f"placeholder{number}")
            info.filename = draw(names).encode(errors="replace").decode().replace("\0", "_")
            info.external_attr = (draw(zip_kinds) | draw(modes)) << 16
            opened.NameToInfo.clear()  # it warns of names that it has seen
            opened.writestr(info, draw(names.map(lambda n: n.encode(errors="replace"))))
    return buffer.getvalue()


def check_inside(tree: Path) -> None:
    for path in tree.rglob("*"):
        status = path.lstat()
        assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or path.is_symlink()
        assert not status.st_mode & 0o7000
        if path.is_symlink():
            try:
                path.stat()
            except OSError as error:
                if error.errno == errno.ELOOP:
                    continue
            assert (os.path.realpath(path) + "/").startswith(f"{tree}/")


def unpacked(content: bytes) -> bool:
    """Whether `content` was unpacked; all that must hold is checked either way."""
    with tempfile.TemporaryDirectory() as top:
        agent = Path(top).resolve() / "agent"
        agent.mkdir()
        (agent / "victim").write_text("victim")
        (agent / "package").write_bytes(content)
        refusal: PackageError | None = None
        try:
            unpack(agent / "package", agent / "tree", limits=LIMITS)
        except PackageError as error:
            refusal = error
        if refusal is None:
            check_inside(agent / "tree")
        else:
            assert refusal.code == "ERR_UNZIP"
            assert str(refusal).isprintable()
        assert (agent / "victim").read_text() == "victim"
        assert (agent / "victim").stat().st_nlink == 1
        assert sorted(path.name for path in agent.iterdir()) == ["package", "tree", "victim"]
        assert [path.name for path in Path(top).iterdir()] == ["agent"]
    return refusal is None


@given(tars())
def test_tars(content: bytes) -> None:
    unpacked(content)


@given(zips())
def test_zips(content: bytes) -> None:
    unpacked(content)


def good_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("run.sh", "d/" + "x" * 120, "é"):
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes(700)))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "run.sh"
        tar.addfile(link)
    return buffer.getvalue()


def good_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in ("run.sh", "d/é", "e/"):
            opened.writestr(name, b"" if name.endswith("/") else bytes(700))
    return buffer.getvalue()


GOOD_TAR, GOOD_ZIP = good_tar(), good_zip()
changes = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=6)


def changed(content: bytes, places: list[tuple[int, int]]) -> bytes:
    made = bytearray(content)
    for at, value in places:
        made[at % len(made)] = value
    return bytes(made)


def test_the_originals_are_good() -> None:
    assert unpacked(gzip.compress(GOOD_TAR))
    assert unpacked(GOOD_ZIP)


@given(changes)
def test_tars_with_changed_bytes(places: list[tuple[int, int]]) -> None:
    """Under an intact gzip, so that the changes reach the reader of the tar."""
    unpacked(gzip.compress(changed(GOOD_TAR, places), 1))


@given(changes)
def test_zips_with_changed_bytes(places: list[tuple[int, int]]) -> None:
    unpacked(changed(GOOD_ZIP, places))
