"""Stopping a package: whoever has not begun it never does, and the agents' words are counted."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Prolog
from deploy_server.domain.errors import NotFound
from deploy_server.services import assigning, audit, status, withdrawing
from deploy_server.services.activity import Caller
from deploy_server.services.contact.prolog import answer_prolog
from deploy_server.storage.database import session_factory
from deploy_server.storage.models import Activation, Computer, GroupAssignment, Withdrawal
from tests.support.clock import START
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)
from tests.support.waiting import wait_until

OURS = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}
LYON = frozenset({"lyon"})


@pytest.fixture
def site(session: Session) -> Activation:
    """A package in every state, in two towns; four members of a group wait without a row."""
    activation = make_activation(session, make_package(session, os="any"))
    for tag in ("LYON", "PARIS"):
        for code in ("WAITING", "SUCCESS", "ERR_X"):
            make_assignment(session, make_computer(session, tag=tag), activation, status=code)
        for kind in (OURS, OURS, {}):
            pc = make_computer(session, tag=tag, **kind)
            make_assignment(session, pc, activation, status="NOTIFIED")
    members = [make_computer(session, tag=tag) for tag in ("LYON", "LYON", "PARIS", "PARIS")]
    make_group_assignment(session, make_group(session, *members), activation)
    session.commit()
    return activation


def counts(session: Session, activation: Activation) -> dict[str, int]:
    return status.package_status(session, activation.package_id, now=START).by_status


def test_whoever_has_not_ended_it_is_reached(session: Session, site: Activation) -> None:
    expected = assigning.Stop(waiting=6, told=4, beyond=2, groups=1)
    assert assigning.preview_stop(session, site.package_id, now=START) == expected
    assert assigning.stop(session, site.package_id, actor="Marie", now=START) == expected
    assert counts(session, site) == {"SUCCESS": 2, "ERR_X": 2}
    assert session.scalar(select(func.count()).select_from(GroupAssignment)) == 0
    assert withdrawing.words(session, site.package_id) == {"": 4}
    (entry,) = audit.each_entry(session, audit.Filter(action="package.stop"))
    assert (entry.actor, entry.target) == ("Marie", str(site.package_id))
    again = assigning.stop(session, site.package_id, actor="Marie", now=START)
    assert again == assigning.Stop(0, 0, 0, 0)


def test_tags_limit_whom_it_reaches(session: Session, site: Activation) -> None:
    about = {"now": START, "perimeter": LYON}
    expected = assigning.Stop(waiting=3, told=2, beyond=1, groups=1)
    assert assigning.preview_stop(session, site.package_id, **about) == expected  # type: ignore[arg-type]
    reached = assigning.stop(session, site.package_id, actor="Marie", **about)  # type: ignore[arg-type]
    assert reached == expected
    left = {"WAITING": 3, "NOTIFIED": 3, "SUCCESS": 2, "ERR_X": 2}
    assert counts(session, site) == left
    assert assigning.preview_stop(session, site.package_id, **about).total == 0  # type: ignore[arg-type]


def test_every_word_is_as_often_as_its_list_is_long(session: Session, site: Activation) -> None:
    assigning.stop(session, site.package_id, actor="Marie", now=START)
    ours = session.scalars(select(Computer).where(Computer.agent_key != "")).all()
    told = [pc for pc in ours if "tranche" in pc.agent_key]
    page = withdrawing.withdrawn_page(session, site.package_id, "")
    assert {row.computer_id for row in page.rows} == {pc.id for pc in told}
    rows = session.execute(select(Withdrawal.computer_id, Withdrawal.attempt))
    attempt = {row[0]: row[1] for row in rows}
    for pc, word in zip(told, ("stopped", "running", "finished"), strict=False):
        withdrawing.say(session, pc.id, site.package_id, attempt[pc.id], word, START)
    session.expire_all()
    for perimeter in (None, LYON):
        words = withdrawing.words(session, site.package_id, perimeter=perimeter)
        assert sum(words.values()) == (4 if perimeter is None else 2)
        for word in ("", "stopped", "running", "finished"):
            found = withdrawing.withdrawn_page(
                session, site.package_id, word, perimeter=perimeter, page_size=1
            )
            assert found.total == words.get(word, 0)
            assert len(found.rows) == min(1, found.total)


def test_who_got_it_again_is_not_taken_back_any_more(session: Session, site: Activation) -> None:
    assigning.stop(session, site.package_id, actor="Marie", now=START)
    page = withdrawing.withdrawn_page(session, site.package_id, "")
    one = assigning.Selection(computer_ids=[page.rows[0].computer_id])
    assigning.assign(session, str(site.package_id), one, actor="Marie", now=START)
    assert withdrawing.words(session, site.package_id) == {"": 3}
    assert withdrawing.withdrawn_page(session, site.package_id, "").total == 3


def test_what_is_not_there_cannot_be_stopped(session: Session) -> None:
    with pytest.raises(NotFound):
        assigning.stop(session, 7, actor="Marie", now=START)


def test_all_that_failed_run_again(session: Session, site: Activation) -> None:
    about = {"actor": "Marie", "now": START}
    package = site.package_id
    assert assigning.assign_again(session, package, None, status="ERR_Y", **about) == 0  # type: ignore[arg-type]
    mine = assigning.assign_again(session, package, None, perimeter=LYON, **about)  # type: ignore[arg-type]
    assert mine == 1
    assert assigning.assign_again(session, package, None, status="ERR_X", **about) == 1  # type: ignore[arg-type]
    assert "ERR_X" not in counts(session, site)
    found = audit.each_entry(session, audit.Filter(action="package.assign_again"))
    assert ['"failed":"any"' in each.after for each in found] == [True, False]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_whoever_is_being_told_is_told_to_drop_it(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions.begin() as session:
        row = make_assignment(session, make_computer(session, **OURS))
    is_there = threading.Event()

    @event.listens_for(engine, "before_cursor_execute")
    def notice(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement or "SET cleared_at" in statement:
            is_there.set()

    def stop() -> assigning.Stop:
        with sessions.begin() as session:
            return assigning.stop(session, row.package_id, actor="Marie", now=START)

    with sessions() as contact, ThreadPoolExecutor(1) as pool:
        told = contact.get_one(type(row), row.id)
        told.status, told.status_class = "NOTIFIED", 1
        contact.flush()
        stopping = pool.submit(stop)
        assert is_there.wait(20)
        contact.commit()
        stopping.result()
    with sessions() as session:
        assert withdrawing.words(session, row.package_id) == {"": 1}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_member_that_is_being_told_is_told_to_drop_it(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions.begin() as session:
        computer = make_computer(session, **OURS)
        given = make_group_assignment(session, make_group(session, computer))

    def stop() -> assigning.Stop:
        with sessions.begin() as session:
            return assigning.stop(session, given.package_id, actor="Marie", now=START)

    def waits() -> bool:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            return bool(found.scalar())

    with sessions() as contact, ThreadPoolExecutor(1) as pool:
        reply = answer_prolog(
            contact, Prolog(computer.device_id), now=START, caller=Caller("", "", "Tranche/0.1")
        )
        assert len(reply.offers) == 1
        stopping = pool.submit(stop)
        wait_until(lambda: stopping.done() or waits(), "the stop waits for who is being told")
        contact.commit()
        stopping.result()
    with sessions() as session:
        assert withdrawing.words(session, given.package_id) == {"": 1}
        assert counts(session, given) == {}
