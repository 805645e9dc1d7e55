"""The main job as an administrator lives it: log in, build, activate, search, assign, SUCCESS."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import text

from deploy_server.config import load
from deploy_server.storage.database import make_engine
from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.seed import FIRST_PACKAGE, seed
from tests.support.server import ADMIN, PASSWORD, RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

PATIENCE_MS = 30_000  # on a busy machine

COUNT_ALERTS = """() => {
  window.alerts = 0;
  new MutationObserver(() => {
    window.alerts += document.querySelectorAll("main .message.error").length;
  }).observe(document.querySelector("main"), { childList: true, subtree: true });
}"""


def log_in(page: Page, server: RunningServer) -> None:
    page.goto(f"{server.https}/")
    page.get_by_label("Name").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=PATIENCE_MS)


def build_and_activate(page: Page, archive: Path) -> None:
    page.get_by_role("link", name="Build a package").first.click()
    page.get_by_label("Name", exact=True).fill("Firefox 128")
    page.locator("input[name=os][value=linux]").check()
    page.locator("input[name=action][value=LAUNCH]").check()
    page.locator("#target").fill("install.sh --quiet")
    page.set_input_files("#file", str(archive))
    page.get_by_label("Size of a fragment").fill("64 KiB")
    expect(page.locator("[data-upload-text]")).to_contain_text("is here", timeout=PATIENCE_MS)


def test_from_login_to_success(
    page: Page, server: RunningServer, tmp_path: Path, pictures: Path | None
) -> None:
    if pictures is not None:
        fill(server)
    agent = TrancheAgent(tmp_path / "agent", server.agent_url, server.ca_file)
    agent.once()
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\necho \"$1\" >> '{ran}'\n"
    content = {"install.sh": script, "data": os.urandom(300_000)}
    archive = tar_gz(tmp_path / "firefox.tar.gz", content)

    log_in(page, server)
    build_and_activate(page, archive)
    picture(page, pictures, "build")
    page.get_by_role("button", name="Build and activate").click()
    # This server is called localhost, and the console asks whether that can be right.
    expect(page.get_by_text("look on themselves")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Activate anyway").click()

    expect(page.get_by_role("heading", name="Firefox 128")).to_be_visible(timeout=PATIENCE_MS)
    package_url = page.url
    page.get_by_role("main").get_by_role("link", name="Deploy").first.click()
    # Half a word is no mistake while somebody is typing, however late its answer comes.
    page.clock.install()
    page.evaluate(COUNT_ALERTS)
    query, held = page.locator("input[name=q]"), list[Route]()
    page.route("**/deploy/preview", lambda route: held.append(route), times=1)
    with page.expect_request("**/deploy/preview"):
        query.fill("device")
    query.fill(f"device_id = {agent.device_id}")
    with page.expect_response("**/deploy/preview") as half:
        held[0].continue_()
    assert "no field" in half.value.text()
    deploy = page.get_by_role("button", name=re.compile("Deploy to 1 computer"))
    expect(deploy).to_be_enabled(timeout=PATIENCE_MS)
    page.clock.run_for(5000)
    assert page.evaluate("window.alerts") == 0
    picture(page, pictures, "deploy")
    # Enter looks for them; only the button deploys.
    page.locator("input[name=q]").press("Enter")
    expect(deploy).to_be_enabled(timeout=PATIENCE_MS)
    assert server.json("computer", "show", agent.device_id)["deployments"] == []
    deploy.click()
    expect(page.get_by_text("1 computer").first).to_be_visible(timeout=PATIENCE_MS)

    page.goto(package_url)
    counts = page.locator("[data-live]").first
    expect(counts).to_contain_text("WAITING", timeout=PATIENCE_MS)
    agent.once()
    # Nobody reloads the page: the numbers come by themselves.
    expect(counts).to_contain_text("SUCCESS", timeout=PATIENCE_MS)
    assert ran.read_text() == "--quiet\n"
    picture(page, pictures, "package")

    page.get_by_role("link", name="Computers").first.click()
    page.locator("#q").fill(f"device_id = {agent.device_id}")
    page.locator("#q").press("Enter")
    page.get_by_role("main").get_by_role(
        "link", name=agent.device_id.rsplit("-", 6)[0]
    ).first.click()
    expect(page.get_by_role("main")).to_contain_text("SUCCESS", timeout=PATIENCE_MS)
    picture(page, pictures, "computer")
    page.get_by_role("link", name="Overview").first.click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=PATIENCE_MS)
    picture(page, pictures, "overview")
    if pictures is not None:
        show_the_fleet(page, server, pictures)


def test_a_wrong_password_does_not_let_in(page: Page, server: RunningServer) -> None:
    page.goto(f"{server.https}/packages")
    page.get_by_label("Name").fill(ADMIN)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("That did not work")).to_be_visible(timeout=PATIENCE_MS)


def fill(server: RunningServer) -> None:
    """Give the pictures a fleet to show."""
    engine = make_engine(load(server.data).database_url)
    now = datetime.now(UTC).replace(microsecond=0)
    with engine.begin() as connection:
        seed(connection, computers=2_500, packages=6, assignments=9_000, now=now)
        # The seed's are for pages that must not break, not for pictures.
        connection.execute(text("UPDATE computer_group SET name = 'Ring ' || id"))
        connection.execute(text("UPDATE computer_group SET name_key = lower(name)"))
    engine.dispose()


def show_the_fleet(page: Page, server: RunningServer, folder: Path) -> None:
    """Show what only many computers make worth a look."""
    package = FIRST_PACKAGE + 6 * 3600  # for any system
    for name, address in {
        "computers": "/computers?q=os+~+windows+and+last_contact+<+7d+and+not+tag+%3D+LYON",
        "curve": f"/packages/{package}/results/time",
        "why": f"/packages/{package}/results?class=waiting",
    }.items():
        page.goto(f"{server.https}{address}")
        picture(page, folder, name)
    page.emulate_media(color_scheme="dark")
    page.goto(f"{server.https}/packages")
    picture(page, folder, "packages")


def picture(page: Page, folder: Path | None, name: str) -> None:
    """Save what README and docs show."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}.png")
