"""From the last fragment to the result: joining, unpacking, the gate, the action and its ends."""

import errno
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy_agent.domain.errors import ActionFailed, CleanFailed, OutOfSpace, UnpackFailed
from deploy_agent.domain.state import State
from deploy_agent.machine.runner import Job
from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding
from deploy_agent.wire.terms import Action
from tests.support.computer import Computer, bring_to
from tests.support.simulator import CONTENT, QUICK, archive

ID = "1800000001"


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def test_the_action_finds_its_tree_and_nothing_of_it_stays(pc: Computer) -> None:
    seen: list[set[str]] = []
    start = pc.runner.start

    def look(job: Job, folder: Path) -> None:
        seen.append({path.name for path in job.tree.iterdir()})
        start(job, folder)

    pc.runner.start = look  # type: ignore[method-assign]
    pc.once()
    assert seen == [{"run.sh", "data"}]
    assert pc.files() == set()
    assert pc.codes_in_history() == ["SUCCESS"]
    assert pc.history.read_all()[0]["output"] == "exit 0"


@pytest.mark.parametrize("fragments", [0, 3])
@pytest.mark.parametrize(
    ("exit_code", "fields", "code"),
    [
        (0, {}, "SUCCESS"),
        (3, {}, "ERR_EXIT_CODE_3"),
        (137, {}, "ERR_EXIT_CODE_137"),
        (3, {"success_codes": (3, 4)}, "SUCCESS"),
        (3, {"reboot_codes": (3,)}, "SUCCESS_REBOOT_REQUIRED"),
        (0, {"retry_codes": (0,)}, "SUCCESS"),
    ],
)
def test_how_an_action_ends(
    pc: Computer, fragments: int, exit_code: int, fields: dict[str, Any], code: str
) -> None:
    pc.server.publish(fragments=fragments, **fields)
    pc.runner.exit_codes = [exit_code]
    assert pc.once().exit_status == 0
    assert pc.server.codes == [code]
    assert len(pc.runner.started) == 1


@pytest.mark.parametrize(
    ("own", "confs", "seconds"), [(None, 120, 7200), (None, 0, 0), (5, 120, 300), (0, 120, 0)]
)
def test_the_execution_timeout_is_the_packages_else_confs(
    pc: Computer, own: int | None, confs: int, seconds: int
) -> None:
    pc.server.settings = replace(QUICK, execution_timeout_min=confs)
    pc.server.set_info(replace(pc.server.info(), execution_timeout_min=own))
    pc.once()
    assert pc.runner.started[0].timeout_s == seconds


def test_what_the_runner_is_told(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), target="run.sh 'a b' $HOME"))
    pc.once()
    (job,) = pc.runner.started
    assert (job.action, job.target) == (Action.LAUNCH, "run.sh 'a b' $HOME")
    assert job.tree == pc.store.path(ID, "tree")
    assert job.install_path == pc.folder


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ActionFailed("no such interpreter"), "ERR_EXECUTE"),
        (OutOfSpace("full"), "ERR_OUT_OF_SPACE"),
    ],
)
def test_an_action_that_cannot_be_started(pc: Computer, failure: Exception, code: str) -> None:
    pc.runner.failure = failure
    pc.once()
    assert pc.server.codes == [code]


# Retry codes.


def test_a_retry_code_is_no_end(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.runner.exit_codes = [75, 75, 0]
    left = pc.once()
    assert left.exit_status == 3
    assert "retry code 75" in left.waiting[0][1]
    assert pc.server.codes == []
    for minutes in (5, 10):
        pc.clock.advance(minutes=minutes, seconds=-1)
        assert pc.once().exit_status == 3
        pc.clock.advance(seconds=1)
        pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert len(pc.runner.started) == 3
    assert pc.server.asked() == {
        **{"info": 1, "fragments.sha256": 1},
        **{f"{ID}-1": 1, f"{ID}-2": 1, f"{ID}-3": 1},
    }


def test_retry_codes_to_the_end_of_time_end_with_the_exit_code(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.server.settings = replace(QUICK, timeout_days=1)
    pc.runner.exit_codes = [75]
    pc.once()
    for _ in range(30):
        pc.clock.advance(hours=1)
        pc.once()
    assert pc.server.codes == ["ERR_EXIT_CODE_75"]
    assert 20 < len(pc.runner.started) < 30


# Broken content.


@pytest.mark.parametrize("content", [b"no archive", CONTENT[:-20], CONTENT + b"x" * 20])
def test_an_archive_that_cannot_be_unpacked(pc: Computer, content: bytes) -> None:
    pc.server.publish(content=content)
    pc.once()
    assert pc.server.codes == ["ERR_UNZIP"]
    assert pc.runner.started == []


def test_an_archive_that_climbs_out(pc: Computer) -> None:
    pc.server.publish(content=archive({"../../evil": b"x"}))
    pc.once()
    assert pc.server.codes == ["ERR_UNZIP"]
    assert not list(pc.folder.rglob("evil"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnpackFailed("x"), "ERR_UNZIP"),
        (OutOfSpace("x"), "ERR_OUT_OF_SPACE"),
        (CleanFailed("x"), "ERR_CLEAN"),
    ],
)
def test_what_unpacking_says_is_the_result(pc: Computer, error: Exception, code: str) -> None:
    class Trees:
        def unpack(self, archive: Path, tree: Path) -> None:
            raise error

        def empty_tree(self, tree: Path) -> None:
            raise error

    pc.trees = Trees()
    pc.once()
    assert pc.server.codes == [code]


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("encoding", list(DigestEncoding))
@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
def test_every_form_of_digest_is_verified(
    pc: Computer, algorithm: DigestAlgorithm, encoding: DigestEncoding, right: bool
) -> None:
    """As OCS's servers have it: nothing but DIGEST says what the content has to be."""
    raw = hashlib.new(algorithm.lower(), CONTENT if right else CONTENT + b"x").digest()
    pc.server.publish(foreign=True, digest=Digest(algorithm, raw, encoding))
    pc.once()
    assert pc.server.codes == ["SUCCESS" if right else "ERR_BAD_DIGEST"]
    assert len(pc.runner.started) == right


def test_digest_by_md5_alone_as_ocs_servers_have_it(pc: Computer) -> None:
    pc.server.publish(foreign=True)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_without_a_list_a_bad_fragment_is_a_bad_digest(pc: Computer) -> None:
    pc.server.publish(foreign=True)
    url = pc.server.url(ID, f"{ID}-2")
    pc.server.files[url] = bytes(len(pc.server.files[url]))
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]
    assert pc.runner.started == []


