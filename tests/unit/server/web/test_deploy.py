"""Deploying: nothing is assigned that was not previewed, and the preview is what happens."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Activation, Assignment, Computer, GroupAssignment
from tests.support.console import Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_package,
)

FORM = {"target": "all", "q": ""}


def seal(page: str) -> str:
    found = re.search(r'name="seal" value="([0-9a-f]{32})"', page)
    return found.group(1) if found else ""


def sealed(page: str) -> dict[str, str]:
    """What the preview's form sends about what it showed."""
    found = re.search(r'name="found" value="([^"]*)"', page)
    return {"do": "assign", "seal": seal(page), "found": found.group(1) if found else ""}


def deploy(browser: Browser, **form: Any) -> str:
    """Preview and then assign; returns where it leads."""
    sent = {**FORM, **form}
    browser.get("/deploy")
    preview = browser.post("/deploy/preview", sent, fetch=True)
    answer = browser.post("/deploy", {**sent, **sealed(preview.text)})
    assert answer.status_code == 302, answer.text
    return answer.location


def statuses(console: Console) -> list[str]:
    with console.sessions() as session:
        return list(session.scalars(select(Assignment.status)))


@pytest.fixture
def activation(console: Console) -> Activation:
    with console.session() as session:
        return make_activation(session, make_package(session, name="Tool", os="linux"))


def test_without_activations_it_says_what_comes_first(admin: Browser) -> None:
    assert "Nothing can be deployed yet" in admin.get("/deploy").text


def test_a_search_is_previewed_then_assigned(
    admin: Browser, console: Console, activation: Activation
) -> None:
    with console.session() as session:
        make_computer(session, tag="LYON")
        make_computer(session, tag="LYON")
        make_computer(session, tag="LYON", os_family="windows", os="Windows 11")
        make_computer(session, tag="PARIS")
    form = {"activation": activation.id, "target": "search", "q": "tag = LYON"}
    preview = admin.post("/deploy/preview", {**FORM, **form}, fetch=True).text
    assert "Deploy to 2 computers" in preview
    assert "1 computer skipped" in preview
    assert statuses(console) == []
    assert deploy(admin, **form) == f"/packages/{activation.package_id}"
    assert statuses(console) == ["WAITING", "WAITING"]
    page = admin.get(f"/packages/{activation.package_id}").text
    assert "Tool: 2 computers will be told at the next contact." in page
    assert "Skipped 1 computer" in page


@pytest.mark.parametrize(
    "change", [{"q": ""}, {"target": "all"}, {"force": "1"}, {"target": "group"}, {"seal": ""}]
)
def test_what_was_not_previewed_is_not_assigned(
    admin: Browser, console: Console, activation: Activation, change: dict[str, str]
) -> None:
    with console.session() as session:
        make_computer(session, tag="LYON")
        make_computer(session)
    sent = {"activation": activation.id, "target": "search", "q": "tag = LYON"}
    page = admin.post("/deploy/preview", sent, fetch=True).text
    answer = admin.post("/deploy", {**sent, **sealed(page), **change})
    assert answer.status_code == 200
    assert "Who gets it" in answer.text
    assert statuses(console) == []


@pytest.mark.parametrize(("tag", "said"), [("LYON", "and others now."), ("", "and 0 now.")])
def test_others_than_were_previewed_are_not_assigned(
    admin: Browser, console: Console, activation: Activation, tag: str, said: str
) -> None:
    with console.session() as session:
        one, other = make_computer(session, tag="LYON").id, make_computer(session).id
    sent = {"activation": activation.id, "target": "search", "q": "tag = LYON"}
    page = admin.post("/deploy/preview", sent, fetch=True).text
    with console.session() as session:
        for each, value in ((one, ""), (other, tag)):
            row = session.get_one(Computer, each)
            row.tag, row.tag_key = value, value.lower()
    answer = admin.post("/deploy", {**sent, **sealed(page)})
    assert answer.status_code == 409
    assert f"The search found 1 computer when you looked, {said}" in answer.text
    assert statuses(console) == []


