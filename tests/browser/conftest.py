"""A real browser: Debian's Chromium, driven by Playwright, against a real server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, sync_playwright

from tests.support.processes import program
from tests.support.server import RunningServer

# What Chromium would ask of hosts that are not there, and of hardware that is not there.
_ARGUMENTS = [
    # The CA is made for this run, and Chromium reads its own store only; TLS has its own tests. The
    # option of a context alone lets each request fail and start again: once in a while Chromium has
    # then had enough (net::ERR_TOO_MANY_RETRIES).
    "--ignore-certificate-errors",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where pictures go; None where nobody asked for them."""
    folder = request.config.getoption("--pictures")
    return None if folder is None else Path(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server without latencies."""
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running.without_latencies()
    # pytest keeps folders of past runs, and a package here can be a GiB.
    shutil.rmtree(running.data / "download")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(
        executable_path=program("chromium", "chromium-browser", "google-chrome"), args=_ARGUMENTS
    )
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page whose console stays silent: no error, no refused script or style.

    With the parameter `breaks`, lines that break are none.
    """
    breaks = getattr(request, "param", "") == "breaks"
    # The option is for what a test itself requests.
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, ignore_https_errors=True
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def listen(line: ConsoleMessage) -> None:
        # A refused login is an error to Chromium only.
        expected = "401 (Unauthorized)" in line.text or (breaks and "net::ERR" in line.text)
        if line.type in ("error", "warning") and not expected:
            complaints.append(line.text)

    page.on("console", listen)
    yield page
    context.close()
    assert complaints == []
