"""Every result that our agent can send, provoked: by broken files, full disks, signals, users.

Real processes on real disks and sockets wherever that can be; a result of `wire/result.py` that
nothing here provokes is noticed.
"""

import gzip
import os
import signal
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from deploy_agent.domain.errors import ServerUnreachable
from deploy_agent.domain.record import Reply
from deploy_agent.services import installing
from deploy_agent.wire import result
from deploy_agent.wire.info import Notification
from deploy_agent.wire.terms import Action
from tests.support.archive_bytes import special, tar_gz, zip_, zip_link
from tests.support.bench import MIB, Bench, HastyRunner, once
from tests.support.dialogs import ALICE, ScriptedDialog
from tests.support.fork_server import Agents
from tests.support.real_lives import CONTENT, ID, Site, runners_in
from tests.support.simulator import FakeRunner
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

OTHER = "1800000000"  # comes before the package in every cycle

Provoke = Callable[[Bench], None]


@pytest.fixture
def bench(agents: Agents, site: Site, tmp_path: Path) -> Bench:
    return Bench(agents, site, tmp_path)


def command(text: str, **fields: Any) -> Provoke:
    """A command line, carried out."""

    def provoke(bench: Bench) -> None:
        bench.command(text, **fields)
        bench.once()

    return provoke


def file(content: bytes, **fields: Any) -> Provoke:
    """A package with this file, sound on its way."""

    def provoke(bench: Bench) -> None:
        bench.offer(content=content, **fields)
        bench.once()

    return provoke


def info(**attributes: str | None) -> Provoke:
    """A sound package, but for attributes of its info file."""

    def provoke(bench: Bench) -> None:
        bench.offer(target="run.sh trace 0", content=CONTENT)
        bench.alter(**attributes)
        bench.once()

    return provoke


def fragment(change: Callable[[bytes], bytes], **attributes: str | None) -> Provoke:
    """A sound package, but for a fragment of it."""

    def provoke(bench: Bench) -> None:
        bench.offer()
        bench.alter_fragment(change)
        bench.alter(**attributes)
        bench.once()

    return provoke


def store(path: str) -> Provoke:
    return file(tar_gz({"a": b"a", "b/c": b"c"}), action=Action.STORE, target=path)


# Before.


def already_there(bench: Bench) -> None:
    command("true")(bench)
    assert bench.server.codes == ["SUCCESS"]
    bench.offer(fragments=0, target="true")
    bench.once()


def already_there_for_ocs(bench: Bench) -> None:
    bench.server.ours = False
    already_there(bench)


def no_info(bench: Bench) -> None:
    bench.offer()
    del bench.server.files[bench.server.url(ID)]
    bench.once()


def no_fragment(bench: Bench) -> None:
    bench.offer()
    del bench.server.files[bench.server.url(ID, f"{ID}-2")]
    bench.once()


def too_late(bench: Bench) -> None:
    pc = bench.in_process()
    pc.server.publish()
    pc.server.assign()
    pc.server.fail("info", ServerUnreachable("no connection"))
    once(pc)
    pc.clock.time += timedelta(days=30, seconds=1)
    once(pc)


def a_user_cancels(bench: Bench) -> None:
    pc = bench.in_process(dialog=ScriptedDialog(users=[ALICE], replies=[Reply.CANCEL]))
    pc.server.publish(notification=Notification("May I?", can_abort=True))
    pc.server.assign()
    once(pc)
    assert pc.runner.started == []


# Disks.


def no_room_for_it(bench: Bench) -> None:
    bench.offer()
    bench.alter(X_FRAGMENT_SIZE=str(10**12 - 1), X_SHA256=None)
    bench.once()
    assert not [each for each in bench.server.requests if "-1" in each], "it was begun"


def full_in_the_download(bench: Bench) -> None:
    bench.offer(content=os.urandom(2 * MIB), fragments=1, foreign=True)
    bench.once_on_a_small_disk()


def full_when_joining(bench: Bench) -> None:
    """Another package takes the room that there was."""
    bench.offer(content=os.urandom(600_000), fragments=1)
    bench.command(f"dd if=/dev/zero of={bench.state}/fill bs=1k count=1100", "1800000002")
    bench.once_on_a_small_disk()
    assert bench.server.assigned["1800000002"].status == "SUCCESS"


