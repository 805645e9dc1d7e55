"""Groups: made, changed, filled by hand, opened to operators, deleted with their effect shown."""

import re

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Computer, Group, GroupAssignment, GroupMember
from tests.support.clock import START
from tests.support.console import Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
)


def members(console: Console) -> dict[str, str]:
    with console.sessions() as session:
        rows = session.execute(select(Computer.name, GroupMember.kind).join(GroupMember))
        return {row[0]: row[1] for row in rows}


def test_no_groups_teach_what_they_are_for(admin: Browser) -> None:
    assert "No groups yet" in admin.get("/groups").text


def test_a_group_is_made(admin: Browser, console: Console) -> None:
    answer = admin.post("/groups", {"name": "Pilot", "description": "First", "visible": "1"})
    with console.sessions() as session:
        group = session.scalars(select(Group)).one()
    assert answer.location == f"/groups/{group.id}"
    assert (group.kind, group.visible, group.created_by) == ("static", True, "superadmin")
    assert "Pilot" in admin.get("/groups").text
    empty = admin.get(answer.location).text
    assert "Nobody is in it" in empty
    assert "No package is given to it" in empty
    assert ">Choose a package</a>" in empty
    assert ">Choose a package</a>" not in console.user("viewer").get(answer.location).text


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "pilot"])
def test_a_bad_name_is_named_and_what_was_typed_is_kept(
    admin: Browser, console: Console, name: str
) -> None:
    with console.session() as session:
        make_group(session, name="Pilot")
    answer = admin.post("/groups", {"name": name, "description": "kept <as> typed"})
    assert answer.status_code in (409, 422)
    assert 'id="name-problem"' in answer.text
    assert "kept &lt;as&gt; typed" in answer.text


def test_a_group_is_changed(admin: Browser, console: Console) -> None:
    with console.session() as session:
        group, other = make_group(session, name="Pilot"), make_group(session, name="Other")
    form = {"name": "Pilots", "description": "new"}
    assert admin.post(f"/groups/{group.id}", form).status_code == 302
    assert "Pilots" in admin.get(f"/groups/{group.id}").text
    taken = admin.post(f"/groups/{group.id}", {**form, "name": other.name})
    assert taken.status_code == 409
    assert 'id="name-problem"' in taken.text


def test_computers_are_put_in_kept_out_and_forgotten(admin: Browser, console: Console) -> None:
    with console.session() as session:
        group = make_group(session)
        one, two = make_computer(session, name="one"), make_computer(session, name="two")
    address = f"/groups/{group.id}/members"
    admin.post(address, {"device_ids": f"{one.device_id}\n{two.device_id}", "do": "include"})
    assert members(console) == {"one": "include", "two": "include"}
    admin.post(address, {"computer": one.id, "do": "exclude"})
    assert members(console) == {"one": "exclude", "two": "include"}
    admin.post(address, {"computer": two.id, "do": "reset"})
    assert members(console) == {"one": "exclude"}
    page = admin.get(f"/groups/{group.id}").text
    assert "1 computer kept out of" in page
    admin.post(address, {"device_ids": "nobody", "do": "include"})
    assert members(console) == {"one": "exclude"}
    assert admin.post(address, {"computer": one.id, "do": "explode"}).status_code == 404
    admin.post(address, {})
    assert "at least one computer" in admin.get(f"/groups/{group.id}").text


