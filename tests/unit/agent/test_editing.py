"""Packages that are edited on the way, and digests that do not fit: info is asked again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy_agent.domain.errors import (
    AgentError,
    HttpRefusal,
    HttpStatus,
    RedirectRefused,
    ServerUnreachable,
    ShortRead,
    TlsReason,
    TlsRefused,
    TooSlow,
)
from deploy_agent.domain.state import State
from deploy_agent.services.once import run_once
from deploy_agent.wire.info import write_info
from tests.support.computer import AT_ONCE, Computer, bring_to
from tests.support.simulator import CONTENT, archive

ID = "1800000001"
NOT_FOUND = HttpRefusal("404 Not Found", status=404)
SILENT: list[AgentError] = [
    ServerUnreachable("connection refused"),
    HttpStatus("503", status=503),
    HttpStatus("429", status=429),
    ShortRead("it ended"),
    TooSlow("nothing came"),
]
DEFINITE: list[AgentError] = [
    NOT_FOUND,
    HttpRefusal("410 Gone", status=410),
    TlsRefused("unknown CA", reason=TlsReason.UNKNOWN_CA),
    RedirectRefused("to HTTP"),
]


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def edited(pc: Computer, **changes: object) -> None:
    """The administrator edits the package; the next offer names its new revision."""
    pc.server.set_info(replace(pc.server.info(), revision=2, **changes))  # type: ignore[arg-type]
    pc.server.offer(revision=2)


def at_fragment_2(pc: Computer) -> None:
    """Bring the package to a point where fragment 1 is here, and fragment 2 is not."""
    pc.server.fail(f"{ID}-2", SILENT[0])
    pc.once()
    pc.server.faults.clear()
    pc.server.requests.clear()
    pc.server.fresh.clear()


def test_an_edit_of_the_command_keeps_the_fragments(pc: Computer) -> None:
    at_fragment_2(pc)
    edited(pc, target="run.sh --better")
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert [job.target for job in pc.runner.started] == ["run.sh --better"]
    assert pc.server.asked() == {"info": 1, f"{ID}-2": 1, f"{ID}-3": 1}
    assert set(pc.server.fresh) == set(pc.server.requests)


def test_an_edit_of_the_content_starts_over(pc: Computer) -> None:
    at_fragment_2(pc)
    pc.server.publish(content=CONTENT + b"0" * 9, fragments=2, revision=2)
    pc.server.offer(revision=2)
    pc.once()
    # The archive has nine bytes too many, which gzip takes for damage: what counts is the way.
    assert pc.server.asked() == {"info": 1, "fragments.sha256": 1, f"{ID}-1": 1, f"{ID}-2": 1}
    assert len(pc.server.codes) == 1


def test_another_archive_on_an_ocs_server_in_mid_download_starts_over(pc: Computer) -> None:
    pc.server.ours = False
    pc.server.publish(foreign=True)
    pc.server.assign()
    at_fragment_2(pc)
    pc.server.publish(content=archive({"run.sh": b"#!/bin/sh\nexit 0\n" * 99}), foreign=True)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.asked()[f"{ID}-1"] == 1, "the old fragment is not one of the new archive"


def test_a_mirror_that_lags_behind_an_edit_is_gone_on_with(pc: Computer) -> None:
    at_fragment_2(pc)
    pc.server.offer(revision=2)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.fresh[0] == pc.server.url(ID)


def test_while_an_edited_info_file_is_not_here_nothing_runs(pc: Computer) -> None:
    at_fragment_2(pc)
    edited(pc)
    pc.server.fail("info", SILENT[0])
    assert pc.once().exit_status == 3
    assert pc.server.asked() == {"info": 3}
    assert pc.runner.started == []


def test_a_wrong_digest_asks_the_info_file_again_and_stands(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), sha256=bytes(32)))
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]
    assert pc.server.asked()["info"] == 2
    assert pc.server.fresh == [pc.server.url(ID)]
    assert pc.runner.started == []


def test_a_wrong_digest_with_a_changed_info_file_starts_over(pc: Computer) -> None:
    good = pc.server.info()
    pc.server.fail("info", write_info(replace(good, sha256=bytes(32))), write_info(good))
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.asked()[f"{ID}-1"] == 1


def test_a_wrong_digest_stands_where_the_info_file_is_gone(pc: Computer) -> None:
    pc.server.fail("info", write_info(replace(pc.server.info(), sha256=bytes(32))), NOT_FOUND)
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]


def test_a_wrong_digest_waits_where_nobody_answers(pc: Computer) -> None:
    wrong = write_info(replace(pc.server.info(), sha256=bytes(32)))
    pc.server.fail("info", wrong, SILENT[0])
    assert pc.once().exit_status == 3
    pc.server.fail("info", wrong)
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]


# An info file that is not what the server served: a damaged disk, or somebody at the computer.


@pytest.mark.parametrize(
    "change", [lambda data: data.replace(b"run.sh", b"rm.sh"), lambda data: data[:50], None]
)
@pytest.mark.parametrize("state", [State.DOWNLOADING, State.COMPLETE, State.UNPACKED])
def test_what_is_changed_on_the_disk_is_not_gone_by(
    pc: Computer, state: State, change: Callable[[bytes], bytes] | None
) -> None:
    if state is State.DOWNLOADING:
        at_fragment_2(pc)
    else:
        bring_to(pc, state)
    path = pc.store.path(ID, "info")
    served = path.read_bytes()
    path.write_bytes(change(served)) if change is not None else path.unlink()
    fragments = pc.files() & {f"{ID}-1", f"{ID}-2", f"{ID}-3"}
    pc.server.fail("info", SILENT[0])
    pc.once()
    assert pc.runner.started == []
    pc.server.faults.clear()
    agent = pc.agent(AT_ONCE)
    agent.standings()  # looks at everything before the file is back
    run_once(agent, pc.clock, wait=False)
    assert [each.target for each in pc.runner.started] == ["run.sh"]
    assert pc.server.status() == "SUCCESS"
    assert not fragments & set(pc.server.asked()), "what was good was fetched again"


def test_a_record_of_an_older_agent_says_nothing_of_the_info_file(pc: Computer) -> None:
    bring_to(pc, State.UNPACKED)
    path = pc.store.path(ID, "record.json")
    record = json.loads(path.read_bytes())
    del record["info_sha256"]
    path.write_text(json.dumps(record))
    pc.once()
    assert pc.server.status() == "SUCCESS"
    assert "info" not in pc.server.asked()
