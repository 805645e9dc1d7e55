"""A dynamic group gives a new computer its packages, by the keyboard alone.

A tag set in the console puts another one into it; one of many groups is found.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from deploy_server.config import load
from deploy_server.storage.database import make_engine, session_factory
from tests.browser.keys import go_to, press, tick, write
from tests.browser.test_main_job import PATIENCE_MS, log_in
from tests.support.agent import TrancheAgent
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_package,
)
from tests.support.server import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@contextmanager
def writing(server: RunningServer) -> Iterator[Session]:
    """The server's database."""
    engine = make_engine(load(server.data).database_url)
    with session_factory(engine)() as session, session.begin():
        yield session
    engine.dispose()


def test_a_new_computer_gets_what_its_group_has(
    page: Page, server: RunningServer, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    command = ("--os", "any", "--action", "execute", "--command", f"echo done >> '{ran}'")
    package_id = server.publish("Greeting", *command)
    log_in(page, server)

    # A group of a search, made and given the package before any computer is in it.
    page.goto(f"{server.https}/groups")
    write(page, page.get_by_label("Name"), "Pilots")
    go_to(page, page.get_by_label("Computers that are put in by hand"))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("All that match a search, now and later")).to_be_checked()
    write(page, page.get_by_role("combobox", name="Expression of the group"), "tag = PILOT")
    page.keyboard.press("Escape")  # what the search offers
    press(page, page.get_by_role("button", name="Make the group"))
    expect(page.get_by_role("heading", name="Pilots")).to_be_visible(timeout=PATIENCE_MS)
    group_url = page.url
    press(page, page.get_by_role("main").get_by_role("link", name="Deploy"))
    tick(page, page.locator(".pick", has_text="Greeting").get_by_role("checkbox"))
    deploy = page.get_by_role("button", name="Deploy to 0 computers")
    expect(deploy).to_be_enabled(timeout=PATIENCE_MS)
    press(page, deploy)
    expect(page.get_by_role("heading", name="Greeting")).to_be_visible(timeout=PATIENCE_MS)

    # One computer brings the tag; another one is given it here.
    pilot = TrancheAgent(tmp_path / "a", server.agent_url, server.ca_file, "--tag", "PILOT")
    other = TrancheAgent(tmp_path / "b", server.agent_url, server.ca_file)
    pilot.once()
    other.once()
    page.goto(f"{server.https}/computers?q=device_id+%3D+{other.device_id}")
    tick(page, page.get_by_label("Tick every computer of this page"))
    press(page, page.get_by_role("button", name="Tag…"))
    write(page, page.get_by_label("Tag", exact=True), "PILOT")
    press(page, page.get_by_role("button", name="Set the tag of 1 computer"))
    expect(page.get_by_text("1 computer now has the tag PILOT.")).to_be_visible(timeout=PATIENCE_MS)

    pilot.once()
    other.once()
    assert ran.read_text() == "done\ndone\n"
    for agent in (pilot, other):
        assert server.status(package_id, agent.device_id) == "SUCCESS"
    page.goto(group_url)
    expect(page.get_by_role("heading", name="2 members")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("main")).to_contain_text("100 %")

    # One of many groups is found by a part of its name.
    with writing(server) as session:
        for number in range(20):
            make_group(session, name=f"Room {number}")
    page.goto(f"{server.https}/groups")
    page.get_by_label("Name, description or expression").fill("PIL")
    page.get_by_role("button", name="Filter").click()
    rows = page.get_by_role("main").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Pilots")
    page.goto(f"{server.https}/groups/choose?whole=1&q=device_id+%3D+{other.device_id}")
    choices = page.locator(".pick:visible")
    expect(choices).to_have_count(21)
    page.get_by_label("Filter the groups").fill("ROOM 13")
    # What is chosen stays in sight.
    expect(choices).to_contain_text(["Pilots", "Room 13"])


def test_all_of_a_filtered_list_is_what_is_seen(page: Page, server: RunningServer) -> None:
    with writing(server) as session:
        computer = make_computer(session)
        for number in range(16):
            package = make_package(session, name=f"Tool {number:02}", os="any")
            make_assignment(session, computer, make_activation(session, package))
    log_in(page, server)
    page.goto(f"{server.https}/computers/unassign?computer={computer.id}")
    page.get_by_label("Filter the packages").fill("tool 03")
    page.get_by_label("Tick every package").check()
    expect(page.locator("[data-tick-said]")).to_have_text("1 ticked")
    page.get_by_label("Filter the packages").fill("")
    expect(page.get_by_label("Tick Tool 03")).to_be_checked()
    assert page.locator("input[name=package]:checked").count() == 1
    page.get_by_role("button", name="Take the ticked ones back").click()
    expect(page.get_by_text("Tool 03: 1 computer that waited")).to_be_visible()
