"""Around every request, whoever answers it: who asks, its number, and what it took.

The number stands in every line that is logged for the request and in every refusal, so that what a
person saw can be found in the log. A proxy's word on who asks counts only where the configuration
trusts that proxy.
"""

import itertools
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from deploy_server.config import ServerConfig, networks
from deploy_server.web.board import Row

Networks = Sequence[IPv4Network | IPv6Network]

#: What a view writes into the environment: the kind of message that it was (a kind of `board`).
KIND = "tranche.kind"

#: The request's number, and whether its address is the word of a proxy that is trusted.
REQUEST_ID = "tranche.request_id"
FORWARDED = "tranche.forwarded"

_current: ContextVar[str] = ContextVar("request_id", default="")
_FOREIGN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z", re.ASCII)


def request_id() -> str:
    """Return the number of the request that this thread works on, '' outside of requests."""
    return _current.get()


def contains(among: Networks, address: str) -> bool:
    """Whether an address lies in one of the networks; what is no address does not."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in among)


class Watch:
    """What this process knows of its requests; `Observed` and the short way share it.

    Args:
        config: of the server.
        row: takes the numbers.
    """

    def __init__(self, config: ServerConfig, row: Row) -> None:
        self.row = row
        self._proxies = networks(config.trusted_proxies)
        # Nobody else's, also after a restart or in another worker.
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def begin(self, given: str = "") -> str:
        """Return the number of the request that this thread begins to work on.

        Args:
            given: its number by the word of a proxy that is trusted.
        """
        usable = given and _FOREIGN_ID.match(given)
        number = given if usable else f"{self._prefix}-{next(self._numbers)}"
        _current.set(number)
        return number

    def trusts(self, address: str) -> bool:
        """Whether this is a proxy whose word counts."""
        return bool(self._proxies) and contains(self._proxies, address)

    def client(self, address: str, forwarded_for: str) -> str:
        """Return who asks, when a proxy that is trusted has named those before it."""
        for said in reversed(forwarded_for.split(",")):
            if not self.trusts(address):
                break
            address = said.strip() or address
        return address


class Observed:
    """The WSGI application with all of that around it.

    Args:
        app: what answers.
        watch: of this process.
    """

    def __init__(self, app: WSGIApplication, watch: Watch) -> None:
        self._app = app
        self._watch = watch

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        began = time.perf_counter()
        given = ""
        address = environ.get("REMOTE_ADDR", "")
        if self._watch.trusts(address):
            said = environ.get("HTTP_X_FORWARDED_FOR", "")
            environ["REMOTE_ADDR"] = self._watch.client(address, said)
            # A proxy that says nothing of whom it asks for is not who asks.
            environ[FORWARDED] = bool(said)
            given = environ.get("HTTP_X_REQUEST_ID", "")
        environ[REQUEST_ID] = number = self._watch.begin(given)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            code = int(status[:3])
            if code >= 400:
                headers.append(("X-Request-Id", number))
            seconds = time.perf_counter() - began
            self._watch.row.count(_kind_of(environ), code, seconds, _length(headers))
            return start_response(status, headers, *rest)

        return self._app(environ, start)


def _kind_of(environ: WSGIEnvironment) -> str:
    said: str | None = environ.get(KIND)
    return kind_of(environ["REQUEST_METHOD"], environ["PATH_INFO"]) if said is None else said


def kind_of(method: str, path: str) -> str:
    """The kind of a request (a kind of `board`) by its method and path."""
    _, first, *rest = (path if "/" in path else "/").split("/", 3)
    if first == "download":
        name = rest[-1] if rest else ""
        return _FILES.get(name, "fragment")
    if first == "api":
        return "events" if path.endswith("/events") else "retry"
    if method == "POST" and path == "/packages/build":
        return "build"
    return _FIRST.get(first, "console")


_FILES = {"info": "info", "fragments.sha256": "fragment_list"}
_FIRST = {
    "ocsinventory": "refused",
    "healthz": "health",
    "readyz": "health",
    "metrics": "health",
    "uploads": "upload",
}


def _length(headers: list[tuple[str, str]]) -> int:
    for name, value in headers:
        if name == "Content-Length":
            return int(value)
    return 0
