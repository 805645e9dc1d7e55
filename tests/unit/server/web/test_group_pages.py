"""Groups in the console: dynamic ones, another expression shown first, shares, who is kept out."""

import re
from typing import Any

from sqlalchemy import select

from deploy_server.storage.models import Group
from tests.support.console import Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)


def dynamic(console: Console, **values: Any) -> int:
    with console.session() as session:
        return make_group(session, kind="dynamic", **values).id


def test_a_dynamic_group_is_made_of_a_search(admin: Browser, console: Console) -> None:
    with console.session() as session:
        make_computer(session, tag="LYON")
    page = admin.get("/computers?q=tag+%3D+lyon").text
    link = re.search(r'href="(/groups\?expression=[^"]+)"', page)
    assert link
    page = admin.get(link.group(1)).text
    assert 'value="tag = lyon"' in page
    assert re.search(r'value="dynamic" checked', page)
    sent = {"name": "Lyon", "kind": "dynamic", "expression": "tag = lyon", "visible": "1"}
    answer = admin.post("/groups", sent)
    assert "with 1 computer now" in admin.get(answer.location).text
    with console.sessions() as session:
        group = session.scalars(select(Group)).one()
    assert (group.kind, group.expression, group.visible) == ("dynamic", "tag = lyon", False)


def test_a_wrong_expression_is_pointed_at(admin: Browser, console: Console) -> None:
    sent = {"name": "Lyon", "kind": "dynamic", "expression": "tga = lyon"}
    answer = admin.post("/groups", sent)
    assert answer.status_code == 422
    assert "<mark>t</mark>" in answer.text
    assert 'value="Lyon"' in answer.text
    group_id = dynamic(console, expression="os ~ x")
    answer = admin.post(f"/groups/{group_id}", {"name": "x", "expression": "os ="})
    assert answer.status_code == 422
    assert "<mark>⎵</mark>" in answer.text
    empty = admin.post("/groups", {"name": "None", "kind": "dynamic", "expression": " "})
    assert empty.status_code == 422
    assert "a dynamic group needs an expression" in empty.text.lower()


def test_another_expression_is_shown_first(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for tag in ("A", "B", "B"):
            make_computer(session, tag=tag)
    group_id = dynamic(console, name="Group", expression="tag = a")
    sent = {"name": "Group", "expression": "tag = b"}
    asked = admin.post(f"/groups/{group_id}", sent)
    assert asked.status_code == 409
    assert "2 computers match it now; the group has 1 member." in asked.text
    assert 'value="tag = b"' in asked.text
    assert admin.post(f"/groups/{group_id}", {**sent, "confirmed": "1"}).status_code == 302
    assert "2 members" in admin.get(f"/groups/{group_id}").text
    # Nothing is asked where the expression stays.
    assert admin.post(f"/groups/{group_id}", {**sent, "name": "New"}).status_code == 302


def test_the_shares_of_a_package_are_those_of_its_lists(admin: Browser, console: Console) -> None:
    with console.session() as session:
        members = [make_computer(session) for _ in range(4)]
        windows = make_computer(session, os_family="windows")
        group = make_group(session, *members, windows, name='Say "hi"')
        activation = make_activation(session, make_package(session, name="tool"))
        make_group_assignment(session, group, activation)
        make_assignment(session, members[0], activation, status="SUCCESS", group_id=group.id)
        make_assignment(session, members[1], activation, status="ERR_BAD_DIGEST")
        make_assignment(session, make_computer(session), activation, status="SUCCESS")
    page = admin.get(f"/groups/{group.id}").text
    links = re.findall(r'<a class="count (\w+)" href="([^"]+)">(\d+)</a>', page)
    found = {kind: int(number) for kind, _, number in links}
    assert found == {"success": 1, "error": 1, "waiting": 2}
    assert "50 %" in page
    for _, link, number in links:
        listed = admin.get(link.replace("&#34;", '"').replace("&amp;", "&")).text
        assert f'<h2 class="number">{number} computer' in listed


def test_who_is_kept_out_is_listed_and_let_in_again(admin: Browser, console: Console) -> None:
    with console.session() as session:
        one, two = make_computer(session, name="one"), make_computer(session, name="<two>")
        group = make_group(session, one, excluded=(two,))
    page = admin.get(f"/groups/{group.id}").text
    assert "Kept out" in page
    assert "&lt;two&gt;" in page
    admin.post(f"/groups/{group.id}/members", {"do": "reset", "computer": two.id})
    assert "Kept out" not in admin.get(f"/groups/{group.id}").text


def test_who_is_set_by_hand_in_a_dynamic_group(console: Console) -> None:
    with console.session() as session:
        mine = make_computer(session, name="mine", tag="LYON")
        other = make_computer(session, name="other", tag="PARIS")
        group = make_group(session, mine, excluded=(other,), kind="dynamic", expression="os ~ x")
    page = console.user("admin").get(f"/groups/{group.id}").text
    section = page[page.index("Set by hand") :]
    assert "mine" in section
    assert "other" in section
    section = console.user("admin", "LYON").get(f"/groups/{group.id}").text
    assert "other" not in section
