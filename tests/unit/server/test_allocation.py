import threading

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from deploy_server.storage.allocation import allocate, give_back, last_allocated
from deploy_server.storage.database import session_factory


def test_the_clock_gives_the_number_where_it_is_ahead(session: Session) -> None:
    assert last_allocated(session, "package") is None
    assert allocate(session, "package", 1_800_000_000) == 1_800_000_000
    assert allocate(session, "package", 1_800_000_500) == 1_800_000_500


def test_the_same_second_gives_the_next_number(session: Session) -> None:
    found = [allocate(session, "package", 1_800_000_000) for _ in range(3)]
    assert found == [1_800_000_000, 1_800_000_001, 1_800_000_002]
    assert last_allocated(session, "package") == 1_800_000_002


def test_a_clock_that_goes_back_gives_no_number_twice(session: Session) -> None:
    allocate(session, "package", 1_900_000_000)
    assert allocate(session, "package", 1_000_000_000) == 1_900_000_001


def test_several_in_a_row(session: Session) -> None:
    assert allocate(session, "attempt", 100, count=10) == 100
    assert allocate(session, "attempt", 100, count=5) == 110
    assert allocate(session, "attempt", 200) == 200


def test_series_do_not_touch_each_other(session: Session) -> None:
    allocate(session, "package", 500)
    assert allocate(session, "attempt", 7) == 7


def test_what_was_not_committed_is_not_used_up(session: Session) -> None:
    allocate(session, "package", 500)
    session.rollback()
    assert allocate(session, "package", 500) == 500


def test_what_nobody_saw_can_be_given_back(session: Session) -> None:
    allocate(session, "package", 500)
    before = last_allocated(session, "package", lock=True)
    assert before == 500
    give_back(session, "package", allocate(session, "package", 900), before)
    assert last_allocated(session, "package") == 500


def test_nothing_is_given_back_once_the_next_is_out(session: Session) -> None:
    first = allocate(session, "package", 500)
    allocate(session, "package", 500)
    give_back(session, "package", first, 3)
    assert last_allocated(session, "package") == 501


def test_many_at_the_same_time_get_different_numbers(engine: Engine) -> None:
    found: list[int] = []

    def take() -> None:
        for _ in range(10):
            with session_factory(engine)() as session, session.begin():
                number = allocate(session, "package", 1_800_000_000)
            found.append(number)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1_800_000_000, 1_800_000_040))
