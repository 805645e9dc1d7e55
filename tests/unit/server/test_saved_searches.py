"""Saved searches on both databases: whose they are, who sees them, what is refused."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, NotFound, SpecError
from deploy_server.services.preferences import prefer, preference
from deploy_server.services.searching import Reader, delete_search, list_searches, save_search
from deploy_server.storage.hidden import leave_out
from deploy_server.storage.models import AuditEntry
from tests.support import factories as make
from tests.support.clock import START

LYON = frozenset({"Lyon"})


def reader(session: Session, role: str = "admin", tags: frozenset[str] = frozenset()) -> Reader:
    user = make.make_user(session, role=role, tags=sorted(tags))
    return Reader(user.id, role, tags)


def names(session: Session, who: Reader) -> list[str]:
    return [each.name for each in list_searches(session, who)]


def test_each_audience_sees_what_is_meant_for_it(session: Session) -> None:
    owner = reader(session, "operator", LYON)
    for name, audience in (("a", "mine"), ("b", "role"), ("c", "tag:Lyon"), ("d", "all")):
        save_search(session, owner, name, "os ~ debian", audience, now=START)
    assert names(session, owner) == ["a", "b", "c", "d"]
    assert names(session, reader(session, "operator")) == ["b", "d"]
    assert names(session, reader(session, "viewer", frozenset({"LYON"}))) == ["c", "d"]
    assert names(session, reader(session, "superadmin")) == ["d"]


def test_what_names_only_hidden_packages_is_left_out(session: Session) -> None:
    owner, other = reader(session), reader(session, "operator")
    hidden = make.make_package(session, name="ZZhidden", hidden_at=START)
    make.make_package(session, name="zeen")
    for name, expression in {
        "by name": "package:zzhidden = error",
        "inside": 'tag = LYON or not (package:zeen is empty and package:"zzHID*" = none)',
        "by id": f"package:{hidden.id:010d} = success",
        "both": "package:z* = error",
        "nobody's": "package:nothing = error",
        "seen": "package:zeen = error",
        "none": 'name ~ "package:zzhidden"',
    }.items():
        save_search(session, owner, name, expression, "all", now=START)
    save_search(session, other, "own", "package:zzhidden = error", "all", now=START)
    assert len(names(session, other)) == 8
    leave_out(session, frozenset({hidden.id}))
    assert names(session, other) == ["own", "both", "nobody's", "none", "seen"]


def test_the_same_name_replaces_ones_own_only(session: Session) -> None:
    one, other = reader(session), reader(session)
    save_search(session, one, "Old ones", "last_contact > 7d", "all", now=START)
    save_search(session, other, "old ONES", "last_contact > 9d", "mine", now=START)
    save_search(session, one, "OLD ones", "last_contact > 8d", "all", now=START)
    found = [(each.name, each.expression, each.own) for each in list_searches(session, other)]
    assert found == [
        ("old ONES", "last_contact > 9d", True),
        ("OLD ones", "last_contact > 8d", False),
    ]


def test_deleting(session: Session) -> None:
    owner, other = reader(session), reader(session)
    save_search(session, owner, "shared", "os ~ x", "all", now=START)
    save_search(session, owner, "secret", "os ~ y", "mine", now=START)
    shared, secret = (each.id for each in reversed(list_searches(session, owner)))
    with pytest.raises(NotFound):
        delete_search(session, other, shared, anybodys=False, now=START)
    with pytest.raises(NotFound):
        delete_search(session, other, secret, anybodys=True, now=START)
    assert delete_search(session, other, shared, anybodys=True, now=START) == "shared"
    assert delete_search(session, owner, secret, anybodys=False, now=START) == "secret"
    actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.number))
    assert list(actions) == ["search.save"] * 2 + ["search.delete"] * 2


@pytest.mark.parametrize(
    ("name", "expression", "audience", "field"),
    [
        (" ", "os ~ x", "mine", "name"),
        ("x" * 81, "os ~ x", "mine", "name"),
        ("a\u202eb", "os ~ x", "mine", "name"),
        ("a", " ", "mine", "expression"),
        ("a", "nmae = x", "mine", "expression"),
        ("a", "name in (" + "x, " * 2000 + "x)", "mine", "expression"),
        ("a", "os ~ x", "tag:PARIS", "audience"),
        ("a", "os ~ x", "tag", "audience"),
        ("a", "os ~ x", "root", "audience"),
    ],
)
def test_what_is_refused(
    session: Session, name: str, expression: str, audience: str, field: str
) -> None:
    with pytest.raises(SpecError) as caught:
        save_search(session, reader(session, tags=LYON), name, expression, audience, now=START)
    assert caught.value.field == field


def test_nobody_keeps_searches_without_end(session: Session) -> None:
    owner = reader(session)
    for number in range(100):
        save_search(session, owner, f"s{number}", "os ~ x", "mine", now=START)
    save_search(session, owner, "s7", "os ~ y", "mine", now=START)
    with pytest.raises(Conflict, match="100 saved searches"):
        save_search(session, owner, "one more", "os ~ x", "mine", now=START)


def test_preferences_are_each_user_s_own(session: Session) -> None:
    one, other = make.make_user(session), make.make_user(session)
    assert preference(session, one.id, "columns") is None
    prefer(session, one.id, "columns", "tag,ip")
    prefer(session, one.id, "columns", "ip")
    assert preference(session, one.id, "columns") == "ip"
    assert preference(session, other.id, "columns") is None
    prefer(session, one.id, "columns", None)
    assert preference(session, one.id, "columns") is None