def test_digest_counts_even_where_sha256_is_right(pc: Computer) -> None:
    digest = pc.server.info().digest
    assert digest is not None
    pc.server.set_info(replace(pc.server.info(), digest=replace(digest, raw=bytes(16))))
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]


# What happens to files while they lie on the disk.


Spoil = Callable[[Computer], None]
SPOIL: dict[str, tuple[State, Spoil, set[str]]] = {
    "a fragment vanishes": (
        State.COMPLETE,
        lambda pc: pc.store.remove_file(ID, f"{ID}-2"),
        {f"{ID}-2"},
    ),
    "a fragment changes": (
        State.COMPLETE,
        lambda pc: void(pc.store.path(ID, f"{ID}-2").write_bytes(b"x")),
        {f"{ID}-2"},
    ),
    "the joined package vanishes": (
        State.VERIFIED,
        lambda pc: pc.store.remove_content(ID),
        {f"{ID}-1", f"{ID}-2", f"{ID}-3", "fragments.sha256"},
    ),
    "the tree vanishes": (
        State.UNPACKED,
        lambda pc: pc.disk.remove_folder(pc.store.path(ID, "tree")),
        {f"{ID}-1", f"{ID}-2", f"{ID}-3", "fragments.sha256"},
    ),
    "the info file vanishes": (
        State.COMPLETE,
        lambda pc: pc.store.remove_file(ID, "info"),
        {"info"},
    ),
    "the info file changes": (
        State.COMPLETE,
        lambda pc: void(pc.store.path(ID, "info").write_bytes(b"<DOWNLOAD")),
        {"info"},
    ),
}


def void(result: object) -> None:
    """What a lambda needs to return nothing."""


@pytest.mark.parametrize("name", SPOIL)
def test_what_is_lost_is_fetched_again_and_nothing_else(pc: Computer, name: str) -> None:
    state, spoil, fetched = SPOIL[name]
    bring_to(pc, state)
    spoil(pc)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert fetched <= set(pc.server.asked())
    if "info" not in name:
        assert set(pc.server.asked()) == fetched


def test_a_disk_that_loses_everything_ends_the_package(pc: Computer) -> None:
    class Losing:
        """Says that it unpacked."""

        def unpack(self, archive: Path, tree: Path) -> None: ...

        def empty_tree(self, tree: Path) -> None: ...

    pc.trees = Losing()
    pc.once()
    assert pc.server.codes == ["ERR_BUILD"]


def test_a_fragment_that_cannot_be_read_is_a_failed_join(
    pc: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def broken(path: Path, mode: str = "r", *args: object) -> object:
        if path.name == f"{ID}-2" and mode == "rb":
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, mode, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", broken)
    pc.once()
    assert pc.server.codes == ["ERR_BUILD"]


def test_a_full_disk_makes_room_before_it_says_so(pc: Computer) -> None:
    class Full:
        """No room for the tree; while fragments or package are there, none for a record."""

        def unpack(self, archive: Path, tree: Path) -> None:
            raise OutOfSpace("full")

        def empty_tree(self, tree: Path) -> None: ...

    pc.trees = Full()
    replace_file = pc.disk.replace

    def replace_if_room(path: Path, data: bytes) -> None:
        if pc.store.path(ID, "package").exists() and b'"DONE"' in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(path, data)

    pc.disk.replace = replace_if_room  # type: ignore[method-assign]
    pc.once()
    assert pc.server.codes == ["ERR_OUT_OF_SPACE"]
