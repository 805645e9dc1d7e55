"""Results of a package: lists behind counts, validation with its radius, running again."""

import csv
import html
import io
import re

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Activation, Assignment
from tests.support.console import Browser, Console, words
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
)

STATUSES = ("WAITING", "WAITING", "NOTIFIED", "SUCCESS", "SUCCESS_ALREADY_SETUP", "ERR_BAD_DIGEST")


@pytest.fixture
def activation(console: Console) -> Activation:
    with console.session() as session:
        made = make_activation(session)
        for number, status in enumerate(STATUSES):
            computer = make_computer(session, name=f"pc-{number}", tag=("A", "B")[number % 2])
            make_assignment(session, computer, made, status=status)
        return made


def listed(browser: Browser, activation: Activation, query: str = "") -> set[str]:
    page = browser.get(f"/packages/{activation.package_id}/results{query}").text
    return set(re.findall(r'href="/computers/\d+">([^<]*)</a>', page))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"pc-0", "pc-1", "pc-2", "pc-3", "pc-4", "pc-5"}),
        ("?class=waiting", {"pc-0", "pc-1"}),
        ("?class=notified", {"pc-2"}),
        ("?class=success", {"pc-3", "pc-4"}),
        ("?class=error", {"pc-5"}),
        ("?status=SUCCESS_ALREADY_SETUP", {"pc-4"}),
        ("?status=ERR_NOBODY_HAS_IT", set()),
    ],
)
def test_a_list_holds_what_its_count_counted(
    admin: Browser, activation: Activation, query: str, expected: set[str]
) -> None:
    assert listed(admin, activation, query) == expected


def test_tags_limit_lists(console: Console, activation: Activation) -> None:
    assert listed(console.user("viewer", "A"), activation) == {"pc-0", "pc-2", "pc-4"}


@pytest.mark.parametrize("query", ["?class=lost", "?class=<b>"])
def test_a_class_nobody_knows(admin: Browser, activation: Activation, query: str) -> None:
    assert admin.get(f"/packages/{activation.package_id}/results{query}").status_code == 404


@pytest.mark.parametrize(
    ("what", "rows", "left"),
    [
        ("success", 2, ["ERR_BAD_DIGEST", "NOTIFIED", "WAITING", "WAITING"]),
        ("not_notified", 2, ["ERR_BAD_DIGEST", "NOTIFIED", "SUCCESS", "SUCCESS_ALREADY_SETUP"]),
        ("all", 6, []),
    ],
)
def test_validating_says_how_many_before_and_after(
    admin: Browser, console: Console, activation: Activation, what: str, rows: int, left: list[str]
) -> None:
    address = f"/packages/{activation.package_id}"
    page = admin.get(f"{address}/results/validate?what={what}").text
    assert f"{rows} computers" in page
    assert "Nothing is removed from any computer" in page
    assert admin.post(f"{address}/results/validate", {"what": what}).location == address
    assert f"{rows} computers" in admin.get(address).text
    with console.sessions() as session:
        counting = select(Assignment.status).where(Assignment.cleared_at.is_(None))
        assert sorted(session.scalars(counting)) == left


def test_validating_nothing_is_not_offered(admin: Browser, console: Console) -> None:
    with console.session() as session:
        package_id = make_activation(session).package_id
    page = admin.get(f"/packages/{package_id}/results/validate?what=success").text
    assert re.search(r'<button class="button danger" disabled>', page)
    for what in ("", "everything", "<b>"):
        form = {"what": what}
        assert admin.post(f"/packages/{package_id}/results/validate", form).status_code == 404


def test_tags_limit_validation(console: Console, activation: Activation) -> None:
    lyon = console.user("admin", "A")
    address = f"/packages/{activation.package_id}/results/validate"
    page = lyon.get(f"{address}?what=all").text
    assert "3 computers" in page
    assert "Only computers with your tags are touched" in page
    lyon.post(address, {"what": "all"})
    assert listed(console.user("viewer"), activation) == {"pc-1", "pc-3", "pc-5"}


def test_failed_ones_are_run_again(console: Console, activation: Activation) -> None:
    operator = console.user("operator")
    address = f"/packages/{activation.package_id}/results"
    page = operator.get(f"{address}?class=error").text
    (computer,) = re.findall(r'name="computer" value="(\d+)"', page)
    answer = operator.post(f"{address}/again", {"computer": computer})
    assert answer.location == f"{address}?class=error"
    assert "1 computer will try again" in operator.get(answer.location).text
    operator.post(f"{address}/again")
    assert "Tick at least one" in operator.get(address).text
    assert operator.post(f"{address}/again", {"computer": "99"}).status_code == 404
    assert operator.post(f"{address}/again", {"computer": "x"}).status_code == 302


