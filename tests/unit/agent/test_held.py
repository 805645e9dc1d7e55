"""What the agent names as held, and that a restored state folder repeats nothing."""

import shutil
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import ServerUnreachable
from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import State
from deploy_agent.machine.memory import Memory, MemoryFile
from deploy_agent.services.held import Held
from deploy_agent.services.packages import Packages
from deploy_agent.wire.messages import Prolog, parse_request
from deploy_agent.wire.replies import PackageOffer
from deploy_agent.wire.terms import HELD_MAX, Action
from tests.support.clock import START
from tests.support.computer import Computer, bring_to
from tests.support.simulator import ServerSimulator
from tests.unit.agent.test_daemon import start

ID = "1800000001"
BEFORE = [State.OFFERED, State.DOWNLOADING, State.COMPLETE, State.VERIFIED, State.UNPACKED]


@dataclass
class Knowing(ServerSimulator):
    """A server that cancels what it is asked about and is over.

    Attributes:
        held: what each PROLOG named.
        over: (package id, attempt).
    """

    held: list[tuple[tuple[str, int], ...]] = field(default_factory=list)
    over: set[tuple[str, int]] = field(default_factory=set)

    def post(self, message: bytes) -> bytes:
        request = parse_request(message)
        if isinstance(request, Prolog) and self.reachable is None:
            self.held.append(request.held)
            self.cancels = tuple(each for each in request.held if each in self.over)
        return super().post(message)


@dataclass
class Pc(Computer):
    """A computer of such a server."""

    server: Knowing = field(default_factory=Knowing)


@pytest.fixture
def pc(tmp_path: Path) -> Pc:
    computer = Pc(tmp_path / "pc")
    computer.server.publish()
    computer.server.assign()
    return computer


def end_and_restore(pc: Pc) -> tuple[str, int]:
    """Let the package end, then bring back the state folder as it is now."""
    kept = pc.folder.with_name("backup")
    shutil.copytree(pc.folder, kept)
    pc.once()
    shutil.rmtree(pc.folder)
    kept.rename(pc.folder)
    place = (ID, pc.server.attempt)
    pc.server.over.add(place)
    return place


@pytest.mark.parametrize("state", BEFORE)
def test_a_restored_folder_does_not_repeat_what_ended(pc: Pc, state: State) -> None:
    bring_to(pc, state)
    place = end_and_restore(pc)
    assert (pc.server.codes, len(pc.runner.started)) == (["SUCCESS"], 1)
    pc.once()
    assert (pc.server.codes, len(pc.runner.started)) == (["SUCCESS"], 1)
    assert pc.server.held[-1] == (place,)
    assert pc.files() == set()
    (entry,) = pc.history.read_all()
    assert entry["result"]["code"] == "CANCELLED"
    assert "knows its end" in entry["result"]["detail"]
    pc.once()
    assert pc.server.held[-1] == ()


@pytest.mark.parametrize("state", BEFORE)
def test_a_daemon_asks_before_it_acts(pc: Pc, state: State) -> None:
    bring_to(pc, state)
    end_and_restore(pc)
    running = start(pc)
    running.plan.run_until(pc.clock.now() + timedelta(minutes=5))
    assert (pc.server.codes, len(pc.runner.started)) == (["SUCCESS"], 1)
    assert running.plan.wakes[0][1] == "contact"


def test_a_daemon_that_reaches_nobody_works_as_ever(pc: Pc) -> None:
    bring_to(pc, State.UNPACKED)
    pc.server.reachable = ServerUnreachable("connection refused")
    running = start(pc)
    running.plan.run_until(pc.clock.now() + timedelta(seconds=30))
    assert len(pc.runner.started) == 1
    pc.server.reachable = None
    running.plan.run_until(pc.clock.now() + timedelta(minutes=5))
    assert pc.server.codes == ["SUCCESS"]


def test_a_daemon_that_was_not_to_contact_at_start_asks_where_it_holds_packages(
    pc: Pc,
) -> None:
    bring_to(pc, State.DOWNLOADING)
    agent = pc.agent()
    agent.contact._save(inventory_on_startup=False)
    running = start(pc)
    running.plan.run_until(pc.clock.now() + timedelta(seconds=30))
    assert running.plan.contacts()


@pytest.mark.parametrize("max_tries", [1, 3])
def test_what_was_restored_while_it_ran_is_not_run_again(pc: Pc, max_tries: int) -> None:
    pc.max_exec_tries = max_tries
    if max_tries == 1:
        pc.server.set_info(replace(pc.server.info(), action=Action.STORE, target=str(pc.folder)))
    bring_to(pc, State.RUNNING)
    run = pc.store.path(ID, "run-1")
    shutil.rmtree(run)  # whatever was there before the runner took it
    run.mkdir()
    (run / "job.json").write_text("{}")
    shutil.copytree(pc.folder, pc.folder.with_name("backup"))
    pc.once()
    ran = len(pc.runner.started)
    shutil.rmtree(pc.folder)
    pc.folder.with_name("backup").rename(pc.folder)
    pc.server.over.add((ID, pc.server.attempt))
    pc.once()
    assert len(pc.runner.started) == ran
    assert pc.server.codes == ["SUCCESS", "ERR_DONE_FAILED"]
    assert pc.files() == set()


def test_others_than_our_server_are_told_nothing(pc: Pc) -> None:
    bring_to(pc, State.DOWNLOADING)
    pc.server.ours = False
    pc.once()
    assert pc.server.held[-1], "it was ours until it answered"
    pc.once()
    assert pc.server.held[-1] == ()


def test_another_server_that_the_computer_was_given_is_told_nothing(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "server.json")
    file.save(Memory(ours=True, server="https://one/ocsinventory"))
    assert file.load().of("https://one/ocsinventory").ours
    assert not file.load().of("https://other/ocsinventory").ours
    assert Memory(ours=True).of("https://one/ocsinventory").ours, "an older agent wrote no URL"


def test_what_ended_is_not_held(pc: Pc) -> None:
    pc.server.report_fault = ServerUnreachable("connection refused")
    pc.once()
    pc.server.report_fault = None
    pc.once()
    assert pc.server.held == [(), ()]


def test_those_that_do_not_fit_are_named_next_and_the_nearest_first(tmp_path: Path) -> None:
    pc = Computer(tmp_path)
    packages = Packages(pc.store)
    for number in range(HELD_MAX + 2):
        offer = PackageOffer(str(1_800_000_000 + number), "h/p", "h/p", attempt=number)
        state = State.UNPACKED if number > HELD_MAX else State.OFFERED
        packages.begin(PackageRecord(offer, START, state))
    packages.begin(PackageRecord(PackageOffer("1900000000", "h/p", "h/p"), START))
    held = Held(packages)
    first = held.name()
    assert len(first) == HELD_MAX
    assert first[:2] == ((str(1_800_000_000 + HELD_MAX + 1), HELD_MAX + 1), ("1800000000", 0))
    held.answered(first)
    assert held.is_unasked()
    second = held.name()
    assert set(second[:2]).isdisjoint(first)
    held.answered(second)
    assert not held.is_unasked()
