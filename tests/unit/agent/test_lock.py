"""One agent on a state folder, and none after it died."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from deploy_agent.domain.errors import LockHeld, StoreError
from deploy_agent.machine.lock import InstanceLock, is_locked


def test_only_one_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    assert not is_locked(path)
    with InstanceLock(path):
        assert is_locked(path)
        with pytest.raises(LockHeld, match="another agent"), InstanceLock(path):
            pass
        assert is_locked(path)
    assert not is_locked(path)


def test_who_only_looks_keeps_nobody_from_working(tmp_path: Path) -> None:
    """`status` asks by taking the lock for a moment; `once` began in just that moment."""
    path = tmp_path / "lock"
    path.touch()
    looking = os.open(path, os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_EX)
    Timer(0.1, os.close, [looking]).start()
    with InstanceLock(path):
        assert is_locked(path)


def test_a_dead_agents_lock_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = f"""
import os, pathlib
from deploy_agent.machine.lock import InstanceLock
InstanceLock(pathlib.Path({str(path)!r})).__enter__()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert path.exists()
    with InstanceLock(path):
        pass


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with InstanceLock(path):
        child = subprocess.Popen(
            [sys.executable, "-c", "print('up', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        assert not is_locked(path)
    finally:
        child.communicate(b"\n")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match="--state"), InstanceLock(tmp_path / "state" / "lock"):
        pass
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root does what others may not decide")
@pytest.mark.parametrize(("owner", "mode"), [(0, 0o777), (0, 0o1777), (0, 0o770), (12345, 0o700)])
def test_root_does_not_work_in_a_folder_that_others_write(
    tmp_path: Path, owner: int, mode: int
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, owner, 0)
    with pytest.raises(StoreError, match="others"), InstanceLock(folder / "lock"):
        pass
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root does what others may not decide")
def test_nor_in_one_that_others_can_put_another_in_the_place_of(tmp_path: Path) -> None:
    (tmp_path / "above/state").mkdir(mode=0o700, parents=True)
    (tmp_path / "above").chmod(0o777)
    with (
        pytest.raises(StoreError, match=r"'.*/above' may be written by others.*--state"),
        InstanceLock(tmp_path / "above/state/lock"),
    ):
        pass
    os.chown(tmp_path / "above", 12345, 0)
    (tmp_path / "above").chmod(0o755)
    with pytest.raises(StoreError, match="belongs to"), InstanceLock(tmp_path / "above/new/lock"):
        pass
