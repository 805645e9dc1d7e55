"""Contacts that are written a moment later: none is lost, none overwrites a newer one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from deploy_server.services.contact import Sightings, seen
from deploy_server.services.contact.seen import mark_seen
from deploy_server.storage.database import session_factory
from deploy_server.storage.models import Computer
from tests.support import factories as make
from tests.support.clock import START
from tests.support.waiting import wait_until

LATER = START + timedelta(minutes=5)
FOR_EVER = 3600.0  # nobody wakes the writer but `close`


@pytest.fixture
def sessions(session: Session) -> sessionmaker[Session]:
    for number in range(3):
        make.make_computer(session, device_id=f"pc-{number}", agent="old")
    session.commit()
    return session_factory(session.get_bind())  # type: ignore[arg-type]


def ids(sessions: sessionmaker[Session]) -> list[int]:
    with sessions() as session:
        return list(session.scalars(select(Computer.id).order_by(Computer.id)))


def found(sessions: sessionmaker[Session], computer: int) -> tuple[datetime | None, str]:
    with sessions() as session:
        row = session.get_one(Computer, computer)
        return row.last_contact, row.agent


def test_without_a_delay_it_is_there_at_once(sessions: sessionmaker[Session]) -> None:
    computer = ids(sessions)[0]
    Sightings(sessions).note(computer, LATER, "OCS-NG_x")
    assert found(sessions, computer) == (LATER, "OCS-NG_x")


def test_what_was_collected_is_written_when_the_server_stops(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "_AT_ONCE", 2)  # more than one transaction
    sightings = Sightings(sessions, FOR_EVER)
    everybody = ids(sessions)
    for computer in reversed(everybody):
        sightings.note(computer, LATER, "OCS-NG_x")
    assert found(sessions, everybody[0])[1] == "old"
    sightings.close()
    assert {found(sessions, each) for each in everybody} == {(LATER, "OCS-NG_x")}


def test_it_is_written_by_itself_after_the_delay(sessions: sessionmaker[Session]) -> None:
    computer = ids(sessions)[0]
    sightings = Sightings(sessions, 0.001)
    sightings.note(computer, LATER, "OCS-NG_x")
    wait_until(lambda: found(sessions, computer)[1] == "OCS-NG_x", "it is written")
    sightings.close()


def test_a_newer_contact_stays(sessions: sessionmaker[Session]) -> None:
    computer = ids(sessions)[0]
    sightings = Sightings(sessions, FOR_EVER)
    sightings.note(computer, START, "OCS-NG_old")
    with sessions.begin() as session:
        mark_seen(session, computer, LATER, "OCS-NG_new")
    sightings.close()
    assert found(sessions, computer) == (LATER, "OCS-NG_new")


def test_a_computer_that_is_gone_is_no_mistake(sessions: sessionmaker[Session]) -> None:
    first, second = ids(sessions)[:2]
    sightings = Sightings(sessions, FOR_EVER)
    sightings.note(first, LATER, "OCS-NG_x")
    sightings.note(second, LATER, "OCS-NG_x")
    with sessions.begin() as session:
        session.delete(session.get_one(Computer, first))
    sightings.close()
    assert found(sessions, second)[0] == LATER


def test_a_database_that_is_away_gets_it_the_next_time(sessions: sessionmaker[Session]) -> None:
    computer = ids(sessions)[0]
    broken = [OperationalError("UPDATE", {}, Exception("the disk is full"))]

    @contextmanager
    def sometimes() -> Iterator[Session]:
        if broken:
            raise broken.pop()
        with sessions() as session:
            yield session

    make_session: Callable[[], Session] = sometimes  # type: ignore[assignment]
    sightings = Sightings(make_session, FOR_EVER)
    sightings.note(computer, LATER, "OCS-NG_x")
    sightings.write()
    assert found(sessions, computer)[1] == "old"
    sightings.close()
    assert found(sessions, computer) == (LATER, "OCS-NG_x")
