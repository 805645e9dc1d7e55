"""How collectors see a computer: its files under a root, its programs, and sections to fill."""

import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy_agent.wire.sections import Section
from deploy_agent.wire.xml import clean

log = logging.getLogger(__name__)

PROGRAM_S = 120  # seconds that a program may take; a locked package database can hold it up

Run = Callable[[Sequence[str]], bytes]


def run_program(command: Sequence[str]) -> bytes:
    """Return what `command` writes, in English; its errors go nowhere.

    Raises:
        OSError: there is no such program.
        subprocess.SubprocessError: it failed, or took longer than `PROGRAM_S`.
    """
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=PROGRAM_S,
        check=True,
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Host:
    """The computer that is described, or a tree that looks like one.

    Attributes:
        root: under which /proc, /sys, /etc and /var are found.
        run: starts a program and returns what it writes.
    """

    root: Path = Path("/")
    run: Run = run_program

    def path(self, name: str) -> Path:
        """Return where the absolute `name` is."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """Return the file `name` without white space at its ends, '' where it cannot be read.

        Many files of /sys are root's alone, or say an error instead of their content.
        """
        try:
            return decoded(self.path(name).read_bytes()).strip()
        except OSError:
            return ""

    def lines(self, name: str) -> list[str]:
        """Return the lines of the file `name`, none where it cannot be read."""
        return self.text(name).splitlines()

    def names(self, name: str) -> list[str]:
        """Return the sorted names in the folder `name`, none where there is no such folder."""
        try:
            return sorted(os.listdir(self.path(name)))  # noqa: PTH208 - names only
        except OSError:
            return []


def decoded(data: bytes) -> str:
    """Return bytes from anywhere as text; what is no UTF-8 becomes U+FFFD."""
    return data.decode(errors="replace")


def section(name: str, **fields: object) -> Section:
    """Return a section of the fields that have a value; None and '' have none, 0 is one.

    Whatever XML cannot carry is replaced, and lines become one.
    """
    texts = ((key, clean(" ".join(str(v).split()))) for key, v in fields.items() if v is not None)
    return Section(name, tuple((key, text) for key, text in texts if text))


def tried(
    what: str, collector: Callable[[Host], Iterator[Section]], host: Host
) -> list[Section] | None:
    """Return what `collector` finds, None where it fails: a strange device spoils one section."""
    try:
        return list(collector(host))
    except Exception:  # computers are stranger than any list of exceptions; the rest must go out
        log.warning("The inventory goes without %s", what, exc_info=True)
        return None
