"""Who changed what: entered with the change, never without, and missing where it is missing."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice

import pytest
from sqlalchemy import delete, event, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.services import accounts, audit, computers, groups, settings, status
from deploy_server.services.activation import activate, deactivate
from deploy_server.services.assigning import Selection, assign, assign_again, unassign
from deploy_server.services.settings import EVERYBODY, Scope
from deploy_server.storage.database import READ_ONLY, make_engine, session_factory
from deploy_server.storage.models import Assignment, AuditChain, AuditEntry
from tests.support import factories as make
from tests.support.clock import START

WHO = {"actor": "Marie", "now": START}
LONG = "correct horse battery staple"


def entries(session: Session, **wanted: str) -> list[AuditEntry]:
    return list(audit.each_entry(session, audit.Filter(**wanted)))  # type: ignore[arg-type]


def last(session: Session) -> tuple[str, str, dict[str, object], dict[str, object]]:
    entry = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc())).first()
    assert entry is not None
    assert entry.actor == "Marie"
    before, after = (json.loads(each or "{}") for each in (entry.before, entry.after))
    return entry.action, entry.target, before, after


def enter(session: Session, *targets: str) -> None:
    for target in targets:
        audit.record(session, "test.change", target, now=START, after={"value": target})
    session.commit()


@pytest.fixture(autouse=True)
def marie() -> None:
    audit.act_for("Marie", "192.0.2.7")


def test_who_from_where_and_when(session: Session) -> None:
    enter(session, "7")
    (entry,) = entries(session)
    assert (entry.number, entry.at, entry.actor, entry.origin) == (1, START, "Marie", "192.0.2.7")
    assert (entry.action, entry.target, entry.after) == ("test.change", "7", '{"value":"7"}')


def test_only_what_differs_is_kept(session: Session) -> None:
    before, after = {"same": 1, "gone": 2, "other": 3}, {"same": 1, "other": 4, "new": 5}
    audit.record(session, "test.change", "x", now=START, before=before, after=after)
    assert last(session)[2:] == ({"gone": 2, "other": 3}, {"other": 4, "new": 5})


def test_a_change_that_is_taken_back_is_not_entered(session: Session) -> None:
    enter(session, "kept")
    audit.record(session, "test.change", "taken back", now=START)
    session.rollback()
    enter(session, "after")
    assert [(each.number, each.target) for each in entries(session)] == [(1, "kept"), (2, "after")]
    assert audit.find_break(session) is None


def test_what_was_done_to_settings_groups_people_and_computers(session: Session) -> None:
    settings.set_setting(session, "PROLOG_FREQ", "12", **WHO)  # type: ignore[arg-type]
    assert last(session) == ("setting.set", "PROLOG_FREQ of everybody", {}, {"value": "12"})
    settings.set_setting(session, "PROLOG_FREQ", "12", **WHO)  # type: ignore[arg-type]
    settings.set_setting(session, "PROLOG_FREQ", "13", **WHO)  # type: ignore[arg-type]
    assert last(session)[2:] == ({"value": "12"}, {"value": "13"})
    assert len(entries(session)) == 2  # setting it to what it is changes nothing
    settings.unset_setting(session, "PROLOG_FREQ", EVERYBODY, **WHO)  # type: ignore[arg-type]
    assert last(session)[0::2] == ("setting.unset", {"value": "13"})
    pc = make.make_computer(session, name="pc")
    scope = Scope("computer", pc.id)
    settings.set_setting(session, "DOWNLOAD", "0", scope, **WHO)  # type: ignore[arg-type]
    assert last(session)[1] == f"DOWNLOAD of computer {pc.device_id}"

    groups.add_group(session, "Desks", **WHO)  # type: ignore[arg-type]
    assert last(session)[:2] == ("group.add", "Desks")
    groups.edit_group(session, "desks", new_name="Tables", now=START)
    assert last(session) == ("group.edit", "Desks", {"name": "Desks"}, {"name": "Tables"})
    groups.include(session, "Tables", [pc.device_id], **WHO)  # type: ignore[arg-type]
    assert last(session)[3] == {"computers": 1, "device_ids": [pc.device_id]}
    groups.reset(session, "Tables", [pc.device_id], now=START)
    assert last(session)[0] == "group.reset"
    groups.delete_group(session, "Tables", now=START)
    assert last(session)[0] == "group.delete"

    accounts.add_user(session, "Jan", LONG, "viewer", ["north"], now=START)
    assert last(session) == ("user.add", "Jan", {}, {"role": "viewer", "tags": ["north"]})
    accounts.change_user(session, "jan", role="admin", tags=["north"], now=START)
    assert last(session)[2:] == ({"role": "viewer"}, {"role": "admin"})
    accounts.set_password(session, "jan", LONG + "!", now=START)
    assert last(session) == ("user.password", "Jan", {}, {})
    accounts.disable_user(session, "jan", now=START)
    accounts.enable_user(session, "jan", now=START)
    assert last(session)[0] == "user.enable"

    computers.delete_computers(session, [pc.device_id], **WHO)  # type: ignore[arg-type]
    assert last(session)[:2] == ("computer.delete", pc.device_id)
    assert audit.find_break(session) is None


def test_what_was_done_with_packages(session: Session) -> None:
    package = make.make_package(session, name="Editor")
    pc = make.make_computer(session)
    made = activate(session, package, "a.example/download", "b.example/download", **WHO)  # type: ignore[arg-type]
    assert last(session)[:2] == ("package.activate", f"{package.id} A{made.id}")
    target = str(package.id)
    assign(session, target, Selection(device_ids=[pc.device_id]), force=True, **WHO)  # type: ignore[arg-type]
    action, what, _, after = last(session)
    assert (action, what) == ("package.assign", f"{package.id} A{made.id}")
    assert after["device_ids"] == [pc.device_id]
    assert (after["force"], after["assigned"], after["skipped"]) == (True, 1, 0)
    assign(session, target, Selection(expression='name = "x*"'), **WHO)  # type: ignore[arg-type]
    assert last(session)[3]["expression"] == 'name = "x*"'
    assert assign_again(session, package.id, [pc.id], **WHO) == 0  # type: ignore[arg-type]
    assert last(session)[0] == "package.assign"  # nothing failed, so nothing was done again
    failed = {"status": "ERR_EXECUTE", "status_class": ResultClass.ERROR}
    session.execute(update(Assignment).values(failed))
    assert assign_again(session, package.id, [pc.id], **WHO) == 1  # type: ignore[arg-type]
    assert last(session)[0] == "package.assign_again"
    assert last(session)[3]["device_ids"] == [pc.device_id]
    status.validate(session, package.id, "all", **WHO)  # type: ignore[arg-type]
    assert last(session)[3] == {"what": "all", "cleared": 1}
    unassign(session, target, not_notified=True, **WHO)  # type: ignore[arg-type]
    assert last(session)[3] == {"not_notified": True, "unassigned": 0}
    deactivate(session, [made.id], **WHO)  # type: ignore[arg-type]
    assert last(session)[0] == "package.deactivate"
    assert last(session)[2]["info_url"] == "a.example/download"


TAMPERING: dict[str, tuple[Callable[[Session], object], str]] = {
    "an entry is gone": (
        lambda session: session.execute(delete(AuditEntry).where(AuditEntry.number == 2)),
        "entry 2 of the audit log is missing",
    ),
    "the first is gone": (
        lambda session: session.execute(delete(AuditEntry).where(AuditEntry.number == 1)),
        "entry 1 of the audit log is missing",
    ),
    "the last is gone": (
        lambda session: session.execute(delete(AuditEntry).where(AuditEntry.number == 4)),
        "entry 4 of the audit log is missing",
    ),
    "all are gone": (
        lambda session: session.execute(delete(AuditEntry)),
        "entry 1 of the audit log is missing",
    ),
    "somebody else did it": (
        lambda session: session.execute(
            update(AuditEntry).where(AuditEntry.number == 3).values(actor="Jan")
        ),
        "entry 3 of the audit log was changed",
    ),
    "the end is another": (
        lambda session: session.execute(update(AuditChain).values(last_number=3)),
        "was changed",
    ),
    "the chain is gone": (lambda session: session.execute(delete(AuditChain)), "is gone"),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_what_somebody_changes_in_the_database_shows(session: Session, how: str) -> None:
    enter(session, "a", "b", "c", "d")
    assert audit.find_break(session) is None
    tamper, says = TAMPERING[how]
    tamper(session)
    session.commit()
    session.expire_all()
    assert says in (audit.find_break(session) or "")


def test_two_at_the_same_time_make_one_chain(session: Session) -> None:
    sessions = session_factory(session.get_bind())  # type: ignore[arg-type]
    session.rollback()

    def one(number: int) -> None:
        with sessions.begin() as mine:
            audit.record_each(mine, "test.change", [f"{number} a", f"{number} b"], now=START)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(24)))
    assert len(entries(session)) == 48
    assert audit.find_break(session) is None


@contextmanager
def after_each_statement(session: Session, *deeds: Callable[[Session], object]) -> Iterator[None]:
    """Somebody else does these things, one after each of the next statements of `session`."""
    engine = session.connection(execution_options=READ_ONLY).engine
    # Of its own: what the other one does is not followed by another deed.
    others = make_engine(engine.url.render_as_string(hide_password=False))
    left = iter(deeds)

    def do_one(*_: object) -> None:
        for deed in islice(left, 1):
            with session_factory(others)() as other:
                deed(other)

    event.listen(engine, "after_cursor_execute", do_one)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", do_one)
        others.dispose()
    assert list(left) == []


def test_an_entry_that_is_added_during_the_check_is_no_break(session: Session) -> None:
    enter(session, "a", "b")
    more = [lambda other: enter(other, "during the check")] * 3
    with after_each_statement(session, *more):
        assert audit.find_break(session) is None


def test_entries_that_retention_removes_during_the_check_are_no_break(session: Session) -> None:
    enter(session, "a", "b", "c")
    later = START + timedelta(days=40)
    audit.record(session, "test.change", "new", now=later)
    session.commit()
    with after_each_statement(session, lambda other: audit.sweep_audit(other, 30, later)):
        assert audit.find_break(session) is None


def test_what_is_old_goes_and_the_chain_begins_there(session: Session) -> None:
    enter(session, "old", "older")
    later = START + timedelta(days=40)
    audit.record(session, "test.change", "new", now=later)
    session.commit()
    assert audit.sweep_audit(session, 0, later) == []
    assert audit.sweep_audit(session, 30, later) == [
        "entries of the audit log older than 30 days: 2 removed"
    ]
    assert [each.target for each in entries(session)] == ["new", "audit log"]
    assert entries(session)[-1].after == '{"removed":2,"older_than_days":30,"up_to":2}'
    assert audit.find_break(session) is None
    session.rollback()
    assert audit.sweep_audit(session, 30, later) == []
    session.execute(delete(AuditEntry).where(AuditEntry.number == 3))
    assert audit.find_break(session) == "entry 3 of the audit log is missing"


def test_entries_are_found(session: Session) -> None:
    enter(session, *(f"package {number}" for number in range(60)))
    audit.record(session, "user.add", "100%_x", now=START, actor="Åsa", after={"role": "viewer"})
    session.commit()
    page = audit.list_entries(session, audit.Filter(), page=2, page_size=50)
    assert (page.total, page.pages, len(page.rows)) == (61, 2, 11)
    assert page.rows[-1].number == 1
    assert len(entries(session, action="test")) == 60
    assert [each.target for each in entries(session, actor="SA")] == ["100%_x"]
    assert [each.target for each in entries(session, text="%_")] == ["100%_x"]
    assert [each.target for each in entries(session, text="VIEWER")] == ["100%_x"]
    assert audit.actions(session) == ["test.change", "user.add"]
