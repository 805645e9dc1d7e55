"""The list of computers in a browser: completion by keyboard, criteria, the whole result tagged."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from deploy_server.config import load
from deploy_server.storage.database import make_engine, session_factory
from tests.browser.test_main_job import PATIENCE_MS, log_in
from tests.support.factories import make_computer
from tests.support.server import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]


def fill(server: RunningServer) -> None:
    engine = make_engine(load(server.data).database_url)
    with session_factory(engine)() as session, session.begin():
        for number in range(60):
            make_computer(
                session,
                name=f"desk-{number:02d}",
                tag="LYON WEST" if number < 55 else "",
                model="ThinkPad T14",
                last_contact=datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=100),
            )
    engine.dispose()


def test_completion_criteria_and_a_tag_for_all(page: Page, server: RunningServer) -> None:
    fill(server)
    log_in(page, server)
    page.goto(f"{server.https}/computers")
    box = page.get_by_role("combobox", name="Search computers")

    # By keyboard alone: a field, its operator, a value with a blank in it.
    box.press_sequentially("ta")
    expect(page.get_by_role("option", name="tag its tag")).to_be_visible(timeout=PATIENCE_MS)
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("tag ")
    expect(page.get_by_role("option", name="= is", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    box.press_sequentially("= ly")
    expect(page.get_by_role("option", name="LYON WEST")).to_be_visible(timeout=PATIENCE_MS)
    box.press("ArrowDown")
    box.press("Tab")
    expect(box).to_have_value('tag = "LYON WEST" ')
    box.press("Escape")
    box.press("Enter")
    expect(page.get_by_role("heading", name="55 computers")).to_be_visible(timeout=PATIENCE_MS)

    # Hours that have passed, as the sentences of the server count them.
    first = page.get_by_role("row", name=re.compile("desk-00"))
    expect(first.get_by_text("1h ago", exact=True)).to_be_visible()

    # The builder has what the box says, and writes into it.
    page.get_by_text("Criteria", exact=True).click()
    second = page.get_by_role("group", name="Condition 2")
    second.get_by_label("Field").select_option("name")
    second.get_by_label("Operator").select_option("!~")
    second.get_by_label("Value").fill("desk-0")
    expect(box).to_have_value('tag = "LYON WEST" and name !~ desk-0', timeout=PATIENCE_MS)
    page.get_by_role("button", name="Search for these").click()
    expect(page.get_by_role("heading", name="45 computers")).to_be_visible(timeout=PATIENCE_MS)

    # All of them, not only those of this page.
    page.get_by_label("Pick all 45").check()
    expect(page.get_by_text("All 45", exact=True)).to_be_visible()
    page.get_by_role("button", name="Tag…").click()
    expect(page.get_by_role("heading", name="Tag 45 computers")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Tag", exact=True).fill("LYON EAST")
    page.get_by_role("button", name=re.compile("Set the tag of 45")).click()
    expect(page.get_by_text("45 computers now have the tag LYON EAST.")).to_be_visible(
        timeout=PATIENCE_MS
    )
