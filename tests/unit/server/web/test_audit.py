"""The page of the audit log: everything that was done in the console is there."""

import csv
import io
import re

from sqlalchemy import delete

from deploy_server.storage.models import AuditEntry
from tests.support.console import Browser, Console
from tests.support.factories import make_computer


def test_a_change_is_there_with_who_and_from_where(admin: Browser) -> None:
    admin.post("/people", {"name": "Marie", "role": "viewer"})
    text = admin.get("/audit").text
    assert "user.add" in text
    assert "Marie" in text
    assert "127.0.0.1" in text
    assert "superadmin" in text


def test_a_change_shows_what_was_and_what_is(admin: Browser) -> None:
    admin.post("/people", {"name": "Marie", "role": "viewer", "tags": "LYON"})
    admin.post("/people/edit", {"name": "Marie", "role": "operator", "tags": "LYON"})
    row = admin.get("/audit?action=user.change").text.split("<tbody>")[1].split("</tbody>")[0]
    words = re.sub(r"<[^>]+>|\s+", " ", row).split()
    assert " ".join(words).endswith("Marie role viewer → became operator")


def test_it_is_searched_until_a_time(admin: Browser, console: Console) -> None:
    admin.post("/people", {"name": "Marie", "role": "viewer"})
    first = f"{console.clock():%Y-%m-%dT%H:%M}"
    console.clock.advance(hours=3)
    admin.post("/people", {"name": "Jan", "role": "viewer"})
    text = admin.get(f"/audit?until={console.clock():%Y-%m-%d}").text
    assert "Marie" in text
    assert "Jan" in text
    for asked in (f"until={first}", "until=2h", f"until={first}&since={first}"):
        text = admin.get(f"/audit?{asked}").text
        assert "Marie" in text
        assert "Jan" not in text
    answer = admin.get(f"/audit/export?until={first}")
    assert "Jan" not in answer.text
    assert "is no time" in admin.get("/audit?until=tomorrow").text


def test_it_is_searched(admin: Browser) -> None:
    admin.post("/people", {"name": "Marie", "role": "viewer"})
    admin.post("/people", {"name": "Jan", "role": "operator"})
    assert "Marie" not in admin.get("/audit?q=operator").text.split("<tbody>")[1]
    assert "No entries" in admin.get("/audit?action=package").text
    assert "Jan" in admin.get("/audit?since=7d&actor=super").text
    assert "is no time" in admin.get("/audit?since=yesterday").text


def test_the_chain_is_checked(admin: Browser, console: Console) -> None:
    admin.post("/people", {"name": "Marie", "role": "viewer"})
    assert "The chain is whole" in admin.get("/audit/check").text
    with console.session() as session:
        session.execute(delete(AuditEntry))
    assert "entry 1 of the audit log is missing" in admin.get("/audit/check").text


def test_it_is_exported_without_formulas(admin: Browser, console: Console) -> None:
    with console.session() as session:
        make_computer(session, device_id="=cmd()-2026-01-02-03-04-05")
    admin.post("/people", {"name": "Marie", "role": "viewer"})
    admin.post("/computers/delete", {"computer": "1"})
    answer = admin.get("/audit/export?q=cmd")
    assert answer.mimetype == "text/csv"
    names, *rows = csv.reader(io.StringIO(answer.text))
    assert names[:4] == ["number", "at", "actor", "origin"]
    (row,) = [dict(zip(names, each, strict=True)) for each in rows]
    assert (row["action"], row["target"]) == ("computer.delete", "'=cmd()-2026-01-02-03-04-05")
