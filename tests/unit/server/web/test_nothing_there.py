"""Every form of the console with ids of nothing and with values that make no sense.

None of them is a mistake of ours, and none of them changes anything.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from deploy_server.storage.models import Base
from tests.support.console import Browser, Console, running_console
from tests.support.factories import make_activation, make_assignment, make_computer, make_group

pytestmark = pytest.mark.slow  # every route, with every kind of nonsense

NOTHING = 77

#: What a hurried person, a stale page or a bad script may send; no route takes all of it.
FORMS: dict[str, dict[str, Any]] = {
    "empty": {},
    "ids of nothing": {
        **dict.fromkeys(("package", "activation", "computer", "group"), str(NOTHING)),
        **{"name": "", "role": "viewer", "target": "ticked", "do": "assign", "what": "everything"},
    },
    "numbers beyond every row": dict.fromkeys(
        ("package", "activation", "computer", "group"), "9" * 30
    ),
    "no sense": {
        **dict.fromkeys(("package", "activation", "computer", "group", "priority"), "x\0y"),
        **{"name": "a\0b", "role": "king", "tags": "\0", "password": "short", "theme": "plaid"},
        **{"target": "search", "q": "name = = x", "do": "explode", "what": "\0", "visible": "x"},
        **{"info_url": "http://x y", "fragment_url": "\0", "schedule": "soon", "postcmd": "\0"},
        **{"device_ids": "no\0body\nelse", "description": "\0", "current": "wrong", "length": "-1"},
        **{"DOWNLOAD": "maybe", "PROLOG_FREQ": "0", "DOWNLOAD_FRAG_LATENCY": "-1"},
    },
}


#: What addresses may carry; lists, filters and pages look at one or the other.
QUERY = (
    *("q", "status", "class", "code", "sort", "name", "tab", "what", "next"),
    *("computer", "group", "package", "activation"),
)


@pytest.fixture
def console(database_url: str, tmp_path: Path) -> Iterator[Console]:
    """On both databases: PostgreSQL takes no NUL, and no number that is too large for a column."""
    with running_console(tmp_path / "data", database_url) as console:
        yield console


#: Leaving, and deleting a group, take no more than the address.
WITHOUT_FIELDS = ("login.login", "login.logout", "groups.delete")


def addresses(app: Flask, ids: Mapping[str, int]) -> Iterator[str]:
    """Each address that takes a form, about these things or about nothing."""
    map_ = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        name = rule.endpoint.removeprefix("console.")
        if "POST" in (rule.methods or ()) and not (ids and name in WITHOUT_FIELDS):
            values = {each: ids.get(each, NOTHING) for each in rule.arguments}
            yield map_.build(rule.endpoint, values, method="POST")


def rows(console: Console) -> dict[str, list[Any]]:
    """Every row but the last numbers given out, and who tried what."""
    left_out = ("allocation", "audit_entry", "audit_chain")
    with console.sessions() as session:
        tables = [each for each in Base.metadata.sorted_tables if each.name not in left_out]
        return {each.name: sorted(map(repr, session.execute(select(each)))) for each in tables}


def post_everywhere(
    admin: Browser, console: Console, form: dict[str, Any], ids: Mapping[str, int]
) -> None:
    before = rows(console)
    tried = list(addresses(console.app, ids))
    assert len(tried) > 20
    for path in tried:
        if path not in ("/login", "/logout"):
            answer = admin.post(path, form)
            assert answer.status_code < 500, (path, answer.text[-600:])
            assert rows(console) == before, path
    assert admin.get("/people").status_code == 200


@pytest.fixture
def ids(console: Console) -> dict[str, int]:
    with console.session() as session:
        computer = make_computer(session)
        group = make_group(session, computer, name="Pilot")
        activation = make_activation(session)
        make_assignment(session, computer, activation, status="ERR_BAD_DIGEST")
        return {
            "computer_id": computer.id,
            "group_id": group.id,
            "package_id": activation.package_id,
        }


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_form_about_nothing_changes_nothing(
    admin: Browser, console: Console, ids: dict[str, int], form: dict[str, Any]
) -> None:
    assert NOTHING not in ids.values()
    post_everywhere(admin, console, form, {})


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_form_without_sense_changes_nothing(
    admin: Browser, console: Console, ids: dict[str, int], form: dict[str, Any]
) -> None:
    post_everywhere(admin, console, form, ids)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["x\0y", "9" * 30])
def test_an_address_without_sense_is_answered(
    admin: Browser, console: Console, ids: dict[str, int], value: str
) -> None:
    map_ = console.app.url_map.bind("localhost")
    for rule in console.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.endpoint.endswith("static"):
            path = map_.build(rule.endpoint, {each: ids.get(each, 7) for each in rule.arguments})
            for name in QUERY:
                answer = admin.get(path, query_string={name: value})
                assert answer.status_code < 500, (path, name, answer.text[-600:])
                answer.close()  # as every server does: what is sent while it is read ends
