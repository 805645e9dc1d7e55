"""Modules as Windows has them: a copy is loaded with the platform and its modules faked.

What really happens on Windows nobody has seen here; these copies show that the code for it is
complete and asks for the right things.
"""

import importlib.util
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

#: Values of winbase.h, which Python's modules have on Windows only.
FLAGS = {
    "CREATE_NEW_PROCESS_GROUP": 0x200,
    "DETACHED_PROCESS": 0x8,
    "CREATE_BREAKAWAY_FROM_JOB": 0x1000000,
    "CREATE_NO_WINDOW": 0x8000000,
}


class FakeMsvcrt(ModuleType):
    """Locks as the real one: held by an open file, and gone with it."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self._holders: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        status = os.fstat(descriptor)
        place = (status.st_dev, status.st_ino)
        holder = self._holders.get(place)
        if holder not in (None, descriptor) and self._still_open(holder, place):
            raise PermissionError(13, "Permission denied")
        self._holders[place] = descriptor

    def _still_open(self, descriptor: int | None, place: tuple[int, int]) -> bool:
        assert descriptor is not None
        try:
            status = os.fstat(descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == place


def on_windows(module: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of a module, read while the platform is Windows; the platform stays so."""
    monkeypatch.setattr(sys, "platform", "win32")
    if "msvcrt" not in sys.modules:
        monkeypatch.setitem(sys.modules, "msvcrt", FakeMsvcrt())
    for name, value in FLAGS.items():
        monkeypatch.setattr(subprocess, name, value, raising=False)
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by its name
    monkeypatch.setitem(sys.modules, module, copy)
    spec.loader.exec_module(copy)
    return copy
