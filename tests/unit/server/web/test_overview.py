"""The overview: counts that are links, what failed, what needs a look."""

import re
from datetime import timedelta

import pytest

from deploy_server.services.backup import BACKUPS
from deploy_server.services.gate import REFUSED_HTTP
from deploy_server.storage.models import Counter
from tests.support.clock import START
from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_assignment, make_computer, make_package


def tiles(page: str) -> dict[str, tuple[str, str]]:
    """Label -> (number, address) of the tiles."""
    found = re.findall(
        r'<a class="tile" href="([^"]+)">.*?</span>([^<]+)</span>\s*<span class="value">([^<]+)<',
        page,
        re.DOTALL,
    )
    return {label: (value, href.replace("&amp;", "&")) for href, label, value in found}


def test_the_beginning_shows_the_way(admin: Browser, console: Console) -> None:
    page = admin.get("/").text
    assert "The way to the first success" in page
    assert page.count('class="done"') == 0
    with console.session() as session:
        make_package(session)
    assert admin.get("/").text.count('class="done"') == 1
    with console.session() as session:
        make_assignment(session)
    assert "The way to the first success" not in admin.get("/").text


def test_counts_lead_to_lists_of_that_length(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for hours in (1, 71, 73, 500):
            make_computer(session, last_contact=START - timedelta(hours=hours))
        make_computer(session, last_contact=None)
        make_assignment(session, make_computer(session), status="ERR_BAD_DIGEST")
        make_computer(session, agent="Tranche/0.1", agent_key="tranche/0.1")
    found = tiles(admin.get("/").text)
    assert {label: value for label, (value, _) in found.items()} == {
        "In contact": "4",
        "Overdue": "2",
        "Never in contact": "1",
        "Unproven": "6",
        "Failures": "1",
    }
    for value, href in found.values():
        assert f"of {value} " in re.sub(r"\s+", " ", admin.get(href).text)


def test_packages_under_way_are_listed_with_their_counts(admin: Browser, console: Console) -> None:
    with console.session() as session:
        slow = make_activation(session, make_package(session, name="slow"))
        done = make_activation(session, make_package(session, name="done"))
        gone = make_activation(session, make_package(session, name="gone", deleted_at=START))
        make_assignment(session, activation=slow)
        make_assignment(session, activation=slow, status="SUCCESS")
        make_assignment(session, activation=done, status="SUCCESS")
        make_assignment(session, activation=gone)
        cleared = make_activation(session, make_package(session, name="cleared"))
        make_assignment(session, activation=cleared, cleared_at=START)
    for path in ("/", "/progress"):
        page = admin.get(path).text
        assert ">slow</a>" in page
        assert not re.search(r">(done|gone|cleared)</a>", page)


def test_failures_are_grouped_by_code_and_old_ones_left_out(
    admin: Browser, console: Console
) -> None:
    with console.session() as session:
        for status, days in (
            ("ERR_A", 0),
            ("ERR_A", 6),
            ("ERR_B", 1),
            ("ERR_C", 8),
            ("SUCCESS", 0),
        ):
            make_assignment(session, status=status, since=START - timedelta(days=days))
    page = admin.get("/failures").text
    assert re.search(r'All <span class="count">3</span>', page)
    assert "ERR_C" not in page
    only = admin.get("/failures?code=ERR_A").text
    assert only.count('<td><span class="badge error"') == 2
    assert "Nothing failed" in admin.get("/failures?code=ERR_NOBODY").text


def test_agents_that_were_refused_over_http_are_counted(admin: Browser, console: Console) -> None:
    with console.session() as session:
        session.add(Counter(name=REFUSED_HTTP, value=1204, last_at=START))
    page = admin.get("/").text
    assert "1,204 contacts over plain HTTP were refused" in page
    assert "AGENTS_OVER_HTTP" in page
    assert "1,204" not in console.user("admin", "LYON").get("/").text


def test_little_space_is_warned_about(admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        total, free = 10**12, 2 * 10**9

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    assert "The disk is almost full" in admin.get("/").text


def test_backups_that_have_stopped_are_missed(admin: Browser, console: Console) -> None:
    with console.session() as session:
        session.add(Counter(name=BACKUPS, value=3, last_at=START - timedelta(days=7)))
    assert "No backup for" not in admin.get("/").text
    with console.session() as session:
        session.get_one(Counter, BACKUPS).last_at = START - timedelta(days=9)
    assert "No backup for a long time" in admin.get("/").text


def test_a_disk_without_room_says_what_is_refused(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        total, free = 10**12, 10**9

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    page = admin.get("/").text
    assert "nothing can be built or uploaded" in page
    assert "The last 1 GiB are kept for the reports of agents" in page
    answer = admin.post("/uploads", {"name": "a", "length": "10"})
    assert answer.status_code == 503
    assert "min_free_bytes" in answer.text


def test_tags_limit_everything(console: Console) -> None:
    with console.session() as session:
        for tag in ("LYON", "PARIS"):
            activation = make_activation(session, make_package(session, name=f"for {tag}"))
            computer = make_computer(session, tag=tag)
            make_assignment(session, computer, activation)
            other = make_activation(session)
            make_assignment(session, computer, other, status=f"ERR_{tag}")
    page = console.user("viewer", "LYON").get("/").text
    assert tiles(page)["In contact"][0] == "1"
    assert tiles(page)["Failures"][0] == "1"
    assert ">for LYON</a>" in page
    assert "for PARIS" not in page
    assert "ERR_PARIS" not in page


def test_what_is_stuck_is_counted_and_listed_with_its_reason(
    admin: Browser, console: Console
) -> None:
    assert "Stuck" not in admin.get("/").text
    assert "Nothing is stuck like this" in admin.get("/stuck").text
    with console.session() as session:
        old = START - timedelta(days=30)
        away = make_computer(session, name="away", last_contact=old)
        make_assignment(session, away, make_activation(session), since=old)
    page = admin.get("/").text
    (address,) = set(re.findall(r'href="(/stuck[^"]+)"', page))
    listed = admin.get(address).text
    assert "away" in listed
    assert 'class="reason' in listed
    assert "of 1 package" in re.sub(r"\s+", " ", listed)
    assert admin.get("/stuck?kind=nonsense").status_code == 404
    assert "Stuck" not in console.user("viewer", "A").get("/").text
