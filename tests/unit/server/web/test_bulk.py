"""One action on many computers: ticked rows or a whole result, shown first, inside one's tags."""

import html
import re
from typing import Any

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Assignment, Computer, GroupMember, Setting
from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_computer, make_group


@pytest.fixture
def ids(console: Console) -> list[int]:
    """Two computers of LYON and one of PARIS."""
    with console.session() as session:
        return [
            make_computer(session, name=name, tag=tag).id
            for name, tag in (("a", "LYON"), ("b", "LYON"), ("c", "PARIS"))
        ]


def tags(console: Console) -> list[str]:
    with console.sessions() as session:
        return list(session.scalars(select(Computer.tag).order_by(Computer.id)))


def shown(browser: Browser, path: str, whole: dict[str, Any]) -> dict[str, Any]:
    """What the form of the page sends about the computers that it showed."""
    found = re.search(
        r'name="expected" value="([^"]+)"', browser.get(path, query_string=whole).text
    )
    assert found
    return {**whole, "expected": found.group(1)}


def test_the_list_has_a_bar_for_rows_and_the_whole_result(admin: Browser, ids: list[int]) -> None:
    page = admin.get("/computers?q=tag+=+lyon").text
    assert 'name="whole" value="1"' in page
    assert "Pick all 2" in page
    for action in ("/computers/tag", "/computers/settings", "/computers/delete", "/groups/choose"):
        assert f'formaction="{action}"' in page


def test_operators_get_a_bar_with_groups_only(console: Console, ids: list[int]) -> None:
    page = console.user("operator").get("/computers").text
    assert 'formaction="/groups/choose"' in page
    assert "/computers/tag" not in page
    assert 'name="computer"' not in console.user("viewer").get("/computers").text


def test_ticked_rows_are_tagged(admin: Browser, console: Console, ids: list[int]) -> None:
    page = admin.get(f"/computers/tag?computer={ids[0]}&computer={ids[2]}&q=name+~+x").text
    assert "Tag 2 computers" in page
    assert 'LYON</span> <strong class="number">1<' in page
    sent = {"computer": [ids[0], ids[2]], "tag": " NICE ", "q": "name ~ x"}
    assert admin.post("/computers/tag", sent).location == "/computers?q=name+~+x"
    assert "2 computers now have the tag NICE." in admin.get("/computers").text
    assert tags(console) == ["NICE", "LYON", "NICE"]


def test_a_whole_result_is_tagged_as_it_was_shown(
    admin: Browser, console: Console, ids: list[int]
) -> None:
    whole = {"whole": "1", "q": "tag = LYON", "tag": "NICE"}
    sent = shown(admin, "/computers/tag", whole)
    with console.session() as session:
        make_computer(session, tag="LYON")
    answer = admin.post("/computers/tag", sent)
    assert answer.status_code == 409
    assert "The search found 2 computers when you looked, and 3 now." in answer.text
    assert tags(console).count("NICE") == 0
    sent = shown(admin, "/computers/tag", whole)
    assert admin.post("/computers/tag", sent).status_code == 302
    assert tags(console).count("NICE") == 3


def test_as_many_others_are_not_those_that_were_shown(
    admin: Browser, console: Console, ids: list[int]
) -> None:
    sent = shown(admin, "/computers/delete", {"whole": "1", "q": "tag = LYON"})
    with console.session() as session:
        one, other = session.get_one(Computer, ids[0]), session.get_one(Computer, ids[2])
        one.tag, one.tag_key, other.tag, other.tag_key = "PARIS", "paris", "LYON", "lyon"
    answer = admin.post("/computers/delete", sent)
    assert answer.status_code == 409
    assert "The search found 2 computers when you looked, and others now." in answer.text
    assert len(tags(console)) == 3


def test_a_tag_that_is_none_is_said_at_its_field(admin: Browser, ids: list[int]) -> None:
    answer = admin.post("/computers/tag", {"computer": ids[0], "tag": "NA"})
    assert answer.status_code == 422
    assert 'id="tag-problem"' in answer.text


def test_nothing_picked_goes_back(admin: Browser) -> None:
    for page in ("tag", "settings", "delete"):
        assert admin.get(f"/computers/{page}?q=os+~+x").location == "/computers?q=os+~+x"
        assert admin.post(f"/computers/{page}").status_code == 422
    assert admin.get("/groups/choose").location == "/computers"


def test_a_wrong_search_says_so(admin: Browser) -> None:
    answer = admin.get("/computers/tag?whole=1&q=nmae+=+x")
    assert answer.status_code == 422
    assert "nmae" in answer.text


