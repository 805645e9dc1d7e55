"""What rpm, dnf and zypper say where another has the lock; what when-unlocked.sh makes of it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import program
from tests.support.repository import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may install into another root"),
]

HELPER = ROOT / "examples/packages/helpers/when-unlocked.sh"
NAME = "tranche-empty"
SPEC = f"""Name: {NAME}
Version: 1
Release: 1
Summary: nothing
License: none
BuildArch: noarch
%description
nothing
%files
"""
#: Holds a lock as rpm does, or writes its own number as dnf and zypper do.
HOLD = """
import fcntl, os, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
file.write(f"{os.getpid()}\\n" if sys.argv[2] else "")
file.flush()
if sys.argv[2]:
    fcntl.lockf(file, fcntl.LOCK_UN)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .rpm of nothing."""
    folder = tmp_path_factory.mktemp("rpm")
    (folder / "a.spec").write_text(SPEC)
    subprocess.run(
        [program("rpmbuild"), "-bb", "--define", f"_topdir {folder}", str(folder / "a.spec")],
        check=True,
        capture_output=True,
    )
    (built,) = folder.rglob("*.rpm")
    return built


@dataclass
class System:
    """A root of its own, whose packages the three managers manage."""

    folder: Path
    package: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "HOME": "/home"}  # Debian's rpm has its database there

    def rpm(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program("rpm"), "--root", str(self.root), *words],
            capture_output=True,
            text=True,
            check=False,
            env=self.environ,
        )

    def locks(self) -> dict[str, Path]:
        """By the names that tests have for them."""
        database = self.rpm("--eval", "%{_dbpath}").stdout.strip()
        return {
            "rpm": self.root / database.lstrip("/") / ".rpm.lock",
            "dnf metadata": self.folder / "cache/metadata_lock.pid",
            "dnf rpmdb": self.folder / "persist/rpmdb_lock.pid",
            "zypp": self.root / "run/zypp.pid",
        }

    def install(self, manager: str) -> subprocess.CompletedProcess[str]:
        """As an action does it: nobody is there to be asked."""
        program(manager)
        folder, file = self.folder, str(self.package)
        words = {
            "rpm": ["--root", str(self.root), "-i", file],
            "dnf": [
                *("-y", f"--installroot={self.root}", "--releasever=1", "install", file),
                *(f"--setopt=reposdir={folder}/none", f"--setopt=cachedir={folder}/cache"),
                *(f"--setopt=persistdir={folder}/persist", f"--setopt=logdir={folder}/log"),
            ],
            "zypper": [
                *("--root", str(self.root), "--non-interactive", "--no-refresh"),
                *("install", "--allow-unsigned-rpm", file),
            ],
        }
        return subprocess.run(
            ["sh", str(HELPER), manager, *words[manager]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self.environ,
            timeout=60,
        )


@pytest.fixture
def system(tmp_path: Path, package: Path) -> System:
    for name in ("cache", "persist", "log", "root/run"):
        (tmp_path / name).mkdir(parents=True)
    made = System(tmp_path, package)
    assert made.rpm("--initdb").returncode == 0
    return made


@pytest.fixture
def hold() -> Iterator[Callable[[Path], None]]:
    held: list[subprocess.Popen[bytes]] = []

    def take(path: Path) -> None:
        number = "number" if path.suffix == ".pid" else ""
        command = [sys.executable, "-c", HOLD, str(path), number]
        held.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert held[-1].stdout is not None
        assert held[-1].stdout.readline() == b"held\n"

    yield take
    for process in held:
        process.communicate()


@pytest.mark.parametrize(
    ("manager", "lock"),
    [
        ("rpm", "rpm"),
        ("dnf", "rpm"),
        ("dnf", "dnf metadata"),
        ("dnf", "dnf rpmdb"),
        ("zypper", "rpm"),
        ("zypper", "zypp"),
    ],
)
def test_a_taken_lock_is_no_failure(
    system: System, hold: Callable[[Path], None], manager: str, lock: str
) -> None:
    hold(system.locks()[lock])
    done = system.install(manager)
    assert done.returncode == 75, done.stdout
    assert system.rpm("-q", NAME).returncode == 1


@pytest.mark.parametrize("manager", ["rpm", "dnf", "zypper"])
def test_without_it_the_package_is_installed(system: System, manager: str) -> None:
    done = system.install(manager)
    assert done.returncode == 0, done.stdout
    assert system.rpm("-q", NAME).returncode == 0
    system.package = system.folder / "nowhere.rpm"
    assert system.install(manager).returncode not in (0, 75), "a failure stays one"
