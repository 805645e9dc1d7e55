"""A worker's place: what the parent does when workers start, answer, end, or are replaced."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from deploy_server.serving.slot import EARLY_S, REPLACED_S, Slot


@dataclass
class FakeChild:
    """A worker without a process."""

    started: float
    answers: bool = False
    status: int | None = None
    stops: list[float] = field(default_factory=list)
    retires: list[float] = field(default_factory=list)

    def is_ready(self) -> bool:
        return self.answers

    def ended(self) -> int | None:
        return self.status

    def stop(self, within: float) -> None:
        self.stops.append(within)

    def retire(self, within: float) -> None:
        self.retires.append(within)

    def insist(self) -> None:
        return


class Place:
    """A slot with its fake workers and its own time."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.started: list[FakeChild] = []
        self.slot = Slot("HTTPS", self.start)  # type: ignore[arg-type]

    def start(self) -> FakeChild:
        self.started.append(FakeChild(self.time))
        return self.started[-1]

    def everybody(self) -> list[object]:
        return list(self.slot.children())

    def gave_up(self) -> bool:
        return self.slot.never_answered

    def later(self, seconds: float) -> None:
        self.time += seconds
        self.slot.advance()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    monkeypatch.setattr("deploy_server.serving.slot.time.monotonic", lambda: place.time)
    place.started[0].answers = True
    place.slot.advance()
    return place


def test_a_worker_that_never_answered_is_a_server_that_did_not_start() -> None:
    place = Place()
    place.later(0)
    assert not place.gave_up()
    place.started[0].status = 1
    place.later(0)
    assert place.gave_up()
    assert len(place.started) == 1, "it is not tried again and again"


def test_a_worker_that_crashed_comes_back_at_once(place: Place) -> None:
    place.time += EARLY_S
    place.started[0].status = -9
    place.later(0)
    assert len(place.started) == 2
    assert not place.gave_up()
    assert not place.slot.is_answering
    place.started[1].answers = True
    assert place.slot.is_answering


def test_a_worker_that_keeps_crashing_comes_back_later_and_later(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    waits = []
    for _ in range(8):
        place.started[-1].answers = True
        place.started[-1].status = 1
        count, before = len(place.started), place.time
        while len(place.started) == count:
            place.later(1)
        waits.append(place.time - before)
    assert waits == sorted(waits)
    assert waits[0] <= 2
    assert waits[-1] == 31
    assert "A worker for HTTPS ended with status 1; another one starts in 30 s" in caplog.text


def test_a_replaced_worker_leaves_when_the_new_one_answers(place: Place) -> None:
    old = place.started[0]
    place.slot.replace()
    place.later(1)
    assert old.retires == []
    place.started[1].answers = True
    place.later(1)
    assert (old.retires, old.stops) == ([REPLACED_S], [])
    assert place.slot.is_answering
    assert len(place.everybody()) == 2, "it may finish what it is at"
    old.status = 0
    place.later(1)
    assert place.everybody() == [place.started[1]]


def test_a_replacement_that_does_not_start_changes_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.slot.replace()
    place.started[1].status = 1
    place.later(1)
    assert place.slot.is_answering
    assert place.started[0].retires == []
    assert "the old one stays" in caplog.text


def test_a_second_replacement_takes_the_place_of_the_first(place: Place) -> None:
    place.slot.replace()
    place.slot.replace()
    assert place.started[1].stops == [0]
    place.started[1].status, place.started[2].answers = -15, True
    place.later(1)
    assert place.everybody() == [place.started[2], place.started[0]]


def test_stopping_starts_nobody(place: Place) -> None:
    place.slot.replace()
    place.slot.stop(5)
    assert [child.stops for child in place.started] == [[5], [5]]
    endings: list[Callable[[], None]] = [
        lambda: setattr(place.started[0], "status", 0),
        lambda: setattr(place.started[1], "status", 0),
    ]
    for end in endings:
        end()
        place.later(60)
    assert place.everybody() == []
    assert len(place.started) == 2
