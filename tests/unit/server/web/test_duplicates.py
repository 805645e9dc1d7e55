"""Look-alikes in the browser: side by side, shown before they are merged, inside one's tags."""

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Computer, Setting
from tests.support.console import Browser, Console
from tests.support.factories import make_computer

URL = "/computers/duplicates"


def test_they_are_listed_and_merged(admin: Browser, console: Console) -> None:
    assert "No two computers look alike" in admin.get(URL).text
    with console.session() as session:
        old = make_computer(session, name="<b>pc</b>", serial="SN1", last_contact=None)
        new = make_computer(session, name="pc", serial="sn1")
    page = admin.get(URL).text
    assert "&lt;b&gt;pc&lt;/b&gt;" in page
    assert f'name="keep" value="{new.id}" checked' in page
    assert f'name="computer" value="{old.id}" checked' in page
    assert "No two computers look alike" in admin.get(f"{URL}?by=mac").text
    assert admin.get(f"{URL}?by=nonsense").status_code == 200
    asked = admin.get(f"{URL}/merge?by=serial&keep={new.id}&computer={old.id}&computer={new.id}")
    assert "Merge 1 computer" in asked.text
    answer = admin.post(f"{URL}/merge", {"keep": new.id, "computer": old.id})
    assert answer.location == f"/computers/{new.id}"
    with console.sessions() as session:
        assert session.scalars(select(Computer.id)).all() == [new.id]


def test_nothing_to_merge_goes_back(admin: Browser) -> None:
    assert admin.get(f"{URL}/merge?keep=1&by=name").location == f"{URL}?by=name"
    assert admin.post(f"{URL}/merge", {"keep": 1}).status_code == 422


def test_other_tags_are_not_there(console: Console) -> None:
    with console.session() as session:
        mine = make_computer(session, name="pc", tag="LYON")
        other = make_computer(session, name="pc", tag="PARIS")
    lyon = console.user("admin", "LYON")
    assert "No two computers" in lyon.get(f"{URL}?by=name").text
    pair = {"keep": mine.id, "computer": other.id}
    assert lyon.get(f"{URL}/merge", query_string=pair).status_code == 404
    assert lyon.post(f"{URL}/merge", pair).status_code == 404


@pytest.mark.parametrize("value", ["*", "SN*", "#17"])
def test_a_value_that_would_be_a_pattern_is_not_ignored(
    admin: Browser, console: Console, value: str
) -> None:
    with console.session() as session:
        for serial in (value, value, "SN1", "SN1"):
            make_computer(session, serial=serial)
    answer = admin.post("/computers/duplicates/ignore", {"by": "serial", "value": value.lower()})
    assert answer.status_code == 422
    assert "BLACKLIST_SERIALS would take" in answer.text
    assert admin.get(URL).text.count("Says nothing: ignore it") == 2
    with console.sessions() as session:
        assert session.scalars(select(Setting.name)).all() == []


def test_what_says_nothing_is_ignored_with_a_click(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for _ in range(2):
            make_computer(session, serial="DOCK")
    assert "Says nothing: ignore it" in admin.get("/computers/duplicates").text
    answer = admin.post("/computers/duplicates/ignore", {"by": "serial", "value": "dock"})
    page = admin.get(answer.location).text
    assert "dock makes no look-alikes any more. The setting BLACKLIST_SERIALS has it." in page
    assert "No two computers look alike" in page
    for by in ("name", "chosen", "x"):
        sent = {"by": by, "value": "dock"}
        assert admin.post("/computers/duplicates/ignore", sent).status_code == 404
    assert "Says nothing" not in console.user("admin").get("/computers/duplicates").text
    chosen = admin.get("/computers/duplicates?by=chosen").text
    assert "the same name and the same serial number and the same network card" in chosen
