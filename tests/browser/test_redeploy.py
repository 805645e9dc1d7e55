"""A package fails: it is found by its counter, its reason read, the package edited and run again.

By the keyboard alone; and the stories around it: without JavaScript, and what is stopped.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.keys import go_to, press
from tests.browser.test_main_job import PATIENCE_MS, log_in
from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.server import ADMIN, PASSWORD, RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture
def agent(server: RunningServer, tmp_path: Path) -> TrancheAgent:
    agent = TrancheAgent(tmp_path / "agent", server.agent_url, server.ca_file)
    agent.once()
    return agent


def published(server: RunningServer, folder: Path, name: str, script: str) -> str:
    archive = tar_gz(folder / f"{name}.tar.gz", {"install.sh": f"#!/bin/sh\n{script}\n"})
    options = ("--action", "launch", "--file", archive, "--command", "install.sh")
    return server.publish(name, *options)


def test_a_failing_package_is_repaired_and_run_again(
    page: Page, server: RunningServer, agent: TrancheAgent, tmp_path: Path
) -> None:
    package = published(server, tmp_path, "Printer driver", "echo no such printer; exit 7")
    server.assign(package, agent.device_id)
    agent.once()
    log_in(page, server)

    main = page.get_by_role("main")
    press(page, main.get_by_role("link", name="Failures", exact=False).first)
    press(page, main.get_by_role("link", name="Printer driver").first)
    press(page, page.locator("a.count.error").first)
    expect(page.get_by_role("main")).to_contain_text("ERR_EXIT_CODE_7", timeout=PATIENCE_MS)
    go_to(page, page.locator("details.told summary").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_contain_text("no such printer", timeout=PATIENCE_MS)

    press(page, main.get_by_role("link", name="Printer driver").first)
    press(page, main.get_by_role("link", name="Edit"))
    expect(page.get_by_role("main")).to_contain_text("the revision becomes 2")
    repaired = tar_gz(tmp_path / "new.tar.gz", {"install.sh": "#!/bin/sh\nexit 0\n"})
    go_to(page, page.locator("#file"))
    page.set_input_files("#file", str(repaired))  # the system's own window
    expect(page.locator("[data-upload-text]")).to_contain_text("is here", timeout=PATIENCE_MS)
    press(page, page.get_by_role("button", name="Change the package"))
    expect(page.get_by_text("this is revision 2")).to_be_visible(timeout=PATIENCE_MS)

    press(page, page.locator("a.count.error").first)
    press(page, page.get_by_role("link", name=re.compile("Run failed ones again")))
    press(page, page.get_by_role("button", name="Run again on 1 computer"))
    expect(page.get_by_text("1 computer will try again")).to_be_visible(timeout=PATIENCE_MS)
    agent.once()
    press(page, page.get_by_role("link", name="Over time"))
    expect(page.get_by_role("img", name=re.compile("rose to 100"))).to_be_visible()


@pytest.fixture
def plain(chromium: Browser) -> Iterator[Page]:
    """A browser that runs no JavaScript."""
    context = chromium.new_context(java_script_enabled=False, ignore_https_errors=True)
    yield context.new_page()
    context.close()


def test_it_works_by_keyboard_and_without_javascript(
    plain: Page, server: RunningServer, agent: TrancheAgent, tmp_path: Path
) -> None:
    package = published(server, tmp_path, "Wrong one", "exit 0")
    server.assign(package, agent.device_id)
    plain.goto(f"{server.https}/packages/{package}/results")
    for label, text in (("Name", ADMIN), ("Password", PASSWORD)):
        go_to(plain, plain.get_by_label(label))
        plain.keyboard.type(text)
    plain.keyboard.press("Enter")
    press(plain, plain.get_by_role("link", name=re.compile("Stop")))
    press(plain, plain.get_by_role("button", name="Stop it on 1 computer"))
    expect(plain.get_by_text("1 computer that waited will not be told")).to_be_visible()
    agent.once()
    shown = server.json("stats", package)
    assert shown["total"] == 0

    plain.goto(f"{server.https}/packages/{package}/copy")
    plain.get_by_label("Name", exact=True).fill("Right one")
    press(plain, plain.get_by_role("button", name="Build the copy"))
    expect(plain.get_by_role("heading", name="Right one")).to_be_visible(timeout=PATIENCE_MS)

    # On to the computer: activated past the warning of localhost, previewed, deployed.
    main = plain.get_by_role("main")
    press(plain, main.get_by_role("link", name="Activate").first)
    press(plain, plain.get_by_role("button", name="Check and activate"))
    press(plain, plain.get_by_role("button", name="Activate anyway"))
    press(plain, main.get_by_role("link", name="Deploy"))
    go_to(plain, plain.locator("input[name=q]"))
    plain.keyboard.type(f"device_id = {agent.device_id}")
    press(plain, plain.get_by_role("button", name="Show who gets it"))
    press(plain, plain.get_by_role("button", name="Deploy to 1 computer"))
    expect(plain.get_by_text("Right one: 1 computer will be told")).to_be_visible()
    agent.once()
    right = server.json("package", "list")[0]
    assert server.status(right["id"], agent.device_id) == "SUCCESS"
