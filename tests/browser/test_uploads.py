"""A large file through the browser, over a line that breaks and a server that restarts."""

import hashlib
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_main_job import PATIENCE_MS
from tests.support.server import ADMIN, PASSWORD, RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

MIB = 1024 * 1024
#: The largest package that is promised takes six minutes: TRANCHE_UPLOAD_MIB=5120
SIZE_MIB = int(os.environ.get("TRANCHE_UPLOAD_MIB", "1024"))
LONG_MS = PATIENCE_MS + SIZE_MIB * 500


class Line:
    """Hands bytes on to a server, and breaks for everybody when so many came from the browser.

    After the last break it stays down until somebody says that it is up. (A browser sends a request
    again by itself when only its connection breaks.)
    """

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.breaks: list[int] = []
        self.is_up = True
        self.passed = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        # Only this wakes whoever waits for a browser.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self._break()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            if not self.is_up:
                browser.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                browser.close()
                continue
            self._open += [browser, server]
            for ends in ((browser, server, True), (server, browser, False)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
                if counted and self._is_over(len(data)):
                    self._break()
        except OSError:
            pass
        for each in (source, target):
            each.close()

    def _is_over(self, number: int) -> bool:
        with self._lock:
            self.passed += number
            if not self.breaks or self.passed < self.breaks[0]:
                return False
            self.breaks.pop(0)
            self.is_up = bool(self.breaks)
            return True

    def _break(self) -> None:
        for each in self._open:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._open.clear()


@pytest.fixture
def line(server: RunningServer) -> Iterator[Line]:
    line = Line(server.https_port)
    yield line
    line.close()


class Noise:
    """So many MiB, each unlike the others, as fast as they can be written."""

    def __init__(self, mib: int) -> None:
        self._mib = os.urandom(MIB - 8)
        self._left = mib

    def read(self, size: int) -> bytes:
        assert size == MIB
        self._left -= 1
        return self._left.to_bytes(8, "big") + self._mib


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Path]:
    """An archive that does not compress; pytest keeps folders, and this is too large for that."""
    path = tmp_path / "large.tar.gz"
    data = tarfile.TarInfo("data")
    data.size = SIZE_MIB * MIB
    with tarfile.open(path, "w:gz", compresslevel=0, copybufsize=MIB) as tar:
        tar.addfile(data, Noise(SIZE_MIB))
    yield path
    path.unlink()


@pytest.mark.parametrize("page", ["breaks"], indirect=True)
def test_an_upload_outlives_a_broken_line_and_a_restart(
    page: Page, server: RunningServer, line: Line, archive: Path
) -> None:
    page.goto(f"https://localhost:{line.port}/packages/build")
    page.get_by_label("Name").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Name", exact=True).fill("Large")
    page.locator("input[name=os][value=linux]").check()
    page.locator("input[name=action][value=STORE]").check()
    page.locator("#target").fill("/opt/large")
    text = page.locator("[data-upload-text]")

    line.breaks = [SIZE_MIB * MIB // 4, SIZE_MIB * MIB // 2]
    page.set_input_files("#file", str(archive))
    expect(text).to_contain_text("going on in", timeout=LONG_MS)
    assert line.breaks == []
    # The page is closed, the server restarts, and the same file is chosen again.
    page.goto("about:blank")
    server.stop()
    server.start()
    line.is_up = True
    page.goto(f"https://localhost:{line.port}/packages/build")
    page.get_by_label("Name", exact=True).fill("Large")
    page.locator("input[name=os][value=linux]").check()
    page.locator("input[name=action][value=STORE]").check()
    page.locator("#target").fill("/opt/large")
    page.set_input_files("#file", str(archive))
    expect(text).to_contain_text("compared with your file", timeout=LONG_MS)
    assert line.passed < archive.stat().st_size + 40 * MIB, "it began anew"

    page.get_by_role("button", name="Build only").click(timeout=LONG_MS)
    expect(page.get_by_role("heading", name="Large")).to_be_visible(timeout=LONG_MS)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expect(page.get_by_role("main")).to_contain_text(digest)
