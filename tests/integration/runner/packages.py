"""What tests of the runner share."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from deploy_agent.wire.terms import Action
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


class Start(Protocol):
    def __call__(self, action: Action, target: str, **options: float) -> None: ...


def begin(job: Job, folder: Path) -> None:
    """Prepare and start, as the agent does with its intent in between."""
    runner.prepare(job, folder)
    runner.start(job, folder)


def runners(folder: Path) -> list[int]:
    """The numbers of the runner processes of `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(folder) in arguments and any(b"/runner/" in word for word in arguments):
            found.append(int(path.parent.name))
    return found


def runner_of(folder: Path, program: str) -> int:
    """The number of the one runner of `folder`, once it has started `program`."""

    def found() -> int | None:
        processes = runners(folder)  # two, while the action is forked and is not itself yet
        return (
            processes[0] if len(processes) == 1 and program in names_below(processes[0]) else None
        )

    number = wait_until(found, f"a runner that runs {program}")
    assert number is not None
    return number


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


def names_below(process: int) -> set[str]:
    """The names of the programs that `process` started, directly or not."""
    names = set()
    with suppress(OSError):  # some end while we look
        for child in children(process):
            names |= {Path(f"/proc/{child}/comm").read_text().strip(), *names_below(child)}
    return names


def script(folder: Path, name: str, text: str) -> None:
    (folder / "tree" / name).write_text(text)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
