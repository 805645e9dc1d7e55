"""Completion and criteria over the web: JSON for the script, a form without it, one's own tags."""

import pytest

from tests.support.console import Browser, Console
from tests.support.factories import make_computer, make_group

FETCH = {"X-Requested-With": "fetch"}


def test_completion_is_json_inside_one_s_tags(console: Console) -> None:
    with console.session() as session:
        make_computer(session, name="<b>mine</b>", tag="LYON")
        make_computer(session, name="other", tag="PARIS")
        make_group(session, name="Secret")
    viewer = console.user("viewer", "LYON")
    answer = viewer.get("/searches/complete?q=name+%3D+&at=7", headers=FETCH)
    assert answer.mimetype == "application/json"
    assert answer.json == {
        "start": 7,
        "suggestions": [{"text": '"<b>mine</b>" ', "label": "<b>mine</b>", "note": ""}],
    }
    answer = viewer.get("/searches/complete?q=group+%3D+", headers=FETCH)
    assert answer.json is not None
    assert answer.json["suggestions"] == []


@pytest.mark.parametrize("query", ["", "q=", "q=name&at=x", "q=%22&at=-3", "q=name+in+(&at=99999"])
def test_odd_questions_are_no_mistake(admin: Browser, query: str) -> None:
    assert admin.get(f"/searches/complete?{query}", headers=FETCH).status_code == 200


def test_the_builder_is_a_form(admin: Browser) -> None:
    rows = (
        "field=tag&of=&operator=%3D&value=LYON+WEST&field=&of=&operator=%3D&value=x"
        "&field=software&of=firefox&operator=%3C&value=115"
    )
    answer = admin.get(f"/searches/criteria?join=and&{rows}")
    assert answer.status_code == 302
    page = admin.get(answer.location).text
    assert 'value="tag = &#34;LYON WEST&#34; and software:firefox &lt; 115"' in page
    # What the box says stands in the builder again.
    assert 'name="value" value="LYON WEST"' in page
    assert '<option value="software" data-takes="' in page
    assert admin.get("/searches/criteria").location == "/computers"


def test_the_builder_writes_for_its_script(admin: Browser) -> None:
    good = "field=memory&of=&operator=%3E&value=4096"
    answer = admin.get(f"/searches/criteria?{good}", headers=FETCH)
    assert answer.json == {"expression": "memory > 4096"}
    answer = admin.get("/searches/criteria?field=memory&of=&operator=%3E&value=x", headers=FETCH)
    assert answer.status_code == 422
    assert answer.json is not None
    assert "memory" in answer.json["message"]


def test_the_builder_says_that_brackets_are_too_much(admin: Browser) -> None:
    page = admin.get("/computers?q=name+%3D+a+and+(tag+%3D+b+or+tag+%3D+c)").text
    assert "cannot be taken apart here" in page
