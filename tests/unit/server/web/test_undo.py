"""The way back in the message that says what was done: offered where it is true, and then it is."""

import html
import re

import pytest

from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_assignment, make_computer

_FORM = re.compile(r'<form class="undo" method="post" action="([^"]+)">(.*?)</form>', re.DOTALL)
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


def ways_back(page: str) -> list[tuple[str, dict[str, str]]]:
    """Where each button of the page's messages goes, with its fields."""
    found = []
    for address, form in _FORM.findall(page):
        fields = {name: html.unescape(value) for name, value in _FIELD.findall(form)}
        del fields["csrf_token"]  # of whoever saw it
        found.append((html.unescape(address), fields))
    return found


def undo(browser: Browser, page: str) -> str:
    """Press the one button; the page that follows."""
    ((address, fields),) = ways_back(page)
    answer = browser.post(address, dict(fields))
    assert answer.status_code == 302
    return browser.get(answer.location).text


def deployed(console: Console, *codes: str) -> tuple[int, list[int]]:
    """A package with these statuses; its id and the computers'."""
    with console.session() as session:
        activation = make_activation(session)
        rows = [make_assignment(session, activation=activation, status=code) for code in codes]
        return activation.package_id, [row.computer_id for row in rows]


def waits(browser: Browser, package_id: int) -> str:
    return browser.get(f"/packages/{package_id}/results?class=waiting").text


def test_who_waited_waits_again(admin: Browser, console: Console) -> None:
    package_id, (computer,) = deployed(console, "WAITING")
    taken = admin.post("/computers/unassign", {"computer": computer, "package": package_id})
    page = admin.get(taken.location).text
    assert "Let it wait again" in page
    assert "1 computer waits again" in undo(admin, page)
    assert "WAITING" in waits(admin, package_id)
    # Another press finds nothing, and says so.
    ((address, fields),) = ways_back(page)
    assert admin.post(address, dict(fields)).status_code == 409


def test_what_else_was_taken_back_in_that_second_stays(admin: Browser, console: Console) -> None:
    package_id, numbers = deployed(console, "WAITING", "WAITING")
    pages = []
    for computer in numbers:
        taken = admin.post("/computers/unassign", {"computer": computer, "package": package_id})
        pages.append(admin.get(taken.location).text)
    ((address, fields),) = ways_back(pages[0])
    answer = admin.post(address, dict(fields))
    assert answer.status_code == 409
    assert "Deploy the package again to those that shall have it" in answer.text
    assert "WAITING" not in waits(admin, package_id)


@pytest.mark.parametrize("code", ["NOTIFIED", "ERR_X"])
def test_what_an_agent_did_is_not_offered_back(admin: Browser, console: Console, code: str) -> None:
    package_id, (computer,) = deployed(console, code)
    form = {"computer": computer, "package": package_id, "results": "too"}
    page = admin.get(admin.post("/computers/unassign", form).location).text
    assert 'role="status"' in page
    assert ways_back(page) == []


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("success", "SUCCESS", "2 computers are counted again"),
        ("not_notified", "WAITING", "2 computers wait again"),
    ],
)
def test_a_validation_is_taken_back(
    admin: Browser, console: Console, what: str, code: str, said: str
) -> None:
    package_id, _ = deployed(console, code, code, "ERR_X")
    answer = admin.post(f"/packages/{package_id}/results/validate", {"what": what})
    assert said in undo(admin, admin.get(answer.location).text)
    assert code in admin.get(f"/packages/{package_id}/results").text


def test_a_stop_is_taken_back_where_nobody_was_told(admin: Browser, console: Console) -> None:
    package_id, _ = deployed(console, "WAITING", "SUCCESS")
    answer = admin.post(f"/packages/{package_id}/stop")
    assert "1 computer waits again" in undo(admin, admin.get(answer.location).text)
    package_id, _ = deployed(console, "WAITING", "NOTIFIED")
    answer = admin.post(f"/packages/{package_id}/stop")
    assert ways_back(admin.get(answer.location).text) == []
    answer = admin.post(f"/packages/{package_id}/results/validate", {"what": "all"})
    assert ways_back(admin.get(answer.location).text) == []


@pytest.mark.parametrize(
    "fields",
    [{}, {"what": "waiting"}, {"what": "error", "at": "2026-11-21T10:00:00Z"},
     {"what": "waiting", "at": "2026-11-21T10:00:00"}, {"what": "waiting", "at": "x"},
     {"what": "waiting", "at": "0001-01-01T00:00:00+23:59"},
     {"what": "waiting", "at": "2026-11-21T10:00:00Z"},
     {"what": "waiting", "at": "2026-11-21T10:00:00Z", "rows": "0"},
     {"what": "waiting", "at": "2026-11-21T10:00:00Z", "rows": "x"}],
)  # fmt: skip
def test_a_way_back_that_nobody_offered(
    admin: Browser, console: Console, fields: dict[str, str]
) -> None:
    package_id, _ = deployed(console, "WAITING")
    assert admin.post(f"/packages/{package_id}/stop/back", fields).status_code == 404


def test_it_stays_inside_one_s_tags(admin: Browser, console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session)
        make_assignment(session, make_computer(session, tag="PARIS"), activation)
    place = f"/packages/{activation.package_id}"
    admin.post(f"{place}/results/validate", {"what": "not_notified"})
    ((address, fields),) = ways_back(admin.get(place).text)
    assert console.user("admin", "LYON").post(address, dict(fields)).status_code == 409
    assert console.user("operator").post(address, dict(fields)).status_code == 403
    assert console.user("admin", "PARIS").post(address, dict(fields)).status_code == 302


def test_a_deleted_search_is_saved_again_by_its_owner(admin: Browser, console: Console) -> None:
    lyon = console.user("operator", "LYON")
    for audience in ("all", "tag:LYON"):
        sent = {"name": "<b>Old</b>", "q": 'name ~ "x"', "audience": audience}
        lyon.post("/searches", sent)
        (number,) = set(re.findall(r"/searches/(\d+)/delete", lyon.get("/computers").text))
        page = undo(lyon, lyon.get(lyon.post(f"/searches/{number}/delete").location).text)
        assert "&lt;b&gt;Old&lt;/b&gt; is saved" in page
    (number,) = set(re.findall(r"/searches/(\d+)/delete", lyon.get("/computers").text))
    lyon.post("/searches", {"name": "shared", "q": "os ~ x", "audience": "all"})
    (number,) = set(re.findall(r"/searches/(\d+)/delete", admin.get("/computers").text))
    assert ways_back(admin.get(admin.post(f"/searches/{number}/delete").location).text) == []


def test_what_is_too_long_for_a_cookie_comes_without(admin: Browser, console: Console) -> None:
    query = " or ".join(f"name = {'n' * 60}{number}" for number in range(30))
    admin.post("/searches", {"name": "long", "q": query})
    page = admin.get(admin.post("/searches/1/delete").location).text
    assert "The search long is deleted" in page
    assert ways_back(page) == []
