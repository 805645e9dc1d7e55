"""Messages to the server and files from it; the only importer of requests.

What other floors see is `Transport` and the errors of domain/errors.py: a `TransientError` is worth
another try, a `DefiniteError` is an answer. Every length is bounded before it is read, every wait
has an end, and redirects are followed by hand: never from https to http, and a message to the
server never at all.
"""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_environ_proxies

from deploy_agent import __version__
from deploy_agent.domain.errors import (
    AgentError,
    DefiniteError,
    HttpStatus,
    RedirectRefused,
    ShortRead,
    TooLong,
    WrongBytes,
)
from deploy_agent.domain.rate import Rate
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.tls import pinned_context
from deploy_agent.machine.transport import answers
from deploy_agent.machine.transport.adapter import PinnedAdapter, WatchedAdapter
from deploy_agent.machine.transport.faults import is_stale, network_errors
from deploy_agent.machine.transport.throttle import Throttle
from deploy_agent.machine.transport.watch import PATIENT, Limits
from deploy_agent.wire import envelope, terms
from deploy_agent.wire.errors import FramingError

REDIRECTS_MAX = 5
JSON_MAX = 1024 * 1024  # bytes of an answer of the API
REFUSAL_MAX = 4096  # bytes that are read of what is said about a refusal
LOOKED_AT_MAX = 64 * 1024 * 1024  # bytes that are read to see whether too many come
IDLE_S = 30.0  # how long a connection is worth keeping

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a file goes."""

    def write(self, piece: bytes, /) -> int:
        """Take the next piece."""


class Transport(Protocol):
    """What services ask of the network."""

    def post(self, message: bytes) -> bytes:
        """Send an XML message to the server and return its answer's XML, b'' where it has none."""

    def read(self, url: str, *, limit: int, no_cache: bool = False) -> bytes:
        """Return the file at `url`, of at most `limit` bytes."""

    def fetch(self, url: str, sink: Sink, *, limit: int | None, no_cache: bool = False) -> int:
        """Write the file at `url` to `sink` and return its length."""

    def post_json(self, path: str, value: Any) -> tuple[int, Any]:
        """Send JSON to our server's API; return status and answer, None where it is no JSON."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the server is reached.

    Attributes:
        server: the URL that messages go to.
        ca_file: who may speak for it.
        proxy: for every request; '' for none, None to ask the environment.
        credentials: user and password for HTTP basic authentication at the server's host.
        max_rate: what downloads may take, None for as fast as it goes.
        limits: how long servers may take.
    """

    server: str
    ca_file: Path
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    max_rate: Rate | None = None
    limits: Limits = PATIENT


class _Session(requests.Session):
    """Leaves redirects to us.

    To note where one leads, requests would read its body whole, inflated, however long that is.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return that it leads nowhere."""


