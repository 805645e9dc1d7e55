"""Work at low priority: its own thread is nice, nobody else is, and nothing is left of it."""

import ctypes
import os
import sys
import threading
from types import SimpleNamespace

import psutil
import pytest

from deploy_agent.machine.gentle import gently

linux = pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def disk() -> tuple[int, int]:
    found = psutil.Process(threading.get_native_id()).ionice()
    return int(found.ioclass), int(found.value)


@linux
def test_the_work_is_nice_and_who_wants_it_is_not() -> None:
    before = nice(), disk()
    assert gently(nice) == max(10, before[0])
    assert gently(disk) == (int(psutil.IOPRIO_CLASS_BE), 7)
    assert (nice(), disk()) == before


@linux
def test_what_is_started_later_is_not_nice() -> None:
    """An action runs as the agent does, whatever was unpacked before it."""
    gently(nice)
    threads: list[int] = []
    later = threading.Thread(target=lambda: threads.append(nice()))
    later.start()
    later.join()
    assert threads == [nice()]


@linux
def test_an_agent_that_is_nicer_already_stays_so() -> None:
    def nicer() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        return gently(nice)  # threads begin with the priority of who starts them

    assert gently(nicer) == 15


def test_it_gives_back_what_the_work_gives() -> None:
    assert gently(lambda: "done") == "done"
    assert gently(lambda: None) is None


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt()])
def test_it_raises_what_the_work_raises(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        gently(fail)
    assert caught.value is error


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    gently(lambda: None)
    assert threading.active_count() == before


@linux
def test_a_system_that_refuses_gets_the_work_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(psutil.Process, "ionice", refuse)
    assert gently(lambda: 1) == 1


def test_windows_has_a_mode_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[str, int]] = []
    kernel = SimpleNamespace(
        GetCurrentThread=lambda: threading.current_thread().name,
        SetThreadPriority=lambda thread, mode: set_to.append((thread, mode)),
    )
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    gently(lambda: None)
    assert set_to == [("gently", 0x00010000)]


def test_other_systems_do_nothing_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "setpriority", None)
    assert gently(lambda: 1) == 1
