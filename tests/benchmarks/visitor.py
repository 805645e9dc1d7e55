"""One browser's connection to a console: logs in, asks for pages, sends forms; measures both."""

import html
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.support.server import ADMIN, PASSWORD, RunningServer

_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True)
class Answer:
    """What came, and when: seconds after the question."""

    status: int
    body: bytes
    first_byte_s: float
    whole_s: float

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Visitor:
    """A browser without a face, on one connection that stays open."""

    def __init__(self, server: RunningServer) -> None:
        tls = ssl.create_default_context(cafile=str(server.ca_file))
        self._line = HTTPSConnection("localhost", server.https_port, context=tls, timeout=300)
        self._origin = server.https
        self._cookies: dict[str, str] = {}
        self._token = ""

    def log_in(self) -> None:
        self.get("/login")
        answer = self.post("/login", {"name": ADMIN, "password": PASSWORD})
        assert answer.status == 302, f"{answer.status}\n{answer.text[:2000]}"
        self.get("/account")

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def form(self, path: str, values: Mapping[str, object]) -> dict[str, object]:
        """The hidden fields of the page that a form answers."""
        answer = self.post(path, values)
        assert answer.status == 200, f"{answer.status}\n{answer.text[:2000]}"
        found = {name: html.unescape(value) for name, value in _HIDDEN.findall(answer.text)}
        return {name: value for name, value in found.items() if name != "csrf_token"}

    def post(self, path: str, values: Mapping[str, object]) -> Answer:
        """Send a form as the console's own pages do."""
        body = urlencode({"csrf_token": self._token, **values}, doseq=True).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._ask("POST", path, body, headers)
        assert answer.status < 400, f"{path}: {answer.status}\n{answer.text[:3000]}"
        return answer

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] = {}
    ) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies, "Referer": f"{self._origin}/", "Accept": "text/html", **more}
        began = time.perf_counter()
        self._line.request(method, path, body, headers)
        response = self._line.getresponse()
        head = response.read(1)
        first = time.perf_counter() - began
        text = head + response.read()
        whole = time.perf_counter() - began
        for line in response.headers.get_all("Set-Cookie") or ():
            self._cookies |= {name: each.value for name, each in SimpleCookie(line).items()}
        if token := _TOKEN.search(text[:20_000].decode("utf-8", "replace")):
            self._token = token.group(1)
        return Answer(response.status, text, first, whole)

    def close(self) -> None:
        self._line.close()