def test_an_empty_search_is_not_everybody(
    admin: Browser, console: Console, activation: Activation
) -> None:
    with console.session() as session:
        make_computer(session)
    sent = {"activation": activation.id, "target": "search", "q": "  "}
    admin.get("/deploy")
    preview = admin.post("/deploy/preview", sent, fetch=True).text
    assert "Say which computers" in preview
    admin.post("/deploy", {**sent, "do": "assign", "seal": seal(preview)})
    assert statuses(console) == []
    assert 'target=all"' in admin.get("/computers").text


def test_without_script_a_button_shows_the_preview(
    admin: Browser, console: Console, activation: Activation
) -> None:
    with console.session() as session:
        make_computer(session)
    form = {**FORM, "activation": activation.id, "do": "preview"}
    page = admin.post("/deploy", form).text
    assert "Deploy to 1 computer" in page
    assert seal(page)


def test_what_enter_presses_is_the_preview(admin: Browser, activation: Activation) -> None:
    page = admin.get(f"/deploy?activation={activation.id}&target=all").text
    buttons = re.findall(r"<button[^>]* name=\"do\" value=\"(\w+)\"", page)
    assert buttons[0] == "preview"  # a browser presses the first
    assert "assign" in buttons


def test_ticked_computers(admin: Browser, console: Console, activation: Activation) -> None:
    with console.session() as session:
        one, two = make_computer(session, name="one"), make_computer(session, name="two")
        make_computer(session)
    page = admin.get(f"/deploy?computer={one.id}&computer={two.id}").text
    assert "The 2 that were ticked" in page
    assert "one, two" in re.sub(r"\s+", " ", page)
    deploy(admin, activation=activation.id, target="ticked", computer=[one.id, two.id])
    assert statuses(console) == ["WAITING", "WAITING"]


def test_one_computer_leads_back_to_it(
    admin: Browser, console: Console, activation: Activation
) -> None:
    with console.session() as session:
        computer = make_computer(session)
    location = deploy(admin, activation=activation.id, target="ticked", computer=computer.id)
    assert location == f"/computers/{computer.id}"


def test_a_group(admin: Browser, console: Console, activation: Activation) -> None:
    with console.session() as session:
        group = make_group(session, make_computer(session), name="Pilot")
    assert "Pilot (1 computer)" in admin.get(f"/deploy?group={group.id}").text
    deploy(admin, activation=activation.id, target="group", group=group.id)
    with console.sessions() as session:
        assert session.scalars(select(GroupAssignment.group_id)).one() == group.id


def test_several_packages_at_once(admin: Browser, console: Console) -> None:
    with console.session() as session:
        first, second = make_activation(session), make_activation(session)
        make_computer(session)
    location = deploy(admin, activation=[first.id, second.id])
    assert location == "/packages"
    assert len(statuses(console)) == 2


def test_options_are_kept(admin: Browser, console: Console, activation: Activation) -> None:
    with console.session() as session:
        make_computer(session)
    deploy(admin, activation=activation.id, force="1", schedule="2026-12-24T18:30",
           postcmd="COMMAND", command="shutdown -h +5")  # fmt: skip
    with console.sessions() as session:
        row = session.scalars(select(Assignment)).one()
    assert (row.force, row.schedule, row.postcmd) == (True, "2026/12/24 18:30", "shutdown -h +5")
    assert row.assigned_by == "superadmin"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"target": "search", "q": "name = = x"}, "character"),
        ({"schedule": "tomorrow"}, "no time"),
        ({"schedule": "2026-02-30T10:00"}, "no time"),
        ({"target": "group", "group": "77"}, "no group is chosen"),
        ({"target": "group"}, "no group is chosen"),
        ({"target": "ticked", "computer": "77"}, ""),
    ],
)
def test_what_cannot_be_done_is_named_in_the_preview(
    admin: Browser, console: Console, activation: Activation, form: dict[str, str], says: str
) -> None:
    admin.get("/deploy")
    sent = {**FORM, "activation": activation.id, **form}
    answer = admin.post("/deploy/preview", sent, fetch=True)
    assert answer.status_code == 200
    assert says in answer.text.lower()
    assert 'value="assign"' not in answer.text or "disabled" in answer.text


@pytest.mark.parametrize("value", ["", "x", "0", "99", "-1"])
def test_an_activation_that_is_not_there_is_not_offered(
    admin: Browser, console: Console, activation: Activation, value: str
) -> None:
    answer = admin.post("/deploy/preview", {**FORM, "activation": value}, fetch=True)
    assert "Tick a package" in answer.text


def test_an_ended_activation_is_not_offered(admin: Browser, console: Console) -> None:
    with console.session() as session:
        ended = make_activation(session, ended_at=console.clock())
    answer = admin.post("/deploy/preview", {**FORM, "activation": ended.id}, fetch=True)
    assert "Tick a package" in answer.text


def test_a_package_with_one_activation_is_ticked(admin: Browser, activation: Activation) -> None:
    page = admin.get(f"/deploy?package={activation.package_id}").text
    assert f'name="activation" value="{activation.id}" checked' in page


def test_tags_limit_who_gets_it_and_take_groups_away(
    console: Console, activation: Activation
) -> None:
    with console.session() as session:
        make_computer(session, tag="LYON")
        paris = make_computer(session, tag="PARIS")
        group = make_group(session, paris)
    lyon = console.user("admin", "LYON")
    assert 'value="group"' not in lyon.get("/deploy").text
    sent = {**FORM, "activation": activation.id}
    assert "Deploy to 1 computer" in lyon.post("/deploy/preview", sent, fetch=True).text
    for form in ({"target": "group", "group": group.id},
                 {"target": "ticked", "computer": paris.id}):  # fmt: skip
        page = lyon.post("/deploy/preview", {**sent, **form}, fetch=True).text
        assert 'value="assign"' not in page
    deploy(lyon, activation=activation.id)
    with console.sessions() as session:
        assert session.scalars(select(Assignment.computer_id)).all() != [paris.id]
        assert len(session.scalars(select(Assignment)).all()) == 1


def test_only_where_it_never_succeeded(
    admin: Browser, console: Console, activation: Activation
) -> None:
    with console.session() as session:
        done, fresh = make_computer(session), make_computer(session)
        make_assignment(session, done, activation, status="SUCCESS")
    form = {"activation": activation.id, "only_new": "1"}
    preview = admin.post("/deploy/preview", {**FORM, **form}, fetch=True).text
    assert "Deploy to 1 computer" in preview
    assert "had it succeed before and is left out" in re.sub(r"\s+", " ", preview)
    deploy(admin, **form)
    with console.sessions() as session:
        rows = session.scalars(select(Assignment).where(Assignment.status == "WAITING"))
        assert [row.computer_id for row in rows] == [fresh.id]
    # Without it the seal is another: nothing else happens under the same preview.
    sent = {**FORM, "activation": activation.id, **sealed(preview)}
    assert admin.post("/deploy", sent).status_code == 200


def test_the_preview_says_who_has_it_and_who_is_kept_out(
    admin: Browser, console: Console, activation: Activation
) -> None:
    with console.session() as session:
        way, failed, out = (make_computer(session) for _ in range(3))
        make_assignment(session, way, activation, status="NOTIFIED")
        make_assignment(session, failed, activation, status="ERR_BAD_DIGEST")
        group = make_group(session, way, failed, excluded=(out,))
    form = {"activation": activation.id, "target": "group", "group": group.id}
    page = re.sub(r"<[^>]+>|\s+", " ", admin.post("/deploy/preview", form, fetch=True).text)
    text = re.sub(r" +", " ", page)
    assert "1 computer has it under way." in text
    assert "1 computer failed with it last time." in text
    assert "1 computer is kept out of the group by hand." in text
