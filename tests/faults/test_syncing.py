"""What the kernel is asked, by strace: nothing has its name before it is on the disk, for good.

The order is write, fsync, rename, fsync of the folder; so it is for every file that must outlive a
power cut, of the agent and of its runner.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import BIN, program
from tests.support.real_lives import ID, Deployment, Site

pytestmark = pytest.mark.slow

CALLS = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,execve"
RENAMES = ("rename", "renameat", "renameat2")
FILES = {
    *("identity.json", "server.json", "record.json", "info", "fragments.sha256", "package"),
    *(f"{ID}-1", f"{ID}-2", "waiting.json", "result.json"),
}

_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)")


@dataclass(frozen=True)
class Call:
    """A system call that succeeded; ``paths`` are what it is about, in order."""

    thread: int
    name: str
    text: str
    paths: tuple[str, ...]


def read_calls(trace: Path) -> list[Call]:
    begun: dict[str, str] = {}
    calls = []
    for line in trace.read_text(errors="replace").splitlines():
        if match := _BEGUN.match(line):
            begun[match[1]] = match[3]
            continue
        match = _WHOLE.match(line) or _ENDED.match(line)
        if match is None or match[4].startswith("-"):
            continue
        text = begun.pop(match[1], "") + match[3] if "resumed" in line else match[3]
        if match[2] in RENAMES:
            paths = tuple(re.findall(r'"([^"]*)"', text))
        else:
            paths = tuple(re.findall(r"^\d+<([^>]*)>", text)) or tuple(
                re.findall(r'"([^"]*)"', text)
            )
        calls.append(Call(int(match[1]), match[2], text, paths))
    return calls


@pytest.fixture(scope="module")
def calls(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Call]]:
    """What an agent and its runner ask the kernel from the first contact to the report."""
    folder = tmp_path_factory.mktemp("traced")
    server = site.deploy(Deployment({"fragments": 2}), folder / "traces")
    done = subprocess.run(
        [
            *(program("strace"), "-f", "-y", "-s", "4096", "-e", f"trace={CALLS}"),
            *("-o", str(folder / "trace"), str(BIN / "deploy-agent"), "--config", str(site.config)),
            *("--state", str(folder / "state"), "once", "--no-wait"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert server.codes == ["SUCCESS"]
    return folder / "state", read_calls(folder / "trace")


def of_state(calls: tuple[Path, list[Call]]) -> list[Call]:
    """The calls about something in the state folder."""
    state, found = calls
    return [each for each in found if each.paths and each.paths[0].startswith(str(state))]


def test_every_file_is_synced_before_it_gets_its_name_and_the_name_after(
    calls: tuple[Path, list[Call]],
) -> None:
    found = of_state(calls)
    named = set()
    for at, call in enumerate(found):
        if call.name not in RENAMES or call.paths[1].endswith(("events.jsonl", "job.json")):
            continue
        source, target = call.paths
        named.add(Path(target).name)
        before = [each.name for each in found[:at] if each.paths == (source,)]
        assert before[-1] == "fsync", f"{target}: {before}"
        assert "write" in before, f"{target} was never written"
        after = next(each for each in found[at + 1 :] if each.thread == call.thread)
        assert (after.name, after.paths[0]) == ("fsync", str(Path(target).parent)), (
            f"{target}: {after}"
        )
    assert named >= FILES, f"not seen: {FILES - named}"
    assert any(name.endswith("_SUCCESS.json") for name in named), "not seen: history"


def test_the_intent_is_on_the_disk_before_the_action_is_started(
    calls: tuple[Path, list[Call]],
) -> None:
    state, found = calls
    start = next(
        at for at, each in enumerate(found) if each.name == "execve" and "/tree/run.sh" in each.text
    )
    about = [each for each in found[:start] if each.paths and "/packages/" in each.paths[0]]
    renamed = max(at for at, each in enumerate(about) if each.paths[-1].endswith("record.json"))
    record = next(
        e for e in reversed(about[:renamed]) if e.name == "write" and "record" in e.paths[0]
    )
    assert r"\"state\": \"RUNNING\"" in record.text
    assert about[renamed + 1].name == "fsync"
    assert about[renamed + 1].paths[0] == str(state / "packages" / ID)


def test_that_the_job_was_taken_is_on_the_disk_before_the_action_is_started(
    calls: tuple[Path, list[Call]],
) -> None:
    _, found = calls
    taken = next(
        at
        for at, each in enumerate(found)
        if each.name in RENAMES and each.paths[1].endswith("/job.json")
    )
    source, target = found[taken].paths
    assert Path(source) == Path(target).with_name("waiting.json")
    after = list(enumerate(found))[taken:]
    folder = str(Path(target).parent)
    synced = next(at for at, each in after if each.name == "fsync" and each.paths[0] == folder)
    started = next(
        at for at, each in after if each.name == "execve" and "/tree/run.sh" in each.text
    )
    assert synced < started
    intent = max(
        at
        for at, each in enumerate(found[:started])
        if each.name in RENAMES and each.paths[1].endswith("record.json")
    )
    waits = next(
        at
        for at, each in enumerate(found)
        if each.name in RENAMES and each.paths[1].endswith("/waiting.json")
    )
    assert waits < intent < taken, "it is written before the intent, and taken after that"
