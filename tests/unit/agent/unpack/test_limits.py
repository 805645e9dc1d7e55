"""What is too much ends, before it costs too much."""

import gzip
import tarfile
import zipfile
from pathlib import Path

import pytest

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.unpack import Limits, unpack
from tests.unit.agent.unpack.archives import (
    member,
    tar_bytes,
    tar_gz,
    zip_of,
)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_zip_methods_whose_memory_the_archive_chooses(
    method: int, archive: Path, tree: Path
) -> None:
    zip_of(archive, ("a", b"1" * 1000, 0o644), method=method)
    with pytest.raises(UnpackFailed, match=f"method {method}"):
        unpack(archive, tree)


def test_limit_of_files(archive: Path, tree: Path) -> None:
    limits = Limits(max_files=3)
    tar_gz(archive, *(member(f"f{i}") for i in range(3)))
    unpack(archive, tree, limits=limits)
    for made in (
        tar_gz(archive, *(member(f"f{i}") for i in range(4))),
        zip_of(archive.with_name("zip"), *((f"f{i}", b"", 0) for i in range(4))),
    ):
        with pytest.raises(UnpackFailed, match="more than 3 entries"):
            unpack(made, tree, limits=limits)


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
        tar_gz(archive, member("a", bytes(30_000_000))),
        zip_of(archive.with_name("zip"), ("a", bytes(30_000_000), 0)),
    ):
        with pytest.raises(UnpackFailed, match="becomes more than"):
            unpack(bomb, tree, limits=limits)
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

    tar_gz(archive, *(member(f"f{i % 50}/{i}", b"x") for i in range(1000)))
    tracemalloc.start()
    try:
        unpack(archive, tree)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000
