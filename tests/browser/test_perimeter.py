"""An operator who is limited to a tag: sees, counts and touches nothing else, by any address."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_main_job import PATIENCE_MS
from tests.support.agent import TrancheAgent
from tests.support.server import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

PASSWORD = "lyon has two rivers"
FAILED = "ERR_EXIT_CODE_3"


def agent_of(server: RunningServer, folder: Path, tag: str) -> TrancheAgent:
    agent = TrancheAgent(folder / tag, server.agent_url, server.ca_file, "--tag", tag)
    agent.once()
    return agent


def log_in_as(page: Page, server: RunningServer, name: str) -> None:
    page.goto(f"{server.https}/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=PATIENCE_MS)


def addresses(page: Page, server: RunningServer, agent: TrancheAgent) -> list[str]:
    """The pages of a computer, as somebody who may see it finds them."""
    page.goto(f"{server.https}/computers?q=device_id+%3D+{agent.device_id}")
    page.get_by_role("main").locator("tbody a").first.click()
    own = page.url
    links = page.get_by_role("main").locator("a").evaluate_all("all => all.map(each => each.href)")
    return sorted({own, *(each for each in links if each.startswith(own.partition("?")[0]))})


def test_an_operator_of_lyon_has_lyon_only(
    page: Page, server: RunningServer, tmp_path: Path
) -> None:
    lyon, paris = (agent_of(server, tmp_path, tag) for tag in ("LYON", "PARIS"))
    options = ("--os", "any", "--action", "execute", "--command", "exit 3")
    package = server.publish("Greeting", *options)
    server.assign(package, lyon.device_id)
    server.assign(package, paris.device_id)
    for agent in (lyon, paris):
        agent.once()
        assert server.status(package, agent.device_id) == FAILED
    for name, tag in (("lea", ["--tag", "LYON"]), ("all", [])):
        role = ("--role", "operator", *tag, "--password-file", "-")
        server.cli("user", "add", name, *role, stdin=PASSWORD)

    log_in_as(page, server, "all")
    theirs = addresses(page, server, paris)
    assert len(theirs) > 1
    ours = addresses(page, server, lyon)
    page.context.clear_cookies()

    log_in_as(page, server, "lea")
    page.goto(f"{server.https}/computers")
    rows = page.get_by_role("main").locator("tbody tr")
    expect(rows).to_have_count(1, timeout=PATIENCE_MS)
    expect(rows).to_contain_text("LYON")
    for search in (f"device_id = {paris.device_id}", "tag = PARIS", "not tag = LYON"):
        page.goto(f"{server.https}/computers?q={search.replace(' ', '+').replace('=', '%3D')}")
        expect(rows).to_have_count(0)

    for address in ours:
        assert page.request.get(address).status == 200, address
    for address in theirs:
        answer = page.request.get(address)
        assert answer.status == 404, address
        assert paris.device_id not in answer.text()

    # Every counter is of Lyon, and what is done is done in Lyon.
    page.goto(f"{server.https}/")
    page.get_by_role("link", name="Failures", exact=False).first.click()
    page.get_by_role("link", name="Greeting").first.click()
    expect(page.locator("a.count.error").first).to_have_text("1")
    page.locator("a.count.error").first.click()
    page.get_by_role("link", name=re.compile("Run failed ones again")).click()
    page.get_by_role("button", name="Run again on 1 computer").click()
    expect(page.get_by_text("1 computer will try again")).to_be_visible(timeout=PATIENCE_MS)
    assert server.status(package, lyon.device_id) == "WAITING"
    assert server.status(package, paris.device_id) == FAILED

    # What an operator may not do is offered nowhere, and refused where it is tried.
    expect(page.get_by_role("link", name="Build a package")).to_have_count(0)
    for place in ("/packages/build", "/people", "/audit"):
        assert page.request.get(f"{server.https}{place}").status == 403, place
