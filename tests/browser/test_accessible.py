"""Every page by axe, light and dark, at 1280 px and on a phone: nothing found, nothing overflows.

axe is the one that comes with axe-playwright-python.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Page

from deploy_server.config import load
from deploy_server.storage.database import make_engine, session_factory
from tests.browser.test_main_job import log_in
from tests.support.pages import NOWHERE, PAGES, more_rows
from tests.support.seed import seed
from tests.support.server import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# `rules` are those to look by; all of them where there are none.
_RUN = """(rules) => axe.run(rules.length ? { runOnly: rules } : {}).then(
  (found) => found.violations.map(each => `${each.id}: ${each.help}: `
  + each.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(' ')))"""
_OPEN = "for (const each of document.querySelectorAll('details')) each.open = true"


@pytest.fixture(scope="module")
def filled(server: RunningServer) -> RunningServer:
    """A server with computers, packages and groups, some of them with the nastiest names."""
    engine = make_engine(load(server.data).database_url)
    now = datetime.now(UTC).replace(microsecond=0)
    with engine.begin() as connection:
        seed(connection, computers=120, packages=12, assignments=600, now=now)
    with session_factory(engine).begin() as session:
        more_rows(session, now)
    engine.dispose()
    return server


#: Colours, width, and by which rules of axe: dark changes colours and nothing else. A page is
#: loaded once for all of them: loading it is what takes time.
LOOKS = (("light", 1280, []), ("dark", 1280, ["color-contrast"]), ("light", 390, []))


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
        answer = reader.goto(f"{filled.https}{address}")
        assert answer is not None
        missing = answer.status == 404  # a look at that would say nothing of the page
        found |= {address: ["there is no such page"]} if missing and address != NOWHERE else {}
        reader.evaluate(_OPEN)
        reader.evaluate(AXE)
        for scheme, width, rules in LOOKS:
            reader.emulate_media(color_scheme=scheme)
            reader.set_viewport_size({"width": width, "height": 800})
            wrong = list(reader.evaluate(_RUN, rules))
            wide = reader.evaluate("document.documentElement.scrollWidth")
            wrong += [f"it is {wide} px wide"] if wide > width else []
            if wrong:
                found[f"{address} {scheme} {width}"] = wrong
    assert found == {}
