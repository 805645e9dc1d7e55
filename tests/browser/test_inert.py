"""What agents, files and people send stays text in a real browser: nothing of it runs, and the
policy of the pages has nothing to refuse. The payloads come through the wire, in every field of
every message, and from people through the database.
"""

import csv
import io
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page

from deploy_agent.wire import xml
from deploy_agent.wire.events import EVENTS_PATH, PackageEvent, write_events
from deploy_agent.wire.messages import DownloadReport, Prolog
from deploy_server.config import load
from deploy_server.storage.database import make_engine, session_factory
from tests.browser.test_main_job import log_in
from tests.support.archives import tar_gz
from tests.support.payloads import PAYLOADS, fill
from tests.support.server import RunningServer
from tests.support.vectors import Exchange as Recorded

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

FORMULAS = ('=HYPERLINK("http://x/","y")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1")
TEXTS = (*PAYLOADS.values(), *FORMULAS)
# Those that show what the computer said; `fill` has the others.
TABS = ("deployments", "inventory", "software", "history")

# Whatever would run when somebody points at it or opens it does so now.
_TOUCH = """() => {
  for (const each of document.querySelectorAll('details')) each.open = true;
  for (const each of document.querySelectorAll('*'))
    for (const kind of ['mouseover', 'mouseenter', 'focus', 'load', 'error'])
      each.dispatchEvent(new Event(kind));
}"""
_LISTEN = """window.refused = [];
document.addEventListener('securitypolicyviolation',
  (each) => window.refused.push(`${each.violatedDirective}: ${each.blockedURI} ${each.sample}`));
"""


def device_id(number: int, text: str) -> str:
    stem = "".join(each for each in text if each.isprintable())[:200]
    return f"{stem}-2026-01-02-03-04-{number:02d}"


def inventory(name: str, text: str) -> bytes:
    """A recorded inventory, one section of each kind, with the text in every field."""
    root = xml.parse_xml(Recorded("agent-02-inventory-first").request.xml)
    seen = set()
    for section in list(root.find("CONTENT")):  # type: ignore[arg-type]
        if section.tag in seen:
            section.getparent().remove(section)  # type: ignore[union-attr]
        seen.add(section.tag)
    for field in root.iter():
        if len(field) == 0 and field.tag not in ("QUERY", "DEVICEID"):
            field.text = xml.clean(text)
    for each in root.iter("DEVICEID"):
        each.text = name
    return xml.to_bytes(root)


class Fleet:
    """Computers that say the worst of themselves."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(server.ca_file)

    def post(self, message: bytes, text: str = "", agent: str = "Tranche/0.1 ") -> None:
        ours = "".join(each for each in text if each.isprintable())[:300]
        headers = {"User-Agent": f"OCS-NG_unified_unix_agent_v2.10.0 {agent}{ours}".encode()}
        answer = self.session.post(
            f"{self.server.https}/ocsinventory", data=zlib.compress(message), headers=headers
        )
        assert answer.status_code == 200, (answer.text, message[:300])

    def say(self, number: int, text: str, package_id: str) -> None:
        """Every message there is, with the text wherever there is room for any."""
        name = device_id(number, text)
        self.post(inventory(name, text), text)
        self.server.assign(package_id, name)
        self.post(Prolog(name).to_bytes(), text)
        told = PackageEvent(
            str(UUID(int=number)), package_id, None, datetime.now(UTC), "DOWNLOADING",
            reason=text, done=1, total=2, exit_code=3, output=text * 2,
        )  # fmt: skip
        answer = self.session.post(
            f"{self.server.https}{EVENTS_PATH}", json=write_events(name, [told]),
            headers={"User-Agent": "OCS-NG_unified_unix_agent_v2.10.0 Tranche/0.1"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        self.post(DownloadReport(name, package_id, f"ERR_{text[:200]}").to_bytes(), text)


@pytest.fixture(scope="module")
def pages(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every page that shows any of it."""
    archive: Path = tar_gz(tmp_path_factory.mktemp("inert") / "a.tar.gz", {"a": "b"})
    package = server.publish(
        PAYLOADS["image"],
        "--action",
        "store",
        "--file",
        archive,
        "--path",
        "/opt/" + PAYLOADS["script"],
    )
    fleet = Fleet(server)
    for number, text in enumerate(TEXTS):
        fleet.say(number, text, package)
    engine = make_engine(load(server.data).database_url)
    with session_factory(engine).begin() as session:
        now = datetime.now(UTC).replace(microsecond=0)
        found = fill(session, now, " ".join(each[:200] for each in TEXTS))
    engine.dispose()
    computers = range(1, len(TEXTS) + 1)
    tabs = [f"/computers/{each}?tab={tab}" for each in computers for tab in TABS]
    return [*found, f"/packages/{package}", f"/packages/{package}/results", "/audit", *tabs]


@pytest.fixture
def watched(chromium: Browser, server: RunningServer) -> Iterator[tuple[Page, list[str]]]:
    """A page somebody is logged in with, and what happened there that should not."""
    context = chromium.new_context(ignore_https_errors=True)
    context.add_init_script(_LISTEN)
    page = context.new_page()
    happened: list[str] = []
    log_in(page, server)
    page.on("dialog", lambda each: (happened.append(f"said {each.message}"), each.dismiss()))
    page.on("pageerror", lambda each: happened.append(f"failed: {each}"))

    def listen(line: ConsoleMessage) -> None:
        where = line.location["url"]
        # Chromium asks for one where a part of a page is opened alone, which has no head.
        if line.type in ("error", "warning") and not where.endswith("/favicon.ico"):
            happened.append(f"{line.text} {where}")

    page.on("console", listen)
    page.on(
        "request",
        lambda each: None if each.url.startswith(server.https) else happened.append(each.url),
    )
    yield page, happened
    context.close()


def test_nothing_runs_and_nothing_is_refused(
    watched: tuple[Page, list[str]], server: RunningServer, pages: list[str]
) -> None:
    page, happened = watched
    found: dict[str, list[str]] = {}
    for address in pages:
        answer = page.goto(f"{server.https}{address}")
        assert answer is not None
        assert answer.status == 200, address
        page.evaluate(_TOUCH)
        refused = list(page.evaluate("window.refused"))
        if happened or refused or page.url != f"{server.https}{address}":
            found[address] = [*happened, *refused, page.url]
            happened.clear()
    assert found == {}


def test_no_cell_of_an_export_is_a_formula(
    watched: tuple[Page, list[str]], server: RunningServer, pages: list[str]
) -> None:
    page, _ = watched
    package = next(each for each in pages if each.endswith("/results"))
    for address in ("/computers/export", "/packages/csv", f"{package}/export", "/audit/export"):
        answer = page.request.get(f"{server.https}{address}")
        assert answer.status == 200, address
        rows = list(csv.reader(io.StringIO(answer.text())))
        assert len(rows) > 1, address
        bad = [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r")]
        assert bad == [], address