class HttpTransport:
    """`Transport` over HTTP and HTTPS; threads may share it, and wait for each other."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._session = _Session()
        # Neither CA variables, nor .netrc, nor proxies that requests would choose by itself.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers["User-Agent"] = terms.USER_AGENT_FORM.format(version=__version__)
        context = pinned_context(access.ca_file)
        self._session.mount("https://", PinnedAdapter(access.limits, context))
        self._session.mount("http://", WatchedAdapter(access.limits))
        self._throttle = Throttle(access.max_rate, clock)
        self._one_at_a_time = threading.Lock()
        self._used_at = clock.now()
        self._environ_proxies: dict[str, dict[str, str]] = {}

    def post(self, message: bytes) -> bytes:
        """Send a message to the server.

        Raises:
            TransientError, DefiniteError: why there is no answer.
        """
        headers = {"Content-Type": terms.CONTENT_TYPE_REQUEST, "Pragma": "no-cache"}
        body = envelope.pack(message)
        with self._open("POST", self._access.server, headers, body) as response:
            answer = self._small_body(response, terms.MESSAGE_MAX)
        if not answer:
            return b""
        try:
            return envelope.unpack(answer)[0]
        except FramingError as error:
            raise WrongBytes(
                f"{self._access.server} answers, but not as a deployment server: {error}",
                "Look whether the URL is the server's, with /ocsinventory at its end",
            ) from error

    def read(self, url: str, *, limit: int, no_cache: bool = False) -> bytes:
        """Return a small file.

        Raises:
            TransientError, DefiniteError: why there is none.
        """
        with self._follow(url, _get_headers(no_cache=no_cache)) as response:
            return self._small_body(response, limit)

    def fetch(self, url: str, sink: Sink, *, limit: int | None, no_cache: bool = False) -> int:
        """Stream a file into `sink`.

        Raises:
            TransientError, DefiniteError: why it is not there, or not whole.
            OSError: `sink` cannot be written.
        """
        with self._follow(url, _get_headers(no_cache=no_cache)) as response:
            length = 0
            for piece in self._pieces(response, limit):
                sink.write(piece)
                length += len(piece)
            return length

    def post_json(self, path: str, value: Any) -> tuple[int, Any]:
        """Send JSON to our server.

        Raises:
            TransientError: there is no answer now; 429 and 5xx are none either.
            DefiniteError: there is no answer at all; any other status is one.
        """
        url = urljoin(self._access.server, path)
        with self._request("POST", url, {"Accept": "application/json"}, json=value) as response:
            refused = answers.refusal("POST", url, response, "", self._clock.now())
            if response.status_code >= 400 and isinstance(refused, HttpStatus):
                raise refused
            body = self._small_body(response, JSON_MAX)
            try:
                return response.status_code, json.loads(body)
            except (ValueError, RecursionError):
                return response.status_code, None

    def reach(self) -> tuple[int, datetime | None]:
        """Return the status that the server's URL answers a GET with, any will do, and its time.

        Raises:
            TransientError, DefiniteError: there is no answer, or none that can be trusted.
        """
        with self._request("GET", self._access.server, {}) as response:
            return int(response.status_code), answers.date_of(response)

    def close(self) -> None:
        """End all connections."""
        self._session.close()

    @contextmanager
    def _follow(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """GET `url`, through redirects that may be followed."""
        for _ in range(REDIRECTS_MAX + 1):
            with self._open("GET", url, headers) as response:
                if response.status_code not in answers.REDIRECT:
                    _refuse_encoding(url, response)
                    yield response
                    return
                url = answers.redirected(url, response)
        raise RedirectRefused(f"more than {REDIRECTS_MAX} redirects, the last to {url}")

    @contextmanager
    def _open(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> Iterator[requests.Response]:
        """Send a request; only a success or, for GET, a redirect comes back."""
        with self._request(method, url, headers, data=body) as response:
            status = response.status_code
            may_lead_on = method == "GET" and status in answers.REDIRECT
            if status not in answers.SUCCESS and not may_lead_on:
                said = self._said(response)
                raise answers.refusal(method, url, response, said, self._clock.now())
            yield response

    @contextmanager
    def _request(
        self, method: str, url: str, headers: dict[str, str], **content: Any
    ) -> Iterator[requests.Response]:
        try:
            answers.checked_address(url)
        except ValueError as error:
            raise DefiniteError(f"{url} is no usable address: {error}") from error
        with self._one_at_a_time:
            self._drop_idle_connections()
            with network_errors(url, self._access.ca_file):
                try:
                    response = self._send(method, url, headers, content)
                except (requests.RequestException, OSError) as error:
                    if not is_stale(error):
                        raise
                    # The computer slept, or moved to another network, or the server was restarted.
                    # Whatever we ask may be asked twice, and no connection kept is worth more.
                    self._session.close()
                    response = self._send(method, url, headers, content)
            with response:
                yield response

    def _send(
        self, method: str, url: str, headers: dict[str, str], content: dict[str, Any]
    ) -> requests.Response:
        return self._session.request(
            method,
            url,
            headers=headers,
            auth=self._auth(url),
            proxies=self._proxies(url),
            timeout=(self._access.limits.connect_s, self._access.limits.silence_s),
            allow_redirects=False,
            stream=True,
            **content,
        )

    def _drop_idle_connections(self) -> None:
        """A connection that rested may be dead without a word: a firewall forgot it."""
        now = self._clock.now()
        if not timedelta(0) <= now - self._used_at < timedelta(seconds=IDLE_S):
            self._session.close()
        self._used_at = now

    def _small_body(self, response: requests.Response, limit: int) -> bytes:
        return b"".join(self._pieces(response, limit))

    def _pieces(self, response: requests.Response, limit: int | None) -> Iterator[bytes]:
        """Yield the body as it was sent; nothing beyond `limit`, nothing cut short."""
        promised = answers.length(response)
        # A wrong length is a promise; what comes says whether it is too much or ends too early.
        # Only what would take long to find out is not looked at.
        if limit is not None and promised is not None and promised > limit > LOOKED_AT_MAX:
            raise TooLong(f"{response.url} has {promised} bytes, at most {limit} were expected")
        # Whole pieces cost less; but a chunk's end has to be seen as soon as it is there.
        read = response.raw.read1 if response.raw.chunked else response.raw.read
        length = 0
        while True:
            with network_errors(response.url, self._access.ca_file):
                piece = read(self._throttle.piece(), decode_content=False)
            if not piece:
                break
            length += len(piece)
            if limit is not None and length > limit:
                raise TooLong(f"{response.url} has more than the {limit} bytes expected")
            yield piece
            self._throttle.wait(len(piece))
        if promised is not None and length < promised:
            raise ShortRead(f"{response.url} ended after {length} of {promised} bytes")

    def _said(self, response: requests.Response) -> str:
        """Return what the server says about its refusal, '' where it says nothing to people."""
        if not answers.is_for_people(response):
            return ""
        try:
            return answers.first_line(self._small_body(response, REFUSAL_MAX))
        except AgentError:  # the refusal itself is what counts
            return ""

    def _auth(self, url: str) -> HTTPBasicAuth | None:
        """Return the credentials where `url` may see them: the server's host, as safely."""
        if self._access.credentials is None:
            return None
        ours, theirs = urlsplit(self._access.server), urlsplit(url)
        if theirs.hostname != ours.hostname or (ours.scheme, theirs.scheme) == ("https", "http"):
            return None
        return HTTPBasicAuth(*self._access.credentials)

    def _proxies(self, url: str) -> dict[str, str]:
        if self._access.proxy is not None:
            return {"http": self._access.proxy, "https": self._access.proxy}
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}/"
        if origin not in self._environ_proxies:
            self._environ_proxies[origin] = dict(get_environ_proxies(url))
        return self._environ_proxies[origin]


def _get_headers(*, no_cache: bool) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if no_cache:
        headers.update({"Cache-Control": "no-cache", "Pragma": "no-cache"})
    return headers


def _refuse_encoding(url: str, response: requests.Response) -> None:
    """Refuse what was compressed on its way: it is not the file, and has another digest.

    Raises:
        WrongBytes: it was.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip() or "identity"
    if encoding.lower() != "identity":
        raise WrongBytes(
            f"{url} comes with Content-Encoding {encoding[:40]}, which was not asked for",
            "Switch compression off for the packages' folder, there or in the proxy between",
        )
