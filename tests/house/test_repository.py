"""What may not be in the repository, and what must be in the wheel."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, ROOT, tracked_files

PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE" + rb" KEY-----")
#: Addresses and folders of the machine that somebody happened to work on.
OF_A_MACHINE = re.compile(
    rb"index-" + rb"url|/" + rb"work/(main|venv|shared)|pypi\.(?!org/p)[a-z]+\."
)


def test_no_private_key_is_committed() -> None:
    found = [path for path in tracked_files() if PRIVATE_KEY.search((ROOT / path).read_bytes())]
    assert found == []


def test_no_file_names_the_machine_it_was_written_on() -> None:
    found = [path for path in tracked_files() if OF_A_MACHINE.search((ROOT / path).read_bytes())]
    assert found == []


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names inside a wheel that was built from what git knows, away from the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked_files():
        target = folder / "tree" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    built = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=folder / "tree",
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("tranche-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_wheel_misses_nothing(wheel_names: set[str]) -> None:
    expected = {path.as_posix() for path in tracked_files() if path.parts[0] in PACKAGES}
    assert {"deploy_agent/wire/info.py", "deploy_server/storage/models/base.py"} <= expected
    assert expected - wheel_names == set()


@pytest.mark.slow
def test_the_wheel_brings_nothing_else(wheel_names: set[str]) -> None:
    tops = {Path(name).parts[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
