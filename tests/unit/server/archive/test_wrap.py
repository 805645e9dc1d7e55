import io
import random
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy_server.domain.archive import Contents, Kind, TarCheck, check_zip
from deploy_server.domain.archive.wrap import wrap
from tests.support.processes import program

NOW = datetime(2026, 11, 21, 10, 0, 2, tzinfo=UTC)
CONTENTS = {
    "one byte": b"x",
    "text": b"echo hello\n" * 1000,
    "noise": random.Random(1).randbytes(300_000),
}


def blocks(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 70_000):
        yield data[at : at + 70_000]


def wrapped(data: bytes, kind: Kind, name: str = "setup.exe") -> bytes:
    return b"".join(wrap(blocks(data), kind, name, len(data), NOW))


@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_a_tar_gz_holds_the_file(data: bytes) -> None:
    made = wrapped(data, Kind.TAR_GZ, "größe.sh")
    with tarfile.open(fileobj=io.BytesIO(made), mode="r:gz") as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None
        assert file.read() == data
        assert (member.name, member.mode, member.mtime) == ("größe.sh", 0o755, NOW.timestamp())
    check = TarCheck(Contents("linux", launch="größe.sh"))
    check.feed(made)
    check.finish()


@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_a_zip_holds_the_file(data: bytes) -> None:
    made = wrapped(data, Kind.ZIP)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        (member,) = archive.infolist()
        assert archive.read(member) == data
        assert (member.filename, member.external_attr >> 16) == ("setup.exe", 0o100755)
        assert member.date_time == (2026, 11, 21, 10, 0, 2)
    check_zip(io.BytesIO(made), Contents("windows", launch="setup.exe"))


@pytest.mark.parametrize("kind", [Kind.ZIP, Kind.TAR_GZ])
def test_what_packs_well_is_packed_and_the_rest_is_not(kind: Kind) -> None:
    assert len(wrapped(CONTENTS["text"], kind)) < 1000
    noise = len(CONTENTS["noise"])
    assert noise < len(wrapped(CONTENTS["noise"], kind)) < noise + 4000


def test_the_tools_that_ocs_agents_call_unpack_them(tmp_path: Path) -> None:
    for kind, command in {
        Kind.TAR_GZ: ["tar", "-xzf"],
        Kind.ZIP: [program("unzip"), "-q"],
    }.items():
        folder = tmp_path / kind.name
        folder.mkdir()
        (folder / "archive").write_bytes(wrapped(CONTENTS["noise"], kind))
        subprocess.run([*command, "archive"], cwd=folder, check=True)
        assert (folder / "setup.exe").read_bytes() == CONTENTS["noise"]
        assert (folder / "setup.exe").stat().st_mode & 0o111


def test_memory_stays_small() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(1024 * 1024)

    for kind in (Kind.ZIP, Kind.TAR_GZ):
        longest = max(len(piece) for piece in wrap(endless(), kind, "a", 20 * 1024**2, NOW))
        assert longest < 2 * 1024 * 1024