def test_settings_of_a_whole_result(admin: Browser, console: Console, ids: list[int]) -> None:
    page = admin.get("/computers/settings?whole=1").text
    assert "Settings of 3 computers" in page
    assert "Leave alone" in page
    sent = {
        **shown(admin, "/computers/settings", {"whole": "1"}),
        "DOWNLOAD_TIMEOUT-do": "value", "DOWNLOAD_TIMEOUT": "7",
        "PROLOG_FREQ": "12", "PROLOG_FREQ-do": "",
    }  # fmt: skip
    wrong = admin.post("/computers/settings", {**sent, "DOWNLOAD_TIMEOUT": "soon"})
    assert wrong.status_code == 422
    assert 'id="DOWNLOAD_TIMEOUT-problem"' in wrong.text
    assert 'value="soon"' in wrong.text
    assert admin.post("/computers/settings", sent).status_code == 302
    with console.sessions() as session:
        rows = session.execute(select(Setting.scope_id, Setting.name, Setting.value)).all()
    assert sorted(map(tuple, rows)) == [(each, "DOWNLOAD_TIMEOUT", "7") for each in ids]
    gone = {"computer": ids, "DOWNLOAD_TIMEOUT-do": "default"}
    admin.post("/computers/settings", gone)
    with console.sessions() as session:
        assert session.scalars(select(Setting.name)).all() == []
    assert "left as it is" in _after(admin, {"computer": ids})


def _after(admin: Browser, sent: dict[str, object]) -> str:
    return admin.get(admin.post("/computers/settings", sent).location).text


def test_a_whole_result_is_deleted(admin: Browser, console: Console, ids: list[int]) -> None:
    whole = {"whole": "1", "q": "tag = LYON"}
    assert "Delete 2 computers?" in admin.get("/computers/delete", query_string=whole).text
    admin.post("/computers/delete", shown(admin, "/computers/delete", whole))
    assert tags(console) == ["PARIS"]


def test_the_numbers_of_tags_lead_to_their_computers(admin: Browser, console: Console) -> None:
    tags = {'NICE "old"': 3, "": 2, "LYON": 1, "st*r": 1}
    with console.session() as session:
        for tag, number in tags.items():
            for each in range(number):
                make_computer(session, name=f"pc-{tag}-{each}", tag=tag)
        make_computer(session, name="other", tag="LYON")
    for query, lyon in (("", 2), ("name = pc-* or name = nobody", 1)):
        page = admin.get("/computers/delete", query_string={"whole": 1, "q": query}).text
        tallies = page[page.index("<dt>Tags</dt>") :].partition("</dd>")[0]
        links = re.findall(r'href="([^"]+)">([0-9]+)</a>', tallies)
        assert [int(number) for _, number in links] == [3, 2, lyon]
        for link, number in links:
            found = admin.get(html.unescape(link)).text
            assert f"of {number} computer" in found
        assert 'st*r</span> <strong class="number">1</strong>' in tallies
    ticked = admin.get("/computers/delete?computer=1").text
    assert "q=tag" not in ticked[ticked.index("<dt>Tags</dt>") :]


def test_a_whole_result_joins_a_group(console: Console, ids: list[int]) -> None:
    with console.session() as session:
        group_id = make_group(session, visible=True).id
    operator = console.user("operator", "LYON")
    page = operator.get("/groups/choose?whole=1").text
    assert "Put 2 computers into a group" in page
    sent = {"whole": "1", "expected": "3-0", "group": group_id}
    assert operator.post("/groups/join", sent).status_code == 409
    sent |= shown(operator, "/groups/choose", {"whole": "1"})
    assert operator.post("/groups/join", sent).status_code == 302
    with console.sessions() as session:
        assert sorted(session.scalars(select(GroupMember.computer_id))) == ids[:2]


def test_a_whole_result_is_deployed_to(admin: Browser, console: Console, ids: list[int]) -> None:
    with console.session() as session:
        activation_id = make_activation(session).id
    page = admin.get(f"/deploy?whole=1&q=tag+=+LYON&computer={ids[2]}").text
    assert re.search(r'name="target" value="search" checked', page)
    assert 'name="computer"' not in page
    assert re.search(r'name="target" value="all" checked', admin.get("/deploy?whole=1&q=").text)
    assert activation_id
    with console.sessions() as session:
        assert session.scalars(select(Assignment.id)).all() == []


def test_no_id_from_other_tags_slips_in(console: Console, ids: list[int]) -> None:
    lyon = console.user("admin", "LYON")
    sent = {"computer": [ids[0], ids[2]], "tag": "LYON", "DOWNLOAD_TIMEOUT-do": "default"}
    for page in ("tag", "settings", "delete"):
        assert lyon.get(f"/computers/{page}", query_string=sent).status_code == 404
        assert lyon.post(f"/computers/{page}", sent).status_code == 404
    whole = {"whole": "1", "q": ""}
    assert "Delete 2 computers?" in lyon.get("/computers/delete", query_string=whole).text
    everybody = shown(console.user("admin"), "/computers/delete", whole)
    assert lyon.post("/computers/delete", everybody).status_code == 409
    assert tags(console) == ["LYON", "LYON", "PARIS"]
