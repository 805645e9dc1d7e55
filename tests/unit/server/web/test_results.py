"""Results of a package: lists behind counts, validation with its radius, running again."""

import re

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Activation, Assignment
from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_assignment, make_computer

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
