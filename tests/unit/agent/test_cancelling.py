"""What the server takes back: dropped before it begins, whatever kills come; else it goes on."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import CleanFailed, ServerUnreachable
from deploy_agent.domain.state import State
from tests.support.computer import Computer, QuickDisk, bring_to

ID = "1800000001"
BEFORE = [State.OFFERED, State.DOWNLOADING, State.COMPLETE, State.VERIFIED, State.UNPACKED]


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def take_back(pc: Computer) -> int:
    """Unassign the package; the server repeats that for ever."""
    attempt = pc.server.assigned.pop(ID).offer.attempt
    assert attempt is not None
    pc.server.cancels = ((ID, attempt),)
    return attempt


@pytest.mark.parametrize("state", BEFORE)
def test_what_has_not_begun_is_dropped_and_said(pc: Computer, state: State) -> None:
    bring_to(pc, state)
    attempt = take_back(pc)
    pc.once()
    last = pc.server.events[-1]
    assert (last.state, last.package, last.attempt) == ("CANCELLED", ID, attempt)
    assert last.reason == "the server has taken it back or knows its end; it does not begin"
    assert pc.files() == set()
    assert (pc.server.codes, pc.runner.started) == ([], [])
    assert pc.codes_in_history() == ["CANCELLED"]
    assert pc.history.succeeded() == ()


def test_it_is_said_again_while_the_server_asks_and_as_the_same_event(pc: Computer) -> None:
    bring_to(pc, State.DOWNLOADING)
    take_back(pc)
    for _ in range(3):
        pc.once()
    assert [each.state for each in pc.server.events].count("CANCELLED") == 1
    pc.server.events.clear()
    pc.once()
    assert [each.state for each in pc.server.events] == ["CANCELLED"]


def test_what_rests_after_a_retry_code_has_run_and_says_so(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), retry_codes=(75,)))
    pc.server.offer(postcmd="REBOOT")
    pc.runner.exit_codes = [75]
    pc.once()
    take_back(pc)
    pc.once()
    pc.clock.advance(hours=2)
    pc.once()
    assert len(pc.runner.started) == 1
    assert pc.codes_in_history() == pc.server.codes == ["ERR_EXIT_CODE_75"]
    assert pc.history.read_all()[0]["output"] == "exit 75"
    assert "CANCELLED" not in [each.state for each in pc.server.events]
    assert pc.power.asked == []
    assert pc.files() == set()


def test_it_does_not_come_back_under_that_attempt(pc: Computer) -> None:
    bring_to(pc, State.DOWNLOADING)
    row = pc.server.assigned[ID]
    take_back(pc)
    pc.once()
    pc.server.cancels = ()
    pc.server.assigned[ID] = row
    pc.once()
    assert (pc.files(), pc.server.codes, pc.runner.started) == (set(), [], [])
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.codes_in_history() == ["CANCELLED", "SUCCESS"]


def test_what_runs_goes_on_and_says_so_once(pc: Computer) -> None:
    pc.runner.running = True
    agent = pc.agent()
    agent.poll()
    agent.step(pc.clock.now() + timedelta(minutes=1))
    take_back(pc)
    for _ in range(3):
        pc.clock.advance(minutes=5)
        agent.poll()
        agent.step(pc.clock.now() + timedelta(minutes=1))
    said = [each for each in pc.server.events if "goes on" in each.reason]
    assert [(each.state, each.attempt) for each in said] == [("RUNNING", pc.server.attempt)]
    pc.runner.running = False
    agent.step()
    assert pc.server.codes == ["SUCCESS"]


def test_what_ended_says_how(pc: Computer) -> None:
    pc.runner.exit_codes = [3]
    pc.once()
    take_back(pc)
    pc.server.events.clear()
    pc.once()
    (event,) = pc.server.events
    assert (event.state, event.exit_code) == ("DONE", 3)
    assert event.reason.startswith("ended with ERR_EXIT_CODE_3")
    assert pc.server.codes == ["ERR_EXIT_CODE_3"]


def test_what_never_came_is_said_to_be_gone(pc: Computer) -> None:
    attempt = take_back(pc)
    pc.once()
    (event,) = pc.server.events
    assert (event.state, event.attempt) == ("CANCELLED", attempt)
    assert event.reason == "it is not on this computer"


def test_a_newer_attempt_is_not_meant(pc: Computer) -> None:
    bring_to(pc, State.DOWNLOADING)
    old = take_back(pc)
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert ("CANCELLED", old) in [(each.state, each.attempt) for each in pc.server.events]


def test_a_folder_that_stays_does_not_move_any_more(pc: Computer) -> None:
    bring_to(pc, State.UNPACKED)
    remove, stuck = pc.disk.remove_folder, [True]

    def sticky(path: Path) -> None:
        if stuck[0] and path.name == "tree":
            raise CleanFailed("it is protected")
        remove(path)

    pc.disk.remove_folder = sticky  # type: ignore[method-assign]
    take_back(pc)
    pc.once()
    pc.server.reachable = ServerUnreachable("away")
    agent = pc.agent()
    agent.step()
    assert pc.runner.started == []
    assert pc.files() != set()
    stuck[0] = False
    pc.agent()
    assert pc.files() == set()


def test_an_ocs_server_cancels_nothing(pc: Computer) -> None:
    pc.server.ours = False
    bring_to(pc, State.DOWNLOADING)
    pc.server.cancels = ((ID, 1),)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


# Killed at every moment of it. tests/faults kills it everywhere else too.


class Killed(BaseException):
    """Nothing catches it."""


class DyingDisk(QuickDisk):
    """Dies at a numbered moment, counted from 1; it lives again when that is None."""

    def __init__(self) -> None:
        self.moments: list[str] = []
        self.kill: int | None = None
        self.dead = False

    def moment(self, what: str) -> None:
        self.moments.append(what)
        self.dead = self.dead or len(self.moments) == self.kill
        if self.dead:
            raise Killed(what)

    def rename(self, source: Path, target: Path) -> None:
        self.moment(f"before rename {target.name}")
        super().rename(source, target)
        self.moment(f"after rename {target.name}")

    def append(self, path: Path, data: bytes) -> None:
        self.moment(f"before append {path.name}")
        super().append(path, data)

    def remove_folder(self, path: Path) -> None:
        self.moment(f"before remove {path.name}")
        super().remove_folder(path)
        self.moment(f"after remove {path.name}")


def cancelled_and_killed(
    folder: Path, state: State, kill: int | None
) -> tuple[Computer, list[str]]:
    """Bring a package to ``state``, take it back, and let the agent die at moment ``kill``."""
    disk = DyingDisk()
    pc = Computer(folder, disk=disk)
    pc.server.publish()
    pc.server.assign()
    bring_to(pc, state)
    take_back(pc)
    disk.moments.clear()
    disk.kill = kill
    with suppress(Killed):
        pc.once()
    moments = list(disk.moments)
    disk.kill, disk.dead = None, False
    return pc, moments


@pytest.mark.parametrize("state", [State.DOWNLOADING, State.UNPACKED])
def test_once_in_history_a_kill_cannot_bring_it_back(
    tmp_path_factory: pytest.TempPathFactory, state: State
) -> None:
    def folder() -> Path:
        return tmp_path_factory.mktemp("life")

    _, moments = cancelled_and_killed(folder(), state, None)
    named = [f"before rename {ID}_" in what and "CANCELLED" in what for what in moments]
    entered = named.index(True) + 1
    assert any("remove" in what for what in moments[entered:])
    for kill in range(1, len(moments) + 1):
        pc, _ = cancelled_and_killed(folder(), state, kill)
        known = pc.codes_in_history() == ["CANCELLED"]
        assert known is (kill > entered), moments[kill - 1]
        if known:  # nobody reminds the agent before it works again
            pc.agent().step()
            assert pc.runner.started == [], moments[kill - 1]
        pc.once()
        assert (pc.files(), pc.server.codes, pc.runner.started) == (set(), [], [])
        assert pc.server.events[-1].state == "CANCELLED"


def test_the_search_for_lost_cancellations_finds_one(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploy_agent.services.contact import Contact

    monkeypatch.setattr(Contact, "drop_cancelled", lambda self: None)
    with pytest.raises(AssertionError):
        test_once_in_history_a_kill_cannot_bring_it_back(tmp_path_factory, State.DOWNLOADING)
