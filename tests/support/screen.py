"""A screen in memory (Xvfb), somebody at the mouse (xdotool), and a loginctl that knows both."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy_agent.domain.asking import Kind, Session
from tests.support.processes import kill_tree, program
from tests.support.waiting import wait_until

TITLE = "Software installation"
LOGINCTL = """#!/bin/sh
[ -e {there} ] || exit 0
case $1 in
list-sessions) echo "7 {uid} somebody seat0" ;;
*) printf '%s\\n' Id=7 Name=somebody User={uid} Type=x11 Class=user State=active Active=yes \\
       Remote=no Display={display} TTY=tty2 LockedHint="$(cat {there})" ;;
esac
"""


@dataclass(frozen=True)
class Place:
    """Where a window is on the screen."""

    window: str
    x: int
    y: int
    width: int
    height: int


class Screen:
    """An X server of its own, without a window manager."""

    def __init__(self) -> None:
        program("zenity")
        self._xdotool = program("xdotool")
        read, write = os.pipe()
        command = [program("Xvfb"), "-displayfd", str(write), "-screen", "0", "800x600x24"]
        self._server = subprocess.Popen(
            # Keys do not repeat by themselves, and nothing begins anew with its last window.
            [*command, "-nolisten", "tcp", "-ac", "-r", "-noreset"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write,),
        )
        os.close(write)
        with os.fdopen(read) as pipe:
            self.display = f":{pipe.readline().strip()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.break_down()

    def break_down(self) -> None:
        """The X server dies."""
        kill_tree(self._server)

    def session(self, uid: int | None = None) -> Session:
        number = os.getuid() if uid is None else uid
        return Session("7", "somebody", number, Kind.SCREEN, display=self.display)

    def log_in(self, folder: Path) -> Path:
        """Make a loginctl in ``folder`` that says who is at this screen.

        Returns the file that holds yes while the screen is locked; without it nobody is there.
        """
        there = folder / "locked"
        there.write_text("no")
        tool = folder / "loginctl"
        tool.write_text(LOGINCTL.format(there=there, uid=os.getuid(), display=self.display))
        tool.chmod(0o755)
        return there

    def window(self) -> Place:
        """The dialog, once it is there."""
        place = wait_until(self.look, "a dialog is on the screen", seconds=60)
        assert place is not None
        return place

    def look(self) -> Place | None:
        """The dialog, if it is there."""
        found = self._do("search", "--onlyvisible", "--name", TITLE).split()
        if not found:
            return None
        lines = self._do("getwindowgeometry", "--shell", found[0]).splitlines()
        facts = dict(line.split("=") for line in lines if "=" in line)
        if not facts:
            return None
        return Place(found[0], *(int(facts[name]) for name in ("X", "Y", "WIDTH", "HEIGHT")))

    def press_right(self) -> None:
        """Click the right button of the dialog: what goes on."""
        place = self.window()
        self._sweep(place, range(place.width - 30, 0, -15))

    def press_left(self) -> None:
        """Click the left button of the dialog: what puts off, else what cancels."""
        place = self.window()
        self._sweep(place, range(30, place.width, 15))

    def key(self, name: str) -> None:
        """Press a key in the dialog."""
        self._do("windowfocus", "--sync", self.window().window, "key", name)

    def close(self) -> None:
        """Take the dialog from the screen, as a window manager does with one that hangs."""
        self._do("windowkill", self.window().window)

    def _sweep(self, place: Place, offsets: range) -> None:
        """Click from one side to the other until a button was hit."""
        for offset in offsets:
            where = (str(place.x + offset), str(place.y + place.height - 25))
            self._do("mousemove", *where, "click", "1")
            found = self.look()
            if found is None or found.window != place.window:
                return

    def _do(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._xdotool, *arguments],
            env={**os.environ, "DISPLAY": self.display},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout
