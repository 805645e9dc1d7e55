"""Packages taken back from ticked rows or a whole result: shown first, told afterwards."""

import re
from html import unescape
from typing import Any

import pytest
from lxml import html
from sqlalchemy import select
from werkzeug.test import TestResponse

from deploy_server.storage.models import Assignment
from tests.support.apps import OURS
from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_assignment, make_computer, make_package

WHOLE = {"whole": "1", "q": "tag = LYON"}


@pytest.fixture
def packages(console: Console) -> list[int]:
    """Two packages on four computers of LYON, the first one on a fifth elsewhere."""
    with console.session() as session:
        made = [
            make_activation(session, make_package(session, name=name)) for name in ("Tool", "Other")
        ]
        told = {"agent": OURS, "tag": "LYON"}
        for status, values in (
            ("WAITING", {"tag": "LYON"}),
            ("NOTIFIED", told),
            ("NOTIFIED", {"tag": "LYON"}),
            ("SUCCESS", {"tag": "LYON"}),
            ("WAITING", {}),
        ):
            computer = make_computer(session, **values)
            make_assignment(session, computer, made[0], status=status)
        make_assignment(session, computer, made[1], status="SUCCESS")
        return [each.package_id for each in made]


def shown(browser: Browser) -> dict[str, Any]:
    page = browser.get("/computers/unassign", query_string=WHOLE).text
    found = re.search(r'name="expected" value="([^"]+)"', page)
    assert found
    return {**WHOLE, "expected": found.group(1)}


def left(console: Console) -> list[str]:
    with console.sessions() as session:
        rows = select(Assignment.status).where(Assignment.cleared_at.is_(None))
        return sorted(session.scalars(rows))


def test_it_is_shown_first(admin: Browser, packages: list[int]) -> None:
    assert 'formaction="/computers/unassign"' in admin.get("/computers").text
    page = admin.get("/computers/unassign", query_string=WHOLE).text
    assert "Take packages back from 4 computers" in page
    assert "Other" not in page
    row = re.sub(r"<[^>]+>|\s+", " ", page.split("<tbody>")[1].split("</tbody>")[0])
    assert row.split() == ["Tool", "1", "1", "1", "1", "0"]
    nothing = admin.get("/computers/unassign?whole=1&q=tag+=+NICE").text
    assert "They have no package" in nothing
    assert admin.get("/computers/unassign").location == "/computers"


def test_every_number_of_a_whole_result_is_as_long_as_its_list(
    admin: Browser, packages: list[int]
) -> None:
    page = admin.get("/computers/unassign", query_string=WHOLE).text
    counts = re.findall(r'<a class="count \w+" href="([^"]+)">(\d+)</a>', page)
    assert len(counts) == 4
    for address, number in counts:
        listed = admin.get(unescape(address)).text
        assert f'<h2 class="number">{number} computer' in listed, address
    assert 'class="count' in admin.get("/computers/unassign?computer=1").text
    assert '<a class="count' not in admin.get("/computers/unassign?computer=1").text


def test_what_became_of_it_is_said(admin: Browser, console: Console, packages: list[int]) -> None:
    answer = admin.post("/computers/unassign", {**shown(admin), "package": packages})
    assert answer.location == f"/packages/{packages[0]}/stop/computers"
    page = admin.get(answer.location).text
    assert (
        "Tool: 1 computer that waited will not be told; 1 agent will be told to drop it and say"
        " whether it had begun; 1 agent of OCS cannot be told and may go on."
    ) in page
    assert left(console) == ["SUCCESS", "SUCCESS", "WAITING"]
    again = admin.post("/computers/unassign", {**shown(admin), "package": packages})
    assert "Nothing was taken back" in admin.get(again.location).text


def test_results_leave_the_counts_where_that_is_asked(
    admin: Browser, console: Console, packages: list[int]
) -> None:
    sent = {**shown(admin), "package": packages[0], "results": "too"}
    page = admin.get(admin.post("/computers/unassign", sent).location).text
    assert "1 result left the counts" in page
    assert left(console) == ["SUCCESS", "WAITING"]


def test_nothing_happens_unasked(admin: Browser, console: Console, packages: list[int]) -> None:
    sent = shown(admin)
    answer = admin.post("/computers/unassign", sent)
    assert answer.status_code == 422
    assert "No package was ticked" in answer.text
    assert admin.post("/computers/unassign", {"package": packages}).status_code == 422
    with console.session() as session:
        make_computer(session, tag="LYON")
    answer = admin.post("/computers/unassign", {**sent, "package": packages})
    assert answer.status_code == 409
    assert f'value="{packages[0]}" checked' in answer.text
    assert len(left(console)) == 6


def test_what_has_ended_is_offered_with_its_results(
    admin: Browser, console: Console, packages: list[int]
) -> None:
    with console.sessions() as session:
        of_other = select(Assignment.computer_id).where(Assignment.package_id == packages[1])
        computer_id = session.scalars(of_other).one()
    page = admin.get(f"/computers/unassign?computer={computer_id}&package={packages[1]}").text
    assert 'name="results" value="too" checked' in page


def test_many_packages_are_counted_together(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session)
        rows = [make_assignment(session, computer) for _ in range(5)]
        sent = {"computer": computer.id, "package": [each.package_id for each in rows]}
    page = admin.get(admin.post("/computers/unassign", sent).location).text
    assert "5 packages, counted together: 5 computers that waited will not be told." in page


def press(browser: Browser, page: str, label: str, *ticks: tuple[str, str]) -> TestResponse:
    """What a browser that runs no script sends, after these boxes were ticked."""
    (button,) = [
        each for each in html.fromstring(page).iter("button") if label in each.text_content()
    ]
    around = [button, *button.iterancestors()]
    assert not any(each.get("hidden") is not None for each in around)
    assert button.get("disabled") is None
    form = next(each for each in around if isinstance(each, html.FormElement))
    boxes = {
        (each.name, each.get("value")): each for each in form.xpath(".//input[@type='checkbox']")
    }
    for tick in ticks:
        boxes[tick].checked = True
    sent: dict[str, list[str]] = {}
    for name, value in form.form_values():
        sent.setdefault(name, []).append(value)
    action = button.get("formaction", form.action)
    if form.method == "GET":
        return browser.get(action, query_string=sent)
    (token,) = sent["csrf_token"]  # the form's own; each page has another one
    assert token
    return browser.post(action, sent)


def test_without_scripts_ticked_rows_are_shown_first_and_then_taken_from(
    admin: Browser, console: Console, packages: list[int]
) -> None:
    listed = admin.get("/computers").text
    shown_first = press(admin, listed, "Take back", ("computer", "1"), ("computer", "5"))
    assert "Take packages back from 2 computers" in shown_first.text
    assert len(left(console)) == 6
    nothing = press(admin, shown_first.text, "Take the ticked ones back")
    assert nothing.status_code == 422
    assert len(left(console)) == 6
    box = ("package", str(packages[0]))
    answer = press(admin, nothing.text, "Take the ticked ones back", box)
    assert answer.status_code == 302
    assert "2 computers that waited will not be told" in admin.get(answer.location).text
    assert left(console) == ["NOTIFIED", "NOTIFIED", "SUCCESS", "SUCCESS"]


def test_without_scripts_a_whole_result_that_moved_is_shown_again(
    admin: Browser, console: Console, packages: list[int]
) -> None:
    listed = admin.get("/computers?q=tag+=+LYON").text
    first = press(admin, listed, "Take back", ("whole", "1"))
    with console.session() as session:
        make_computer(session, tag="LYON")
    box = ("package", str(packages[0]))
    again = press(admin, first.text, "Take the ticked ones back", box)
    assert again.status_code == 409
    assert "The search found 4 computers when you looked, and 5 now" in again.text
    assert len(left(console)) == 6
    # The box is still ticked.
    assert press(admin, again.text, "Take the ticked ones back").status_code == 302
    assert left(console) == ["SUCCESS", "SUCCESS", "WAITING"]