def test_the_list_is_exported_without_formulas(
    console: Console, admin: Browser, activation: Activation
) -> None:
    with console.session() as session:
        make_assignment(
            session, make_computer(session, name="=1+1"), activation, status="ERR_BAD_DIGEST"
        )
    answer = admin.get(f"/packages/{activation.package_id}/results/export?class=error")
    assert answer.mimetype == "text/csv"
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(row["name"] for row in found) == ["'=1+1", "pc-5"]
    assert {row["status"] for row in found} == {"ERR_BAD_DIGEST"}
    mine = console.user("viewer", "A").get(f"/packages/{activation.package_id}/results/export")
    assert {row["tag"] for row in csv.DictReader(io.StringIO(mine.text))} == {"A"}


def followed(browser: Browser, page: str) -> list[tuple[int, int]]:
    """The number that each link to a list says, and how long that list is."""
    found = re.findall(r'class="count[^"]*" href="([^"]+)">([\d,]+)</a>', page)
    assert found
    return [
        (int(number.replace(",", "")), len(set(re.findall(
            r'href="/computers/(\d+)">', browser.get(html.unescape(address)).text
        ))))
        for address, number in found
    ]  # fmt: skip


@pytest.mark.parametrize("view", ["", "/time", "/groups"])
@pytest.mark.parametrize("tags", [(), ("A",)])
def test_every_number_leads_to_a_list_of_that_length(
    console: Console, activation: Activation, view: str, tags: tuple[str, ...]
) -> None:
    with console.session() as session:
        members = [make_computer(session, tag=tag) for tag in ("A", "B", "B")]
        make_group_assignment(session, make_group(session, *members, name="Ä & <b>"), activation)
    browser = console.user("viewer", *tags)
    page = browser.get(f"/packages/{activation.package_id}/results{view}").text
    if view:
        assert all(number == length for number, length in followed(browser, page))
    else:
        page = browser.get(f"/packages/{activation.package_id}").text
        assert all(number == length for number, length in followed(browser, page))


def test_nothing_has_views_too(console: Console, admin: Browser) -> None:
    with console.session() as session:
        package = make_activation(session).package_id
    for view, says in (
        ("", "No computer here"), ("/time", "No result yet"), ("/groups", "Nobody has it"),
    ):  # fmt: skip
        assert says in admin.get(f"/packages/{package}/results{view}").text
    assert "No computer here" in admin.get(f"/packages/{package}/stop/computers").text
    assert admin.get(f"/packages/{package}/stop/computers?word=nonsense").status_code == 404
    assert admin.get(f"/packages/{package}/results?when=never").status_code == 422
    chip = admin.get(f"/packages/{package}/results?when=2026-11-21T10").text
    assert '<time datetime="2026-11-21T10:00:00Z" data-absolute="hour">' in chip
    assert "2026-11-21 UTC" in admin.get(f"/packages/{package}/results?when=2026-11-21").text


def test_its_pages_name_the_package_once_and_lead_back_to_it(
    admin: Browser, activation: Activation
) -> None:
    address = f"/packages/{activation.package_id}"
    for page in ("results", "edit", "copy", "activate"):
        heading = admin.get(f"{address}/{page}").text.split('class="page-head"')[1].split("</h1>")
        assert heading[0].count(activation.package.name) == 1
        assert f'href="{address}"' in heading[0]
        assert activation.package.name not in heading[1].split("<form")[0].split("<nav")[0]


def test_a_package_is_stopped_after_its_radius_was_shown(
    console: Console, admin: Browser, activation: Activation
) -> None:
    address = f"/packages/{activation.package_id}"
    assert f"{address}/stop" in admin.get(f"{address}/results").text
    # The package's own page leads there as well.
    assert f'{address}/stop"' in admin.get(address).text
    assert f'{address}/stop"' not in console.user("viewer").get(address).text
    page = words(admin.get(f"{address}/stop").text)
    assert "Stop it on 3 computers" in page
    assert "2 computers that wait will" in page
    assert "0 computers" not in page  # whom it does not concern is not counted
    answer = admin.post(f"{address}/stop")
    assert answer.location == f"{address}/results"
    assert "2 computers that waited will not be told" in admin.get(answer.location).text
    assert listed(admin, activation) == {"pc-3", "pc-4", "pc-5"}
    assert f'{address}/stop"' not in admin.get(f"{address}/results").text


def test_all_that_failed_run_again(
    console: Console, admin: Browser, activation: Activation
) -> None:
    address = f"/packages/{activation.package_id}/results"
    page = admin.get(f"{address}/again").text
    assert "Run again on 1 computer" in page
    assert "ERR_BAD_DIGEST" in page
    other = admin.post(f"{address}/again", {"everywhere": "1", "status": "ERR_OTHER"})
    assert "No computer" in admin.get(other.location).text
    operator = console.user("operator")
    done = operator.post(f"{address}/again", {"everywhere": "1"})
    assert "1 computer will try again" in operator.get(done.location).text
    assert listed(admin, activation, "?class=error") == set()