def full_when_unpacking(bench: Bench) -> None:
    bench.offer(content=tar_gz({f"zeros {n}": bytes(MIB // 2) for n in range(5)}))
    bench.once_on_a_small_disk()


def full_when_storing(bench: Bench) -> None:
    target = bench.folder / "target"
    target.mkdir()
    content = tar_gz({f"zeros {n}": bytes(MIB // 2) for n in range(5)})
    bench.offer(content=content, action=Action.STORE, target=str(target))
    bench.once_within(
        f"mount -t tmpfs -o size={MIB} none {target}", f"ls -A {target} | grep . && exit 9"
    )


def read_only_target(bench: Bench) -> None:
    target = bench.folder / "target"
    target.mkdir()
    bench.offer(content=tar_gz({"a": b"a"}), action=Action.STORE, target=str(target))
    bench.once_within(f"mount -t tmpfs -o ro none {target}")


def lost_when_joining(bench: Bench) -> None:
    bench.offer()
    bench.once(kill_at="before create package.part")
    (bench.package / f"{ID}-2").unlink()
    (bench.package / f"{ID}-2").mkdir()  # it is there, and nobody can read it
    bench.once()


def tree_in_the_way(bench: Bench) -> None:
    """Something is mounted where the tree of an earlier try is."""
    bench.offer()
    bench.once(kill_at="before unpack")
    (bench.package / "tree" / "disk").mkdir(parents=True)
    bench.once_within('mount -t tmpfs none "$STATE"/packages/*/tree/disk')


# Actions.


def a_runner_dies(bench: Bench) -> None:
    bench.command(f"touch {bench.trace}; sleep 60")
    bench.once(kill_at="after start")
    wait_until(bench.trace.exists, "the action runs")
    for process in runners_in(bench.run_folder):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for each in psutil.process_iter(["cmdline"]):
        if str(bench.trace) in " ".join(each.info["cmdline"] or []):
            os.killpg(each.pid, signal.SIGKILL)
    bench.once()


def a_result_that_nobody_can_read(bench: Bench) -> None:
    bench.command("true")
    bench.once(kill_at="after start")
    path = bench.run_folder / "result.json"
    wait_until(path.exists, "the action has ended")
    path.write_bytes(path.read_bytes()[:20])
    bench.once()


def a_record_that_nobody_can_read(bench: Bench) -> None:
    bench.offer()
    bench.once(kill_at="before unpack")
    (bench.package / "record.json").write_text("{")
    bench.once()


def too_slow(bench: Bench) -> None:
    pc = bench.in_process(runner=HastyRunner())
    pc.server.publish(fragments=0, target="sleep 6021 & wait", execution_timeout_min=1)
    pc.server.assign()
    once(pc)
    found = [each.info["cmdline"] for each in psutil.process_iter(["cmdline"])]
    assert ["sleep", "6021"] not in found, "what it started goes on"


def on_windows(exit_code: int) -> Provoke:
    def provoke(bench: Bench) -> None:
        pc = bench.in_process(runner=FakeRunner(exit_codes=[exit_code]))
        pc.server.publish()
        pc.server.assign()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(installing, "os", SimpleNamespace(name="nt"))
            once(pc)

    return provoke


def corrupt(archive: bytes) -> bytes:
    """Bytes in the middle are others."""
    middle = len(archive) // 2
    return (
        archive[:middle]
        + bytes(each ^ 0xFF for each in archive[middle : middle + 9])
        + archive[middle + 9 :]
    )


RANDOM = bytes(os.urandom(5000))
CODES = {
    "a program of the archive": ("SUCCESS", file(CONTENT, target="run.sh trace 0")),
    "a command": ("SUCCESS", command("true")),
    "files that are stored": ("SUCCESS", store("$INSTALL_PATH/stored")),
    "a success code": ("SUCCESS", command("exit 4", success_codes=(4,))),
    "a reboot code": ("SUCCESS_REBOOT_REQUIRED", command("exit 5", reboot_codes=(5,))),
    "1641 on Windows": ("SUCCESS_REBOOT_INITIATED", on_windows(1641)),
    "3010 on Windows": ("SUCCESS_REBOOT_REQUIRED", on_windows(3010)),
    "3011 on Windows": ("SUCCESS_RESTART_REQUIRED", on_windows(3011)),
    "1603 on Windows": ("ERR_EXIT_CODE_1603", on_windows(1603)),
    "3010 elsewhere": ("ERR_EXIT_CODE_194", command("exit 3010")),  # what a shell makes of it
    "an exit code": ("ERR_EXIT_CODE_3", command("exit 3")),
    "KILL": ("ERR_EXIT_CODE_137", command("kill -KILL $$")),
    "TERM": ("ERR_EXIT_CODE_143", command("kill -TERM $$")),
    "a segmentation fault": ("ERR_EXIT_CODE_139", command("ulimit -c 0; kill -SEGV $$")),
    "a command that nobody has": ("ERR_EXIT_CODE_127", command("no-such-command")),
    "there already": ("ERR_ALREADY_SETUP", already_there),
    "there already, OCS": ("SUCCESS_ALREADY_SETUP", already_there_for_ocs),
    "no info file": ("ERR_DOWNLOAD_INFO", no_info),
    "another id": ("ERR_BAD_ID", info(ID="1700000000")),
    "no fragment": ("ERR_DOWNLOAD_PACK", no_fragment),
    "a truncated fragment": ("ERR_BAD_DIGEST", fragment(lambda data: data[:-9])),
    "a truncated fragment, OCS": (
        "ERR_BAD_DIGEST",
        fragment(
            lambda data: data[:-9], X_FRAGMENTS_SHA256=None, X_FRAGMENT_SIZE=None, X_SHA256=None
        ),
    ),
    "an oversized fragment": ("ERR_BAD_DIGEST", fragment(lambda data: data + b"x" * 9)),
    "an empty fragment": ("ERR_BAD_DIGEST", fragment(lambda data: b"")),
    "a changed fragment": ("ERR_BAD_DIGEST", fragment(lambda data: b"x" + data[1:])),
    "another SHA-256": ("ERR_BAD_DIGEST", info(X_SHA256="0" * 64)),
    "another digest": ("ERR_BAD_DIGEST", info(DIGEST="0" * 32)),
    "a fragment that cannot be read": ("ERR_BUILD", lost_when_joining),
    "no archive": ("ERR_UNZIP", file(RANDOM)),
    "a corrupt tar.gz": ("ERR_UNZIP", file(corrupt(tar_gz({"run.sh": RANDOM})))),
    "a cut tar.gz": ("ERR_UNZIP", file(tar_gz({"run.sh": RANDOM})[:-2000])),
    "a corrupt zip": ("ERR_UNZIP", file(corrupt(zip_({"run.sh": RANDOM}, zipfile.ZIP_STORED)))),
    "a cut zip": ("ERR_UNZIP", file(zip_({"run.sh": RANDOM})[:-30])),
    "a gzip without a tar": ("ERR_UNZIP", file(gzip.compress(RANDOM))),
    "a tar that climbs out": ("ERR_UNZIP", file(tar_gz({"../../../out": b"x"}))),
    "a zip that climbs out": ("ERR_UNZIP", file(zip_({"../../../out": b"x"}))),
    "an absolute name": ("ERR_UNZIP", file(tar_gz({"/tmp/out": b"x"}))),
    "a link that climbs out": ("ERR_UNZIP", file(zip_link("out", "../../../.."))),
    "a device": ("ERR_UNZIP", file(tar_gz({"null": special("null", b"3")}))),
    "no room for it": ("ERR_OUT_OF_SPACE", no_room_for_it),
    "full in the download": ("ERR_OUT_OF_SPACE", full_in_the_download),
    "full when joining": ("ERR_OUT_OF_SPACE", full_when_joining),
    "full when unpacking": ("ERR_OUT_OF_SPACE", full_when_unpacking),
    "full when storing": ("ERR_OUT_OF_SPACE", full_when_storing),
    "no NAME": ("ERR_EXECUTE_PACK", info(NAME=None)),
    "no COMMAND": ("ERR_EXECUTE_PACK", info(ACT="EXECUTE", NAME=None)),
    "a priority that there is not": ("ERR_BAD_PARAM", info(PRI="11")),
    "no priority": ("ERR_BAD_PARAM", info(PRI=None)),
    "an action that there is not": ("ERR_BAD_PARAM", info(ACT="DELETE")),
    "no PATH": ("ERR_BAD_PARAM", info(ACT="STORE")),
    "a PATH that is not absolute": ("ERR_BAD_PARAM", store("somewhere/else")),
    "a NAME with a path": ("ERR_BAD_PARAM", file(CONTENT, target="a/run.sh")),
    "a quotation without an end": ("ERR_BAD_PARAM", file(CONTENT, target="run.sh 'a")),
    "a program that is not there": ("ERR_EXECUTE", file(CONTENT, target="absent.sh")),
    "no interpreter": ("ERR_EXECUTE", file(tar_gz({"run.sh": b"#!/no/such\n"}), target="run.sh")),
    "a format that cannot run": (
        "ERR_EXECUTE",
        file(tar_gz({"a.out": b"\x7fELF" + bytes(100)}), target="a.out"),
    ),
    "a folder that cannot be written": ("ERR_EXECUTE", read_only_target),
    "a file where a folder should be": ("ERR_EXECUTE", store("/dev/null/tranche")),
    "too slow": ("ERR_EXECUTE_TIMEOUT", too_slow),
    "a tree that cannot be emptied": ("ERR_CLEAN", tree_in_the_way),
    "a runner that dies": ("ERR_DONE_FAILED", a_runner_dies),
    "an unreadable result": ("ERR_DONE_FAILED", a_result_that_nobody_can_read),
    "an unreadable record": ("ERR_DONE_FAILED", a_record_that_nobody_can_read),
    "too late": ("ERR_TIMEOUT", too_late),
    "a user who cancels": ("ERR_ABORTED", a_user_cancels),
}


@pytest.mark.parametrize("name", CODES)
def test_it_ends_as_it_must(name: str, bench: Bench) -> None:
    code, provoke = CODES[name]
    provoke(bench)
    assert bench.server.status() == code
    assert [each.code for each in bench.server.reports if each.package_id == ID][-1] == code
    assert not (bench.folder / "out").exists()


def test_no_result_is_forgotten() -> None:
    """Every code that the wire names, but for those that only others send."""
    others = {"SUCCESS_ALREADY_IN_HISTORY"}  # our server says it of agents that are not ours
    known = {
        value
        for name, value in vars(result).items()
        if name == value and name.startswith(("SUCCESS", "ERR_"))
    }
    provoked = {code for code, _ in CODES.values()}
    assert known - others == {code for code in provoked if not code.startswith("ERR_EXIT_CODE_")}


# What a final result does not change any more.


def test_what_cannot_be_removed_after_the_end_is_only_a_note(bench: Bench) -> None:
    bench.offer(content=tar_gz({"run.sh": b"#!/bin/sh\nmkdir disk; mount -t tmpfs none disk\n"}))
    bench.once_within(":")
    assert bench.server.codes == ["SUCCESS"]
    assert bench.left() == [ID]
    bench.once()
    assert bench.server.codes == ["SUCCESS"]
    assert bench.left() == []


def test_a_disk_that_an_action_fills_costs_no_result(bench: Bench) -> None:
    fill = bench.state / "fill"
    bench.command(f"echo x >> {bench.trace}; cat /dev/zero > {fill}; exit 7")
    bench.once_on_a_small_disk()
    assert bench.server.codes == ["ERR_EXIT_CODE_7"]
    assert bench.trace.read_text() == "x\n"


def test_a_full_state_folder_stops_the_agent_and_ends_no_package(bench: Bench) -> None:
    bench.command("true")
    full = 'cat /dev/zero > "$STATE"/fill || true'
    freed = f'[ $status = 4 ] || exit 9; rm {bench.state}/fill; eval "$AGENT"; status=$?'
    bench.once_on_a_small_disk(then=full, after=freed)
    assert bench.server.codes == ["SUCCESS"]
