"""The pace of the whole agent, by a clock that only moves when the agent sleeps."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import HttpRefusal, HttpStatus, ServerUnreachable
from deploy_agent.machine.runner import Job
from deploy_agent.services.waiting import For, Patience
from deploy_agent.wire.replies import DownloadSettings
from tests.support.clock import START
from tests.support.computer import Computer
from tests.support.simulator import QUICK

ID = "1800000001"
SILENT = ServerUnreachable("connection refused")


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def give(pc: Computer, *packages: tuple[int, int], settings: DownloadSettings = QUICK) -> None:
    """Publish and assign packages given as (priority, fragments); ids from ...1 on."""
    pc.server.settings = settings
    for number, (priority, fragments) in enumerate(packages, 1):
        package_id = f"180000000{number}"
        pc.server.publish(package_id, fragments=fragments, priority=priority)
        pc.server.assign(package_id)


def times_of(pc: Computer, run: Callable[[], object]) -> list[tuple[float, str]]:
    """When each file was asked for and each action was started, in seconds from the beginning."""
    seen: list[tuple[float, str]] = []

    def now() -> float:
        return (pc.clock.now() - START).total_seconds()

    def get(url: str, *, no_cache: bool) -> bytes:
        seen.append((now(), url.rpartition("/")[2]))
        return get_file(url, no_cache=no_cache)

    def start(job: Job, folder: Path) -> None:
        seen.append((now(), "action"))
        start_job(job, folder)

    get_file, start_job = pc.server._get, pc.runner.start
    pc.server._get = get  # type: ignore[method-assign]
    pc.runner.start = start  # type: ignore[method-assign]
    run()
    return seen


def test_the_seeds_example_in_seconds(pc: Computer) -> None:
    """Priority 5, latencies 10 and 60: cycles begin each minute, the fifth ones move."""
    give(pc, (5, 2), settings=DownloadSettings())
    assert times_of(pc, lambda: pc.once(wait=True)) == [
        (0, "info"),
        (240, "fragments.sha256"),
        (240, f"{ID}-1"),
        (550, f"{ID}-2"),
        (860, "action"),
    ]


def test_all_latencies_together(pc: Computer) -> None:
    latencies = DownloadSettings(
        frag_latency_s=1, cycle_latency_s=10, period_latency_s=100, period_length=2
    )
    give(pc, (1, 3), settings=latencies)
    found = times_of(pc, lambda: pc.once(wait=True))
    assert [each for each in found if each[1] not in ("info", "fragments.sha256")] == [
        (0, f"{ID}-1"),
        (11, f"{ID}-2"),
        (122, f"{ID}-3"),
        (133, "action"),
    ]


def test_no_wait_takes_every_latency_as_0(pc: Computer) -> None:
    give(pc, (1, 3), (5, 2), (0, 2), settings=DownloadSettings(period_latency_s=9))
    assert pc.once().exit_status == 0
    assert pc.clock.sleeps == []
    assert pc.server.codes == ["SUCCESS"] * 3


def test_priority_0_first_then_by_priority_and_id(pc: Computer) -> None:
    give(pc, (2, 1), (1, 2), (0, 2), (1, 1))
    pc.once()
    order = [url.rpartition("/")[2] for url in pc.server.requests]
    fragments = [name for name in order if name[-2] == "-"]
    assert fragments == [
        *["1800000003-1", "1800000003-2"],
        # Cycle 4: both of priority 1, and since 4 mod 2 = 0 the one of priority 2.
        *["1800000002-1", "1800000004-1", "1800000001-1"],
        "1800000002-2",
    ]


def test_a_priority_above_the_period_is_named_as_waiting(pc: Computer) -> None:
    give(pc, (10, 1), settings=replace(QUICK, period_length=5))
    left = pc.once(wait=True)
    assert left.exit_status == 3
    assert "priority 10 is above the period's length of 5" in left.waiting[0][1]
    assert pc.clock.sleeps == []


def test_a_priority_0_that_gets_no_answer_keeps_others_back_for_a_while(pc: Computer) -> None:
    give(pc, (1, 1), (0, 1))
    pc.server.fail("1800000002-1", SILENT, package_id="1800000002")
    left = pc.once()
    assert [waiting for waiting, _ in left.waiting] == ["1800000002"]
    asked = [url.rpartition("/")[2] for url in pc.server.requests if "-" in url[-3:]]
    assert asked == ["1800000002-1"] * 3 + ["1800000001-1"]


def test_a_priority_0_that_is_refused_is_asked_once_a_second(pc: Computer) -> None:
    give(pc, (0, 1))
    pc.server.fail(f"{ID}-1", HttpRefusal("404", status=404))
    pc.once(wait=True)
    assert pc.server.codes == ["ERR_DOWNLOAD_PACK"]
    assert pc.clock.sleeps == [1.0] * 4


def test_an_info_file_is_asked_for_at_the_contact_and_before_each_period(pc: Computer) -> None:
    give(pc, (1, 1), settings=DownloadSettings(cycle_latency_s=6, period_length=10))
    pc.server.fail("info", HttpRefusal("404", status=404))
    times = times_of(pc, lambda: pc.once(wait=True))
    assert times == [(0, "info"), (5, "info"), (65, "info"), (125, "info"), (185, "info")]
    assert pc.server.codes == ["ERR_DOWNLOAD_INFO"]


def test_where_periods_last_no_time_a_refused_info_file_rests(pc: Computer) -> None:
    give(pc, (1, 1))
    pc.server.fail("info", HttpRefusal("404", status=404))
    times = times_of(pc, lambda: pc.once(wait=True))
    assert times == [(0, "info"), (5, "info"), (15, "info"), (35, "info"), (75, "info")]
    assert pc.clock.sleeps == [5, 10, 20, 40], "and nothing happens in between"
    assert pc.server.codes == ["ERR_DOWNLOAD_INFO"]


def test_others_go_on_while_a_refused_info_file_rests(pc: Computer) -> None:
    give(pc, (1, 3), (1, 3))
    pc.server.fail("info", HttpRefusal("404", status=404))
    running = daemon(pc)
    running.poll()
    running.run_until(START + timedelta(seconds=1))
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.asked()["info"] == 1
    again = daemon(pc)  # the rest is on the disk
    again.run_until(START + timedelta(seconds=4))
    assert pc.server.asked()["info"] == 1


# The daemon's way: polls and steps in any order.


def daemon(pc: Computer) -> "Daemon":
    return Daemon(pc)


class Daemon:
    """Drives an agent as daemon.py does, by the clock."""

    def __init__(self, pc: Computer) -> None:
        self.pc = pc
        self.agent = pc.agent(Patience())
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1
        self.agent.poll()

    def run_until(self, end: datetime) -> None:
        """Step and sleep until ``end``."""
        clock = self.pc.clock
        while clock.now() < end:
            wait = self.agent.step(end)
            left = (end - clock.now()).total_seconds()
            clock.sleep(left if wait is None else min(left, wait.seconds))


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def test_a_daemon_waits_between_moves(pc: Computer) -> None:
    give(pc, (5, 2), settings=DownloadSettings())
    living = daemon(pc)
    living.poll()
    living.run_until(minutes(10))
    assert pc.server.asked()[f"{ID}-2"] == 1
    assert pc.server.codes == []
    living.run_until(minutes(20))
    assert pc.server.codes == ["SUCCESS"]
    assert living.agent.step() is None


def test_new_latencies_cut_a_pause_short(pc: Computer) -> None:
    give(pc, (1, 2), settings=DownloadSettings(cycle_latency_s=3600))
    living = daemon(pc)
    living.poll()
    living.run_until(minutes(1))
    pc.server.settings = QUICK
    living.poll()
    living.run_until(minutes(2))
    assert pc.server.codes == ["SUCCESS"]


def test_switching_off_in_mid_download_counts_at_once(pc: Computer) -> None:
    give(pc, (1, 3), settings=DownloadSettings(cycle_latency_s=30))
    living = daemon(pc)
    living.poll()
    living.run_until(minutes(0.5))
    asked = len(pc.server.requests)
    pc.server.settings = replace(QUICK, on=False)
    living.poll()
    living.run_until(minutes(90))
    assert len(pc.server.requests) == asked
    pc.server.settings = QUICK
    living.poll()
    living.run_until(minutes(91))
    assert pc.server.codes == ["SUCCESS"]


def test_a_new_offer_joins_at_the_next_period(pc: Computer) -> None:
    slow = DownloadSettings(frag_latency_s=0, cycle_latency_s=60, period_length=5)
    give(pc, (1, 9), settings=slow)
    living = daemon(pc)
    living.poll()
    living.run_until(minutes(1.5))
    pc.server.publish("1800000002", fragments=0)
    pc.server.assign("1800000002")
    living.poll()
    living.run_until(minutes(4.9))
    assert "1800000002" not in pc.server.codes
    assert pc.runner.started == []
    living.run_until(minutes(5.1))
    assert len(pc.runner.started) == 1


def test_an_outage_of_two_days_in_mid_download_ends_in_success(pc: Computer) -> None:
    give(pc, (1, 3))
    for number in (1, 2, 3):
        pc.server.fail(f"{ID}-{number}", SILENT)
    living = daemon(pc)
    living.poll()
    living.run_until(START + timedelta(days=2))
    asked = len(pc.server.requests)
    assert asked < 250, "about every quarter of an hour is enough"
    pc.server.faults.clear()
    living.run_until(START + timedelta(days=2, minutes=16))
    assert pc.server.codes == ["SUCCESS"]


def test_a_result_is_kept_until_the_server_has_it(pc: Computer) -> None:
    give(pc, (1, 1))
    living = daemon(pc)
    living.poll()
    pc.server.report_fault = HttpStatus("503", status=503)
    living.run_until(START + timedelta(hours=5))
    assert pc.server.codes == []
    assert pc.codes_in_history() == ["SUCCESS"]
    assert pc.files() >= {"record.json"}
    assert f"{ID}-1" not in pc.files()
    pc.server.report_fault = None
    living.run_until(START + timedelta(hours=5, minutes=16))
    assert pc.server.codes == ["SUCCESS"]
    assert pc.files() == set()
    assert len(pc.runner.started) == 1


def test_a_lost_acknowledgement_is_a_repeat(pc: Computer) -> None:
    give(pc, (1, 1))
    pc.server.lose_acknowledgements = 2
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"] * 3
    assert len(set(pc.server.reports)) == 1


def test_once_gives_up_on_a_server_that_takes_no_result(pc: Computer) -> None:
    give(pc, (1, 1))
    pc.server.report_fault = HttpStatus("503", status=503)
    left = pc.once(wait=True)
    assert left.exit_status == 1
    assert left.unreported == (ID,)
    assert pc.clock.sleeps == [2.0, 4.0]


def test_an_idle_agent_says_so(pc: Computer) -> None:
    agent = daemon(pc).agent
    agent.poll()
    assert agent.step() is None
    assert agent.standings() == []


def test_a_scheduled_package_says_until_when(pc: Computer) -> None:
    give(pc, (1, 1))
    pc.server.offer(schedule="2026/11/21 13:30")
    living = daemon(pc)
    living.poll()
    wait = living.agent.step()
    assert wait is not None
    assert (wait.what, wait.seconds) == (For.TIME, 3.5 * 3600)
    living.run_until(minutes(3.5 * 60 + 1))
    assert pc.server.codes == ["SUCCESS"]


def test_a_step_ends_when_a_contact_is_due(pc: Computer) -> None:
    give(pc, (1, 9))
    agent = daemon(pc).agent
    agent.poll()
    wait = agent.step(pc.clock.now())
    assert wait is not None
    assert wait.seconds == 0
    assert f"{ID}-1" not in pc.server.asked()


def test_a_clock_that_is_put_back_makes_no_pause_longer(pc: Computer) -> None:
    give(pc, (1, 2), settings=DownloadSettings(cycle_latency_s=60))
    agent = daemon(pc).agent
    agent.poll()
    agent.step()
    pc.clock.advance(days=-300)
    wait = agent.step()
    assert wait is not None
    assert wait.seconds <= 60


def test_many_packages_are_worked_off(pc: Computer) -> None:
    pc.server.settings = QUICK
    ids = [str(1_800_000_000 + number) for number in range(50)]
    for package_id in ids:
        pc.server.publish(package_id, fragments=0)
        pc.server.assign(package_id)
    assert pc.once().exit_status == 0
    assert len(pc.runner.started) == 50
    assert pc.store.ids() == []
