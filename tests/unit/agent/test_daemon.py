"""When the daemon contacts and works, by a scheduler that only writes down and a clock of ours."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread, current_thread

import pytest

from deploy_agent.daemon import Daemon, OneThread
from deploy_agent.domain.errors import HttpStatus, ServerUnreachable, StoreError
from deploy_agent.domain.record import Reply
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.info import Notification
from deploy_agent.wire.replies import DownloadSettings
from tests.support.clock import START
from tests.support.computer import Computer
from tests.support.dialogs import ALICE
from tests.support.simulator import QUICK


@dataclass
class Plan:
    """A scheduler for one thread, driven by the test."""

    pc: Computer
    jobs: dict[str, tuple[datetime, Callable[[], None]]] = field(default_factory=dict)
    wakes: list[tuple[float, str]] = field(default_factory=list)
    stopped: bool = False

    def at(self, time: datetime, name: str, job: Callable[[], None]) -> None:
        self.jobs[name] = (time, job)

    def stop(self) -> None:
        self.stopped = True

    def run_until(self, end: datetime) -> None:
        clock = self.pc.clock
        while not self.stopped:
            name, (time, job) = min(self.jobs.items(), key=lambda each: (each[1][0], each[0]))
            if time > end:
                break
            clock.time = max(clock.time, time)
            del self.jobs[name]
            self.wakes.append(((clock.now() - START).total_seconds(), name))
            job()
        clock.time = max(clock.time, end)

    def contacts(self) -> list[float]:
        return [when for when, name in self.wakes if name == "contact"]


@dataclass
class Running:
    pc: Computer
    plan: Plan
    daemon: Daemon


def start(pc: Computer, *, interval_min: int = 60, jitter: float = 0.5) -> Running:
    plan = Plan(pc)
    agent = pc.agent(Patience())
    daemon = Daemon(agent, plan, pc.clock, interval_min=interval_min, jitter=lambda: jitter)
    daemon.begin()
    return Running(pc, plan, daemon)


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def hours(number: float) -> datetime:
    return START + timedelta(hours=number)


def test_the_first_contact_is_at_once_then_as_the_server_says(pc: Computer) -> None:
    running = start(pc)
    running.plan.run_until(hours(3.5))
    assert running.plan.contacts() == [0, 3600, 7200, 10800]


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 3240), (1.0, 3960)])
def test_contacts_have_jitter(pc: Computer, jitter: float, seconds: float) -> None:
    running = start(pc, jitter=jitter)
    running.plan.run_until(hours(1.5))
    assert running.plan.contacts() == [0, seconds]


def test_an_ocs_servers_interval_is_in_hours(pc: Computer) -> None:
    pc.server.ours = False
    running = start(pc)
    running.plan.run_until(hours(50))
    assert running.plan.contacts() == [0, 24 * 3600, 48 * 3600]


def test_another_interval_counts_from_the_contact_that_says_so(pc: Computer) -> None:
    reply = "<REPLY><RESPONSE>STOP</RESPONSE><PROLOG_FREQ>{}</PROLOG_FREQ></REPLY>"
    pc.server.prolog_reply = reply.format(2).encode()
    running = start(pc)
    running.plan.run_until(hours(3))
    pc.server.prolog_reply = reply.format(1).encode()
    running.plan.run_until(hours(5.5))
    pc.server.prolog_reply = reply.format(3).encode()
    running.plan.run_until(hours(10))
    assert running.plan.contacts() == [0, 7200, 4 * 3600, 5 * 3600, 6 * 3600, 9 * 3600]


def test_without_an_answer_the_configuration_bounds_the_tries(pc: Computer) -> None:
    pc.server.reachable = ServerUnreachable("connection refused")
    running = start(pc, interval_min=10, jitter=1.0)
    running.plan.run_until(hours(1))
    gaps = [b - a for a, b in pairwise(running.plan.contacts())]
    assert gaps[:6] == [60, 120, 240, 480, 600, 600]


def test_retry_after_is_obeyed(pc: Computer) -> None:
    pc.server.reachable = HttpStatus("503", status=503, retry_after_s=1000)
    running = start(pc)
    running.plan.run_until(START + timedelta(seconds=1999))
    assert running.plan.contacts() == [0, 1000]


def test_retry_after_is_obeyed_for_longer_than_any_interval(pc: Computer) -> None:
    """It is no clock that was put back."""
    pc.server.reachable = HttpStatus("503", status=503, retry_after_s=20 * 3600)
    running = start(pc)
    running.plan.run_until(hours(19.9))
    assert running.plan.contacts() == [0]


def test_after_an_outage_the_interval_is_the_servers_again(pc: Computer) -> None:
    running = start(pc)
    running.plan.run_until(START)
    pc.server.reachable = ServerUnreachable("connection refused")
    running.plan.run_until(hours(1.01))
    pc.server.reachable = None
    running.plan.run_until(hours(1.2))
    count = len(running.plan.contacts())
    running.plan.run_until(hours(2))
    assert len(running.plan.contacts()) == count


def test_a_restart_contacts_within_seconds(pc: Computer) -> None:
    start(pc).plan.run_until(START + timedelta(minutes=1))
    again = start(pc)
    again.plan.run_until(START + timedelta(minutes=3))
    assert again.plan.contacts() == [65]


def test_a_server_that_wants_no_contact_at_start_gets_none(pc: Computer) -> None:
    pc.server.prolog_reply = (
        b"<REPLY><RESPONSE>STOP</RESPONSE><PROLOG_FREQ>2</PROLOG_FREQ>"
        b"<INVENTORY_ON_STARTUP>0</INVENTORY_ON_STARTUP></REPLY>"
    )
    start(pc).plan.run_until(hours(1))
    again = start(pc)
    again.plan.run_until(hours(1.9))
    assert again.plan.contacts() == []
    again.plan.run_until(hours(2.1))
    assert again.plan.contacts() == [7200]


def test_idle_it_wakes_once_a_minute(pc: Computer) -> None:
    running = start(pc)
    running.plan.run_until(hours(0.9))
    works = [when for when, name in running.plan.wakes if name == "work"]
    assert len(works) <= 56
    assert min(b - a for a, b in pairwise(works[1:])) >= 60


def test_packages_are_worked_off_between_contacts(pc: Computer) -> None:
    pc.server.settings = DownloadSettings(cycle_latency_s=5, frag_latency_s=1)
    pc.server.publish()
    pc.server.assign()
    running = start(pc)
    running.plan.run_until(START + timedelta(minutes=2))
    assert pc.server.codes == ["SUCCESS"]
    assert running.plan.contacts() == [0]


def test_work_goes_on_from_where_a_dead_daemon_left_it(pc: Computer) -> None:
    pc.server.settings = DownloadSettings(cycle_latency_s=600)
    pc.server.publish()
    pc.server.assign()
    start(pc).plan.run_until(START + timedelta(minutes=1))
    pc.server.reachable = ServerUnreachable("connection refused")
    start(pc).plan.run_until(START + timedelta(minutes=2))
    assert pc.server.asked()["1800000001-2"] == 1


def test_a_long_action_keeps_no_contact_from_happening(pc: Computer) -> None:
    pc.server.settings = QUICK
    pc.server.publish(fragments=0)
    pc.server.assign()
    pc.runner.running = True
    wait = pc.runner.wait

    def takes_time(folder: Path, timeout_s: float | None = None) -> object:
        assert timeout_s is not None
        pc.clock.advance(seconds=timeout_s)
        return wait(folder, timeout_s)

    pc.runner.wait = takes_time  # type: ignore[method-assign,assignment]
    running = start(pc)
    running.plan.run_until(hours(2.5))
    assert len(running.plan.contacts()) == 3
    pc.runner.running = False
    running.plan.run_until(hours(3.5))
    assert pc.server.codes == ["SUCCESS"]


def test_a_clock_that_was_put_back_does_not_silence_the_daemon(pc: Computer) -> None:
    running = start(pc)
    running.plan.run_until(START + timedelta(minutes=1))
    pc.clock.advance(days=-30)
    running.plan.jobs["work"] = (pc.clock.now(), running.plan.jobs["work"][1])
    running.plan.run_until(pc.clock.now() + timedelta(minutes=2))
    assert len(running.plan.contacts()) == 2


def test_a_state_that_cannot_be_written_stops_it_with_its_status(
    pc: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(pc)

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(pc.server, "post", full)
    running.plan.run_until(hours(1))
    assert running.plan.stopped
    assert running.daemon.exit_status == 4


def test_a_fault_of_our_own_stops_it_with_a_trace(
    pc: Computer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = start(pc)
    monkeypatch.setattr(pc.server, "post", lambda message: 1 / 0)
    running.plan.run_until(hours(1))
    assert running.plan.stopped
    assert running.daemon.exit_status == 70
    assert "ZeroDivisionError" in caplog.text


def test_work_that_is_planned_while_it_runs_is_not_lost(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    scheduler = OneThread()
    runs, at_once = [], Event()
    threads = set()

    def work() -> None:
        runs.append(len(runs))
        threads.add(current_thread())
        if len(runs) < 4:
            scheduler.at(datetime.now(UTC), "work", work)
            at_once.wait(0.2)  # the scheduler hands the next one over meanwhile
        else:
            Thread(target=scheduler.stop).start()

    scheduler.at(datetime.now(UTC), "work", work)
    runner = Thread(target=scheduler.run, daemon=True)
    runner.start()
    runner.join(10)
    assert (runs, len(threads)) == ([0, 1, 2, 3], 1)
    assert [each for each in caplog.messages if "skipped" in each] == []
    assert capfd.readouterr().err == ""


def test_an_answer_wakes_it_and_a_question_alone_does_not(pc: Computer) -> None:
    """A question may stand for days: no more than a look at the clock each minute."""
    pc.server.publish(notification=Notification("May I?", countdown_s=0))
    pc.server.assign()
    pc.dialog.users = [ALICE]
    running = start(pc)
    running.plan.run_until(hours(0.5))
    (window,) = pc.dialog.windows
    running.plan.wakes.clear()
    running.plan.run_until(hours(0.9))
    assert len(running.plan.wakes) <= 24 + 1
    window.say(Reply.NOW)
    assert "wake" in running.plan.jobs
    running.plan.run_until(pc.clock.now())
    assert pc.server.codes == ["SUCCESS"]


def test_a_countdown_ends_on_time(pc: Computer) -> None:
    pc.server.publish(notification=Notification("May I?", countdown_s=137))
    pc.server.assign()
    pc.dialog.users = [ALICE]
    running = start(pc)
    running.plan.run_until(START + timedelta(seconds=136))
    assert pc.runner.started == []
    running.plan.run_until(START + timedelta(seconds=137))
    assert pc.server.codes == ["SUCCESS"]