def test_groups_have_pages_and_a_filter(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for number in range(60):
            make_group(session, make_computer(session), name=f"Room {number:02}")
        make_group(session, name="Pilots", kind="dynamic", expression="tag = ROOM")
    first, second = admin.get("/groups").text, admin.get("/groups?page=2").text
    assert "1–50" in first
    assert "of 61 groups" in first
    assert "Room 00" in first
    assert "Room 59" not in first
    assert "Room 59" in second
    found = admin.get("/groups?q=ROOM+1").text
    assert "of 10 groups" in found
    assert "Show all 61" in found
    assert "Pilots" in admin.get("/groups?q=tag").text
    assert "No group matches" in admin.get("/groups?q=nothing").text
    assert "Room 59" in admin.get("/groups?page=7").text  # an address of when there were more
    wrong = admin.post("/groups", {"name": "", "kind": "static"})
    assert wrong.status_code == 422
    assert "of 61 groups" in wrong.text


def test_who_is_kept_out_is_an_administrators_to_say(console: Console) -> None:
    with console.session() as session:
        one, two, three = (make_computer(session, name=name) for name in ("one", "two", "three"))
        group = make_group(session, two, excluded=(one,), visible=True)
    operator, address = console.user("operator"), f"/groups/{group.id}/members"
    page = operator.get(f"/groups/{group.id}").text
    assert "Put in" in page
    assert "Take out" in page
    assert 'value="exclude"' not in page
    assert "No longer keep out" not in page
    refused = operator.post(address, {"computer": two.id, "do": "exclude"})
    assert refused.status_code == 403
    assert "Take the computers out instead" in refused.text
    for asked in ({"do": "reset"}, {"do": "include"}):
        both = operator.post(address, {**asked, "computer": [one.id, three.id]})
        assert both.status_code == 403
        assert f"keeps {one.device_id} out of" in both.text
    assert members(console) == {"one": "exclude", "two": "include"}
    # Of computers outside somebody's tags it says nothing, not even that they are kept out.
    elsewhere = console.user("operator", "PARIS")
    asked = elsewhere.post(address, {"device_ids": one.device_id, "do": "include"})
    assert asked.status_code == 404
    tab = operator.get(f"/computers/{one.id}?tab=groups").text
    assert f'<option value="{group.id}"' not in tab
    assert f'value="{group.id}"' in operator.get(f"/computers/{three.id}?tab=groups").text
    operator.post(address, {"computer": [two.id], "do": "reset"})
    operator.post(address, {"computer": [three.id], "do": "include"})
    assert members(console) == {"one": "exclude", "three": "include"}


def test_ticked_computers_go_into_a_chosen_group(admin: Browser, console: Console) -> None:
    with console.session() as session:
        group = make_group(session, name="Pilot")
        computers = [make_computer(session) for _ in range(2)]
    query = "&".join(f"computer={each.id}" for each in computers)
    page = admin.get(f"/groups/choose?{query}").text
    assert "Put 2 computers into a group" in page
    form = {"group": group.id, "computer": [each.id for each in computers]}
    assert admin.post("/groups/join", form).location == f"/groups/{group.id}"
    assert len(members(console)) == 2
    assert admin.post("/groups/join", {"group": group.id}).status_code == 404
    assert admin.get("/groups/choose").location == "/computers"


def test_operators_see_and_fill_visible_groups_only(console: Console) -> None:
    with console.session() as session:
        hidden = make_group(session, name="Hidden")
        visible = make_group(session, name="Open", visible=True)
        computer = make_computer(session, name="pc")
    operator = console.user("operator")
    page = operator.get("/groups").text
    assert "Open" in page
    assert "Hidden" not in page
    assert operator.get(f"/groups/{hidden.id}").status_code == 404
    form = {"computer": computer.id, "group": hidden.id, "do": "include"}
    assert operator.post(f"/groups/{hidden.id}/members", form).status_code == 404
    assert operator.post("/groups/join", form).status_code == 404
    assert members(console) == {}
    assert operator.post("/groups/join", {**form, "group": visible.id}).status_code == 302
    assert members(console) == {"pc": "include"}
    with console.session() as session:
        session.add(
            GroupMember(group_id=hidden.id, computer_id=computer.id, kind="include", added_at=START)
        )
    tab = f"/computers/{computer.id}?tab=groups"
    for browser, sees in ((operator, False), (console.user("admin"), True)):
        page = browser.get(tab).text
        assert "Hidden" in page  # why the computer is told what it is told
        assert f'href="/groups/{visible.id}"' in page
        assert (f'href="/groups/{hidden.id}"' in page) is sees


def test_people_with_tags_put_their_own_computers_into_visible_groups(console: Console) -> None:
    with console.session() as session:
        visible = make_group(session, visible=True)
        mine = make_computer(session, name="mine", tag="LYON")
        other = make_computer(session, name="other", tag="PARIS")
    lyon = console.user("operator", "LYON")
    for computer in (mine, other):
        lyon.post("/groups/join", {"group": visible.id, "computer": computer.id})
        form = {"device_ids": computer.device_id, "do": "include"}
        lyon.post(f"/groups/{visible.id}/members", form)
    assert members(console) == {"mine": "include"}
    assert "other" not in lyon.get(f"/groups/{visible.id}").text


def test_a_group_s_packages_are_listed_and_taken_back(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session)
        group = make_group(session, computer, make_computer(session))
        activation = make_activation(session)
        make_group_assignment(session, group, activation)
        make_assignment(session, computer, activation, status="SUCCESS", group_id=group.id)
    page = admin.get(f"/groups/{group.id}").text
    assert activation.package.name in page
    assert re.search(r'<rect class="success"', page)
    address = f"/groups/{group.id}/unassign"
    asked = admin.get(f"{address}?package={activation.package_id}").text
    assert "1 computer of the group that was not told" in asked
    assert "1 computer told already: nothing changes" in asked
    assert admin.get(f"{address}?package=1").status_code == 404
    admin.post(address, {"package": activation.package_id})
    assert "up to 1 computer that waited will not be told" in admin.get(f"/groups/{group.id}").text
    with console.sessions() as session:
        assert session.scalars(select(GroupAssignment)).all() == []


def test_deleting_shows_what_it_touches_and_keeps_computers(
    admin: Browser, console: Console
) -> None:
    with console.session() as session:
        group = make_group(session, make_computer(session), name="Pilot")
        make_group_assignment(session, group)
    page = admin.get(f"/groups/{group.id}/delete").text
    assert f'<a href="/groups/{group.id}">1 computer</a> no longer is in it' in page
    assert "1 package that it is given is withdrawn" in page
    assert admin.post(f"/groups/{group.id}/delete").location == "/groups"
    said = "The group Pilot is deleted; its 1 computer is not. 1 package withdrawn from whoever was"
    assert said in admin.get("/groups").text
    with console.sessions() as session:
        assert session.scalars(select(Group)).all() == []
        assert len(session.scalars(select(Computer)).all()) == 1


@pytest.mark.parametrize("path", ["/groups/77", "/groups/77/delete", "/groups/x"])
def test_a_group_that_is_not_there(admin: Browser, path: str) -> None:
    assert admin.get(path).status_code == 404
