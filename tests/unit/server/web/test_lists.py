"""The list of computers as each person wants it: columns, saved searches, a file of it."""

import csv
import io
import re

from deploy_server.storage.models import Computer
from tests.support.console import Browser, Console
from tests.support.factories import make_computer


def heads(page: str) -> list[str]:
    """The labels of the columns that a list is sorted by."""
    table = page[page.index("<thead>") : page.index("</thead>")]
    return [text.strip() for text in re.findall(r"<a [^>]*>\s*([^<]+?)\s*<", table)]


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_columns_are_chosen_and_kept_for_each(console: Console, admin: Browser) -> None:
    with console.session() as session:
        make_computer(session, name="one", serial="SN-1", memory=2048)
    usual = ["Name", "Tag", "System", "IP", "User", "Last contact", "Last inventory"]
    assert heads(admin.get("/computers").text) == usual
    there = "/computers?q=name+%3D+one&sort=tag&page=2"
    sent = {"column": ["serial", "memory", "nonsense"], "back": there}
    assert admin.post("/computers/columns", sent).location == there
    elsewhere = {**sent, "back": "https://elsewhere.example/computers"}
    assert admin.post("/computers/columns", elsewhere).location == "/computers"
    page = admin.get("/computers").text
    assert heads(page) == ["Name", "Serial number", "Memory"]
    assert "SN-1" in page
    assert "2 GiB" in page
    assert heads(console.user("viewer").get("/computers").text) == usual
    admin.post("/computers/columns")
    assert heads(admin.get("/computers").text) == usual


def test_every_column_can_be_shown_and_sorted(console: Console, admin: Browser) -> None:
    from deploy_server.web.columns import COLUMNS

    with console.session() as session:
        make_computer(session, name="b", memory=1)
        make_computer(session, name="a")
    admin.post("/computers/columns", {"column": [each.key for each in COLUMNS]})
    assert len(heads(admin.get("/computers").text)) == len(COLUMNS) + 1
    for each in COLUMNS:
        answer = admin.get(f"/computers?sort={each.key}&desc=1")
        assert answer.status_code == 200, each.key


def test_the_file_has_the_chosen_columns_and_no_formula(console: Console, admin: Browser) -> None:
    with console.session() as session:
        make_computer(session, name="=1+1", tag="LYON", serial="@x", device_id="d1")
        make_computer(session, name="other", tag="PARIS")
    admin.post("/computers/columns", {"column": ["serial", "last_contact"]})
    answer = admin.get("/computers/export?q=tag+=+lyon")
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert table(answer.text) == [
        ["name", "device_id", "serial", "last_contact"],
        ["'=1+1", "d1", "'@x", "2026-11-21T10:00:00Z"],
    ]
    assert admin.get("/computers/export?q=nmae").status_code == 422


def test_the_file_is_in_the_order_of_the_list(console: Console, admin: Browser) -> None:
    with console.session() as session:
        for name, memory in (("a", 2), ("b", None), ("c", 3), ("d", 1)):
            make_computer(session, name=name, memory=memory)
    page = admin.get("/computers?sort=memory&desc=1&page=1").text
    assert 'href="/computers/export?sort=memory&amp;desc=1"' in page
    for order, names in (("sort=memory&desc=1", "cadb"), ("sort=memory", "bdac"), ("", "abcd")):
        rows = table(admin.get(f"/computers/export?{order}").text)
        assert [row[0] for row in rows[1:]] == list(names)
    assert admin.get("/computers/export?sort=nonsense").status_code == 422


def test_the_file_stays_inside_one_s_tags(console: Console) -> None:
    with console.session() as session:
        make_computer(session, name="mine", tag="LYON")
        make_computer(session, name="other", tag="PARIS")
    rows = table(console.user("viewer", "LYON").get("/computers/export").text)
    assert [row[0] for row in rows] == ["name", "mine"]


def test_a_search_is_saved_shared_and_deleted(console: Console, admin: Browser) -> None:
    sent = {"name": "<b>Old</b>", "q": "last_contact > 9d", "audience": "all"}
    assert admin.post("/searches", sent).location == "/computers?q=last_contact+%3E+9d"
    viewer = console.user("viewer")
    page = viewer.get("/computers").text
    assert "&lt;b&gt;Old&lt;/b&gt;" in page
    assert "/computers?q=last_contact+%3E+9d" in page
    assert "/searches/1/delete" not in page
    assert viewer.post("/searches/1/delete").status_code == 404
    assert "/searches/1/delete" in admin.get("/computers").text
    admin.post("/searches/1/delete")
    assert "&lt;b&gt;Old" not in viewer.get("/computers").text.partition("<main")[2]


def test_viewers_keep_searches_to_themselves(console: Console) -> None:
    viewer = console.user("viewer")
    sent = {"name": "mine", "q": "os ~ x"}
    assert viewer.post("/searches", {**sent, "audience": "all"}).status_code == 403
    assert viewer.post("/searches", sent).status_code == 302
    assert "mine" in viewer.get("/computers").text


def test_a_search_that_cannot_be_read_is_not_saved(console: Console, admin: Browser) -> None:
    assert admin.post("/searches", {"name": "x", "q": "nmae = x"}).status_code == 422
    page = admin.get("/computers?q=nmae").text
    assert "Save this search" not in page


def test_long_lists_are_streamed(console: Console, admin: Browser) -> None:
    with console.session() as session:
        session.add_all(
            Computer(device_id=f"d{n}", device_id_key=f"d{n}", created_at=console.clock())
            for n in range(1500)
        )
    assert len(table(admin.get("/computers/export").text)) == 1501
