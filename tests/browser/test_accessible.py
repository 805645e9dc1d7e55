"""Every page by axe, light and dark, at 1280 px and on a phone: nothing found, nothing overflows.

axe is the one that comes with axe-playwright-python.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Page

from deploy_server.config import load
from deploy_server.storage.database import make_engine
from tests.browser.test_main_job import log_in
from tests.support.seed import FIRST_PACKAGE, seed
from tests.support.server import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
PACKAGE = FIRST_PACKAGE + 3600
PAGES = (
    "/",
    "/packages",
    "/packages?os=windows&having=error&sort=total&desc=1",
    f"/packages/{PACKAGE}",
    f"/packages/{PACKAGE}/activate",
    f"/packages/{PACKAGE}/stop",
    f"/packages/delete?package={PACKAGE}",
    f"/activations/end?package={PACKAGE}",
    f"/packages/{PACKAGE}/results",
    f"/packages/{PACKAGE}/edit",
    "/packages/build",
    "/packages/build/templates",
    "/packages/build/templates/windows-msi",
    "/packages/build/templates/linux-script",
    "/computers",
    "/computers?q=name+~+PC-00001",
    "/computers?q=nmae+%3D+x",
    "/computers?q=name+%3D+nobody",
    "/computers/tag?whole=1",
    "/computers/settings?computer=7&computer=8",
    "/computers/delete?computer=1&computer=3",
    "/computers/duplicates?by=name",
    "/computers/duplicates?by=chosen",
    "/computers/refused",
    "/computers/unassign?whole=1",
    "/computers/12",
    "/computers/1?tab=history",
    "/computers/12?tab=groups",
    "/computers/12?tab=settings",
    f"/deploy?whole=1&activation=1&package={PACKAGE}",
    "/groups",
    "/groups/1",
    "/groups/99",
    "/groups/choose?whole=1",
    "/settings",
    "/settings/certificates",
    "/settings/computer/12",
    "/settings/group/1",
    "/users",
    "/audit",
    "/account",
    "/no-such-page",
)
_RUN = """axe.run().then(found => found.violations.map(each => `${each.id}: ${each.help}: `
  + each.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(' ')))"""
_OPEN = "for (const each of document.querySelectorAll('details')) each.open = true"


@pytest.fixture(scope="module")
def filled(server: RunningServer) -> RunningServer:
    """A server with computers, packages and groups, some of them with the nastiest names."""
    engine = make_engine(load(server.data).database_url)
    now = datetime.now(UTC).replace(microsecond=0)
    with engine.begin() as connection:
        seed(connection, computers=120, packages=12, assignments=600, now=now)
    engine.dispose()
    return server


#: Colours and width. A page is loaded once for all of them: loading it is what takes time.
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390))


@pytest.fixture
def reader(chromium: Browser, filled: RunningServer) -> Iterator[Page]:
    """A page somebody is logged in with."""
    context = chromium.new_context(ignore_https_errors=True, reduced_motion="reduce")
    page = context.new_page()
    log_in(page, filled)
    yield page
    context.close()


def test_axe_finds_nothing_and_nothing_overflows(reader: Page, filled: RunningServer) -> None:
    found: dict[str, list[str]] = {}
    for address in PAGES:
        reader.goto(f"{filled.https}{address}")
        reader.evaluate(_OPEN)
        reader.evaluate(AXE)
        for scheme, width in LOOKS:
            reader.emulate_media(color_scheme=scheme)
            reader.set_viewport_size({"width": width, "height": 800})
            wrong = list(reader.evaluate(_RUN))
            wide = reader.evaluate("document.documentElement.scrollWidth")
            wrong += [f"it is {wide} px wide"] if wide > width else []
            if wrong:
                found[f"{address} {scheme} {width}"] = wrong
    assert found == {}
