"""Computers: search with its errors, paging, a computer's page, running again, deletion."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from deploy_server.services import refusals
from deploy_server.storage.models import AgentEvent, Assignment, Computer, Withdrawal
from tests.support.apps import OURS
from tests.support.console import Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_package,
)


def names(page: str) -> list[str]:
    """The computers of a list, in order."""
    return re.findall(r'href="/computers/\d+">([^<]*)</a>', page)


def test_no_computers_teach_the_next_step(admin: Browser) -> None:
    page = admin.get("/computers").text
    assert "No computer has made contact yet" in page
    assert "/settings/certificates" in page


def test_search_finds_and_says_how_many(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for number in range(3):
            make_computer(session, name=f"lyon-{number}", tag="LYON")
        make_computer(session, name="paris", tag="PARIS")
    page = admin.get("/computers?q=tag+=+lyon").text
    assert names(page) == ["lyon-0", "lyon-1", "lyon-2"]
    assert "3 computers" in page
    assert "Deploy to all 3" in page
    assert "1–1\n    of 1 computer\n" in admin.get("/computers?q=tag+=+paris").text
    assert names(admin.get("/computers?q=tag+=+lyon&sort=name&desc=1").text)[0] == "lyon-2"
    assert "No computer matches" in admin.get("/computers?q=name+=+none").text


@pytest.mark.parametrize(
    ("query", "marked"),
    [("name == x", "="), ("nmae = x", "n"), ("name = x and", "⎵"), ("name = (", "(")],
)
def test_an_error_points_at_its_character(admin: Browser, query: str, marked: str) -> None:
    answer = admin.get("/computers", query_string={"q": query})
    assert answer.status_code == 422
    assert f"<mark>{marked}</mark>" in answer.text
    assert f'value="{query}"' in answer.text


def test_common_searches_are_valid(admin: Browser) -> None:
    page = admin.get("/computers").text
    chips = re.findall(r'<a class="chip" href="([^"]+)"', page)
    assert len(chips) > 5
    for chip in chips:
        assert admin.get(chip.replace("&amp;", "&")).status_code == 200
    assert "Windows (all)" in page


@pytest.mark.parametrize("query", ["sort=nothing", "page=0", "page=-3", "page=x", "desc=7"])
def test_odd_arguments_are_no_mistake(admin: Browser, query: str) -> None:
    assert admin.get(f"/computers?{query}").status_code in (200, 422)


def test_pages(admin: Browser, console: Console) -> None:
    with console.session() as session:
        for number in range(52):
            make_computer(session, name=f"pc-{number:02d}")
    assert len(names(admin.get("/computers").text)) == 50
    assert names(admin.get("/computers?page=2").text) == ["pc-50", "pc-51"]


@pytest.mark.parametrize("tab", ["", "inventory", "software", "history", "groups", "settings"])
def test_every_part_of_a_computer_s_page(admin: Browser, console: Console, tab: str) -> None:
    with console.session() as session:
        computer = make_computer(session, name="box", memory=None, serial="SN1", user="marie")
        make_group(session, computer, name="Pilot")
    answer = admin.get(
        f"/computers/{computer.id}?tab={tab}" if tab else f"/computers/{computer.id}"
    )
    assert answer.status_code == 200
    assert "box" in answer.text
    assert computer.device_id in answer.text


def test_a_part_that_does_not_exist(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session)
    assert admin.get(f"/computers/{computer.id}?tab=secrets").status_code == 404


def test_deployments_show_state_since_and_a_sentence(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session)
        activation = make_activation(session, make_package(session, name="Installer"))
        make_assignment(session, computer, activation, status="ERR_EXIT_CODE_1603")
    for address in (f"/computers/{computer.id}", f"/computers/{computer.id}/deployments"):
        page = admin.get(address).text
        assert "Installer" in page
        assert "ERR_EXIT_CODE_1603" in page
        assert re.search(r'<p class="reason foreign">[A-Z][^<]+\.</p>', page)
        assert 'datetime="2026-11-21T10:00:00Z"' in page


def test_a_failed_package_is_run_again(console: Console) -> None:
    with console.session() as session:
        assignment = make_assignment(session, status="ERR_BAD_DIGEST")
        computer_id, package_id = assignment.computer_id, assignment.package_id
    operator = console.user("operator")
    assert "Run again" in operator.get(f"/computers/{computer_id}").text
    answer = operator.post(f"/computers/{computer_id}/again", {"package": package_id})
    assert answer.location == f"/computers/{computer_id}"
    assert "offered again" in operator.get(f"/computers/{computer_id}").text
    with console.sessions() as session:
        assert session.scalars(select(Assignment.status)).one() == "WAITING"
    operator.post(f"/computers/{computer_id}/again", {"package": package_id})
    assert "Only what ended in an error" in operator.get(f"/computers/{computer_id}").text


@pytest.mark.parametrize("package", ["", "x", "0", "99"])
def test_running_nothing_again_is_no_mistake(console: Console, package: str) -> None:
    with console.session() as session:
        computer = make_computer(session)
    answer = console.user("operator").post(f"/computers/{computer.id}/again", {"package": package})
    assert answer.status_code in (302, 404)


def test_a_package_is_taken_back(admin: Browser, console: Console) -> None:
    with console.session() as session:
        assignment = make_assignment(session)
        computer_id, package_id = assignment.computer_id, assignment.package_id
    address = f"/computers/unassign?computer={computer_id}&package={package_id}"
    assert address.replace("&", "&amp;") in admin.get(f"/computers/{computer_id}").text
    sent = {"computer": computer_id, "package": package_id}
    assert admin.post("/computers/unassign", sent).location == f"/computers/{computer_id}"
    page = admin.get(f"/computers/{computer_id}").text
    assert "1 computer that waited will not be told." in page
    with console.sessions() as session:
        counting = select(Assignment).where(Assignment.cleared_at.is_(None))
        assert session.scalars(counting).all() == []
    assert "No package is assigned" in page


def test_deleting_shows_them_first(admin: Browser, console: Console) -> None:
    with console.session() as session:
        gone, kept = make_computer(session, name="gone"), make_computer(session)
    page = admin.get(f"/computers/delete?computer={gone.id}").text
    assert "Delete 1 computer?" in page
    assert "results stay in the history" in page
    answer = admin.post("/computers/delete", {"computer": gone.id})
    assert answer.location == "/computers"
    assert "Deleted 1 computer." in admin.get("/computers").text
    with console.sessions() as session:
        assert list(session.scalars(select(Computer.id))) == [kept.id]
    assert admin.get("/computers/delete").location == "/computers"
    assert admin.post("/computers/delete", {"computer": gone.id}).status_code == 404


def test_other_tags_are_not_there(console: Console) -> None:
    with console.session() as session:
        mine = make_computer(session, name="mine", tag="LYON")
        other = make_computer(session, name="other", tag="PARIS")
        make_assignment(session, other, status="ERR_BAD_DIGEST")
        package_id = session.scalars(select(Assignment.package_id)).one()
    lyon = console.user("admin", "LYON")
    assert names(lyon.get("/computers").text) == ["mine"]
    assert "1 computer" in lyon.get("/computers").text
    assert lyon.get(f"/computers/{mine.id}").status_code == 200
    for address in (
        f"/computers/{other.id}",
        f"/computers/{other.id}/deployments",
        f"/computers/delete?computer={other.id}",
        f"/deploy?computer={other.id}",
        f"/groups/choose?computer={other.id}",
        f"/settings/computer/{other.id}",
    ):
        assert lyon.get(address).status_code == 404, address
    assert lyon.post("/computers/delete", {"computer": other.id}).status_code == 404
    form = {"package": package_id}
    assert lyon.post(f"/computers/{other.id}/again", form).status_code == 404
    taken = {"computer": other.id, **form}
    assert lyon.get("/computers/unassign", query_string=taken).status_code == 404
    assert lyon.post("/computers/unassign", taken).status_code == 404
    lyon.post(f"/packages/{package_id}/results/again", {"computer": other.id})
    with console.sessions() as session:
        assert session.scalars(select(Assignment.status)).one() == "ERR_BAD_DIGEST"
    assert "No computer here" in lyon.get(f"/packages/{package_id}/results").text
    assert "Nothing failed" in lyon.get("/failures").text


# What our agent says


def said(console: Console, **fields: Any) -> tuple[int, int]:
    """A computer whose agent has said something of a package; the ids of both."""
    with console.session() as session:
        row = make_assignment(session, status=fields.pop("status", "NOTIFIED"))
        values = {"state": "DOWNLOADING", "reason": "", "output": "", "truncated": False, **fields}
        session.add(
            AgentEvent(computer_id=row.computer_id, package_id=row.package_id, attempt=row.attempt,
                       event_id="1", received_at=console.clock(), at=console.clock(), **values)
        )  # fmt: skip
        return row.computer_id, row.package_id


def test_the_page_says_how_far_a_download_is(admin: Browser, console: Console) -> None:
    computer, package = said(console, done=12, total=40)
    page = admin.get(f"/computers/{computer}").text
    when = '<time datetime="2026-11-21T10:00:00Z" data-absolute="hour">2026-11-21 10:00 UTC</time>'
    assert f"Downloading, 12 of 40 fragments (said {when})." in page
    assert '<progress class="told" max="40" value="12"' in page
    results = admin.get(f"/packages/{package}/results").text
    assert "Downloading, 12 of 40 fragments" in results
    assert '<progress class="told" max="40" value="12"' in results


def test_the_output_of_an_action_is_shown(admin: Browser, console: Console) -> None:
    computer, package = said(
        console, status="ERR_EXIT_CODE_3", state="DONE", exit_code=3, truncated=True,
        output="first\n" + "x" * 3000 + "\n<b>last</b>\x1b[2J", reason="ended with ERR_EXIT_CODE_3",
    )  # fmt: skip
    for path in (f"/computers/{computer}", f"/packages/{package}/results"):
        page = admin.get(path).text
        assert "<summary>Output, exit code 3</summary>" in page
        assert "&lt;b&gt;last&lt;/b&gt; [2J</pre>" in page
        assert "first" not in page
        assert f"/computers/{computer}/output/{package}" in page
    whole = admin.get(f"/computers/{computer}/output/{package}").text
    assert "first\n" in whole
    assert "There was more" in whole


def test_nothing_said_is_nothing_shown(admin: Browser, console: Console) -> None:
    computer, package = said(console)
    page = admin.get(f"/computers/{computer}").text
    assert "<progress" not in page
    assert "<details" not in page
    assert admin.get(f"/computers/{computer}/output/{package}").status_code == 404
    assert admin.get(f"/computers/{computer}/output/1").status_code == 404


def test_what_was_taken_back_has_the_agent_s_word(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session, agent=OURS)
        rows = [make_assignment(session, computer, status="NOTIFIED") for _ in range(2)]
        for row in rows:
            session.add(
                Withdrawal(
                    computer_id=computer.id,
                    package_id=row.package_id,
                    attempt=row.attempt,
                    at=console.clock(),
                    by="ada",
                    word="",
                )
            )
        session.flush()
        session.scalars(select(Withdrawal)).first().word = "stopped"  # type: ignore[union-attr]
    page = admin.get(f"/computers/{computer.id}").text
    assert "Taken back after the agent was told" in page
    assert "Stopped before it began" in page
    assert "Not answered yet" in page


def test_people_with_tags_do_not_read_the_output_of_others(console: Console) -> None:
    computer, package = said(console, output="secret", state="DONE")
    browser = console.user("viewer", "LYON")
    assert browser.get(f"/computers/{computer}/output/{package}").status_code == 404


def test_a_refused_agent_is_named_with_its_reason(admin: Browser, console: Console) -> None:
    assert "No agent was refused" in admin.get("/computers/refused").text
    assert "refused for what" not in admin.get("/").text
    with console.session() as session:
        mine = make_computer(session, name="mine", tag="LYON")
        for device_id in (mine.device_id, "nobody-2026-01-02-03-04-05"):
            refusals.remember(session, device_id=device_id, agent="Old/1", remote="192.0.2.7",
                              why="too old", now=console.clock.advance(minutes=1))  # fmt: skip
    assert "2 agents refused for what they call themselves" in admin.get("/").text
    page = admin.get("/computers/refused").text
    assert "Too old." in page
    assert "nobody-2026" in page
    assert "Too old. It called itself Old/1, 1 time" in admin.get(f"/computers/{mine.id}").text
    assert "nobody-2026" not in console.user("viewer", "LYON").get("/computers/refused").text
