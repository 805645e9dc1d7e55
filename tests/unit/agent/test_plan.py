"""The rule of moves, driven without clock or disk: a small world that counts fragments."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.domain.plan import (
    Move,
    Moved,
    Pause,
    Planned,
    Readiness,
    Why,
    can_ever_move,
    plan_period,
)
from deploy_agent.wire.replies import DownloadSettings

SEED = DownloadSettings()  # the seed's latencies: 10, 60 and 0 s, length 10


@dataclass
class World:
    """Packages as (priority, moves left); one left is the move that joins and acts."""

    content: dict[str, tuple[int | None, int]]
    now: DownloadSettings = SEED
    readiness: dict[str, Readiness] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    before_step: Callable[["World"], None] = lambda world: None

    def settings(self) -> DownloadSettings:
        return self.now

    def packages(self) -> list[Planned]:
        return [
            Planned(name, priority, self.readiness.get(name, Readiness.MOVES))
            for name, (priority, left) in self.content.items()
            if left
        ]

    def may_move(self, package_id: str) -> bool:
        ready = self.readiness.get(package_id, Readiness.MOVES)
        return ready is Readiness.MOVES and self.content.get(package_id, (0, 0))[1] > 0

    def move(self, name: str) -> Moved:
        priority, left = self.content[name]
        if name in self.fails:
            return Moved(used_network=True, failed=True)
        self.content[name] = (priority, left - 1)
        return Moved(used_network=left > 1)

    def period(self) -> list[str]:
        plan = plan_period(self)
        answer: Moved | None = None
        while True:
            self.before_step(self)
            try:
                step = plan.send(answer)
            except StopIteration:
                return self.trace
            if isinstance(step, Pause):
                self.trace.append(f"{step.why.name.lower()} {step.seconds:g}")
                answer = None
            else:
                self.trace.append(step.package_id)
                answer = self.move(step.package_id)


def test_all_packages_are_looked_at_once_a_cycle_and_after_a_pause() -> None:
    class Counting(World):
        looks = 0

        def packages(self) -> list[Planned]:
            self.looks += 1
            return super().packages()

    content: dict[str, tuple[int | None, int]] = {"a": (1, 99), "waits": (1, 99)}
    readiness = {"waits": Readiness.WAITS}
    free = DownloadSettings(frag_latency_s=0, cycle_latency_s=0)
    quick = Counting(dict(content), free, dict(readiness))
    quick.period()
    assert quick.looks == 1 + 1 + 10  # the members, the first cycle, after each cycle
    slow = Counting(dict(content), DownloadSettings(frag_latency_s=0), dict(readiness))
    slow.period()
    assert slow.looks == 1 + 1 + 10 + 10


def test_the_seeds_example_priority_5_pauses_four_cycles_then_fetches() -> None:
    world = World({"a": (5, 3)})
    assert world.period() == [
        *["cycle 60"] * 4,
        *["a", "fragment 10", "cycle 60"],
        *["cycle 60"] * 4,
        *["a", "fragment 10", "cycle 60"],
    ]


def test_the_action_comes_at_the_next_multiple_and_needs_no_fragment_pause() -> None:
    world = World({"a": (5, 2)})
    assert world.period()[5:] == ["fragment 10", "cycle 60", *["cycle 60"] * 4, "a"]


def test_priorities_5_and_10_cycle_5_moves_the_first_cycle_10_both() -> None:
    world = World({"b": (5, 9), "a": (10, 9)}, replace(SEED, cycle_latency_s=1))
    trace = world.period()
    cycles = " ".join(trace).split("cycle 1")
    assert [part.split() for part in cycles[:-1]] == [
        *[[]] * 4,
        ["b", "fragment", "10"],
        *[[]] * 4,
        ["b", "fragment", "10", "a", "fragment", "10"],
    ]


def test_priorities_1_2_and_5_move_in_the_cycles_they_divide() -> None:
    world = World({"e": (5, 9), "b": (2, 9), "a": (1, 99)}, replace(SEED, frag_latency_s=0))
    cycles = " ".join(world.period()).split("cycle 60")
    assert [part.split() for part in cycles[:10]] == [
        *[["a"], ["a", "b"], ["a"], ["a", "b"], ["a", "e"]],
        *[["a", "b"], ["a"], ["a", "b"], ["a"], ["a", "b", "e"]],
    ]


def test_priority_above_the_period_length_never_moves() -> None:
    world = World({"a": (10, 2)}, replace(SEED, period_length=5))
    assert world.period() == ["cycle 60"] * 5
    assert not can_ever_move(10, world.now)
    assert can_ever_move(5, world.now)
    assert can_ever_move(0, world.now)


def test_priority_0_moves_alone_without_cycle_latency_until_it_is_done() -> None:
    world = World({"a": (1, 2), "z": (0, 3)})
    assert world.period() == [
        *["z", "fragment 10", "z", "fragment 10", "z"],
        *["a", "fragment 10", "cycle 60", "a"],
    ]


def test_a_failing_priority_0_keeps_everybody_else_back() -> None:
    world = World({"a": (1, 2), "z": (0, 3)}, replace(SEED, period_length=2), fails={"z"})
    assert world.period() == ["z", "fragment 10", "failure 60"] * 2


def test_after_a_failed_priority_0_fetch_the_pause_is_at_least_a_second() -> None:
    none = DownloadSettings(frag_latency_s=0, cycle_latency_s=0, period_length=2)
    world = World({"z": (0, 3)}, none, fails={"z"})
    assert world.period() == ["z", "failure 1"] * 2


def test_a_priority_0_that_backs_off_still_keeps_others_back() -> None:
    world = World({"a": (1, 2), "z": (0, 3)}, replace(SEED, period_length=1))
    world.readiness["z"] = Readiness.BACKS_OFF
    assert world.period() == ["failure 60"]


def test_a_priority_0_that_waits_holds_nobody_back() -> None:
    world = World({"a": (1, 2), "z": (0, 3)}, replace(SEED, period_length=1))
    world.readiness["z"] = Readiness.WAITS
    assert world.period() == ["a", "fragment 10", "cycle 60"]


def test_a_package_that_waits_or_backs_off_is_passed_over() -> None:
    world = World({"a": (1, 2), "b": (1, 2), "c": (1, 2)}, replace(SEED, period_length=1))
    world.readiness.update(a=Readiness.BACKS_OFF, b=Readiness.WAITS)
    assert world.period() == ["c", "fragment 10", "cycle 60"]


def test_zero_is_a_value_for_every_latency() -> None:
    world = World({"a": (1, 3)}, DownloadSettings(frag_latency_s=0, cycle_latency_s=0))
    assert world.period() == ["a", "a", "a"]


def test_the_period_latency_comes_last() -> None:
    latencies = DownloadSettings(
        frag_latency_s=1, cycle_latency_s=2, period_latency_s=3, period_length=2
    )
    world = World({"a": (1, 5)}, latencies)
    assert world.period() == [*["a", "fragment 1", "cycle 2"] * 2, "period 3"]


def test_a_package_without_info_keeps_the_period_going() -> None:
    world = World({"a": (None, 1)}, replace(SEED, period_length=2, period_latency_s=7))
    assert world.period() == ["cycle 60", "cycle 60", "period 7"]


def test_a_new_offer_joins_at_the_next_period() -> None:
    def arrive(world: World) -> None:
        if world.trace:
            world.content.setdefault("new", (1, 1))

    world = World({"a": (1, 9)}, replace(SEED, period_length=2), before_step=arrive)
    assert "new" not in world.period()
    assert "new" in world.period()


def test_switching_off_counts_at_once() -> None:
    def switch_off(world: World) -> None:
        if "a" in world.trace:
            world.now = replace(world.now, on=False)

    world = World({"a": (1, 9), "b": (1, 9)}, before_step=switch_off)
    assert world.period() == ["a"]


def test_new_latencies_count_at_once() -> None:
    def hurry(world: World) -> None:
        if len(world.trace) == 2:
            world.now = replace(world.now, cycle_latency_s=0, frag_latency_s=0, period_length=2)

    world = World({"a": (1, 9)}, before_step=hurry)
    assert world.period() == ["a", "fragment 10", "a"]


def test_a_package_that_is_withdrawn_within_a_cycle_does_not_move() -> None:
    def withdraw(world: World) -> None:
        if "a" in world.trace:
            world.content.pop("b", None)

    world = World({"a": (1, 9), "b": (1, 9)}, before_step=withdraw)
    assert "b" not in world.period()


packages = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2),
    st.tuples(st.one_of(st.none(), st.integers(0, 10)), st.integers(1, 6)),
    max_size=6,
)
settings = st.builds(
    DownloadSettings,
    on=st.just(True),
    frag_latency_s=st.integers(0, 3),
    cycle_latency_s=st.integers(0, 3),
    period_latency_s=st.integers(0, 3),
    period_length=st.integers(1, 12),
)
readiness = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.sampled_from(list(Readiness))
)


@given(packages, settings, readiness, st.sets(st.text("abcdefgh", min_size=1, max_size=2)))
def test_every_period_keeps_the_rule(
    packages: dict[str, tuple[int | None, int]],
    settings: DownloadSettings,
    readiness: dict[str, Readiness],
    fails: set[str],
) -> None:
    world = World(dict(packages), settings, readiness, fails)
    plan = plan_period(world)
    answer: Moved | None = None
    moves: dict[str, int] = {}
    owed = False
    try:
        while True:
            urgent = {
                p.package_id
                for p in world.packages()
                if p.priority == 0 and p.readiness is not Readiness.WAITS
            }
            step = plan.send(answer)
            answer = None
            if owed and settings.frag_latency_s:
                assert step == Pause(settings.frag_latency_s, Why.FRAGMENT)
            owed = False
            if isinstance(step, Move):
                name = step.package_id
                assert world.readiness.get(name, Readiness.MOVES) is Readiness.MOVES
                assert not urgent or name in urgent
                moves[name] = moves.get(name, 0) + 1
                answer = world.move(name)
                owed = answer.used_network
    except StopIteration:
        pass
    for name, count in moves.items():
        priority = packages[name][0]
        assert priority is not None
        assert count <= settings.period_length // (priority or 1)
