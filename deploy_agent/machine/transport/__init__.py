"""Messages to the server and files from it; the only importer of requests.

What other floors see is `Transport` and the errors of domain/errors.py: a `TransientError` is worth
another try, a `DefiniteError` is an answer. Every length is bounded before it is read, every wait
has an end, and redirects are followed by hand: never from https to http, and a message to the
server never at all.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import get_environ_proxies

from deploy_agent import __version__
from deploy_agent.domain.errors import (
    HttpRefusal,
    HttpStatus,
    RedirectRefused,
    ShortRead,
    TooLong,
    TooSlow,
    WrongBytes,
)
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.tls import PinnedContext, pinned_context
from deploy_agent.machine.transport.faults import host_of, network_errors
from deploy_agent.wire import envelope, terms
from deploy_agent.wire.errors import FramingError

PIECE = 256 * 1024  # bytes read at a time
CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0  # without a byte
REDIRECTS_MAX = 5
JSON_MAX = 1024 * 1024  # bytes of an answer of the API
SLOWEST = 512  # bytes a second, on average; a byte a minute would hold the agent for ever
GRACE_S = 60.0  # before that counts
IDLE_S = 30.0  # how long a connection is worth keeping

_SUCCESS = {200, 203, 204}
_TRANSIENT = {407, 408, 425, 429}
_REDIRECT = {301, 302, 303, 307, 308}

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
        max_rate: bytes a second, None for as fast as it goes.
    """

    server: str
    ca_file: Path
    proxy: str | None = None
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    max_rate: int | None = None


class HttpTransport:
    """`Transport` over HTTP and HTTPS."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._session = requests.Session()
        # Neither CA variables, nor .netrc, nor proxies that requests would choose by itself.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers["User-Agent"] = terms.USER_AGENT_FORM.format(version=__version__)
        self._session.mount("https://", _PinnedAdapter(pinned_context(access.ca_file)))
        self._session.mount("http://", HTTPAdapter())
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
            TransientError, DefiniteError: there is no answer at all; a status is an answer.
        """
        url = urljoin(self._access.server, path)
        with self._request("POST", url, {"Accept": "application/json"}, json=value) as response:
            body = self._small_body(response, JSON_MAX)
            try:
                return response.status_code, json.loads(body)
            except ValueError:
                return response.status_code, None

    def reach(self) -> tuple[int, datetime | None]:
        """Return the status that the server's URL answers a GET with, any will do, and its time.

        Raises:
            TransientError, DefiniteError: there is no answer, or none that can be trusted.
        """
        with self._request("GET", self._access.server, {}) as response:
            return int(response.status_code), _date_of(response)

    def close(self) -> None:
        """End all connections."""
        self._session.close()

    @contextmanager
    def _follow(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """GET `url`, through redirects that may be followed."""
        for _ in range(REDIRECTS_MAX + 1):
            with self._open("GET", url, headers) as response:
                if response.status_code not in _REDIRECT:
                    yield response
                    return
                url = _redirected(url, response)
        raise RedirectRefused(f"more than {REDIRECTS_MAX} redirects, the last to {url}")

    @contextmanager
    def _open(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> Iterator[requests.Response]:
        """Send a request; only a success or, for GET, a redirect comes back."""
        with self._request(method, url, headers, data=body) as response:
            status = response.status_code
            if status not in _SUCCESS and not (method == "GET" and status in _REDIRECT):
                raise self._refusal(method, url, response)
            yield response

    @contextmanager
    def _request(
        self, method: str, url: str, headers: dict[str, str], **content: Any
    ) -> Iterator[requests.Response]:
        self._drop_idle_connections()
        with network_errors(url, self._access.ca_file):
            response = self._session.request(
                method,
                url,
                headers=headers,
                auth=self._auth(url),
                proxies=self._proxies(url),
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,
                stream=True,
                **content,
            )
        with response:
            yield response

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
        promised = _length(response)
        if limit is not None and promised is not None and promised > limit:
            raise TooLong(f"{response.url} has {promised} bytes, at most {limit} were expected")
        pace = _Pace(self._access.max_rate, self._clock)
        length = 0
        while True:
            with network_errors(response.url, self._access.ca_file):
                piece = response.raw.read1(PIECE, decode_content=False)
            if not piece:
                break
            length += len(piece)
            if limit is not None and length > limit:
                raise TooLong(f"{response.url} has more than the {limit} bytes expected")
            yield piece
            if pace.is_a_drip(length):
                raise TooSlow(f"{host_of(response.url)} sends less than {SLOWEST} bytes a second")
            pace.wait(length)
        if promised is not None and length < promised:
            raise ShortRead(f"{response.url} ended after {length} of {promised} bytes")

    def _refusal(self, method: str, url: str, response: requests.Response) -> Exception:
        status = response.status_code
        what = f"{method} {url}: {status} {response.reason or ''}".rstrip()
        if status in _TRANSIENT or status >= 500:
            retry_after = _retry_after(response, self._clock)
            return HttpStatus(what, status=status, retry_after_s=retry_after)
        if status in _REDIRECT:
            target = response.headers.get("Location", "elsewhere")
            return RedirectRefused(
                f"{what}, to {target}", "Put the new address into the configuration as 'server'"
            )
        hint = "Look whether the URL is right" if status == 404 and method == "POST" else ""
        return HttpRefusal(what, status=status, hint=hint)

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


class _PinnedAdapter(HTTPAdapter):
    """Uses one context for every connection, whatever requests thinks about CA bundles."""

    def __init__(self, context: PinnedContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context, assert_hostname=False)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(
            proxy, **kwargs, ssl_context=self._context, assert_hostname=False
        )

    def cert_verify(self, conn: Any, *_: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = conn.ca_cert_dir = None


class _Pace:
    """Keeps a stream below a rate by sleeping between its pieces, and tells a drip."""

    def __init__(self, rate: int | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._began = clock.now()
        self._slept = 0.0

    def is_a_drip(self, length: int) -> bool:
        """Whether `length` bytes are next to nothing for the time that they took."""
        took = (self._clock.now() - self._began).total_seconds() - self._slept
        return took > GRACE_S and length < took * SLOWEST

    def wait(self, length: int) -> None:
        """Sleep until `length` bytes are what the rate allows."""
        if self._rate is None:
            return
        ahead = length / self._rate - (self._clock.now() - self._began).total_seconds()
        if ahead > 0:
            self._slept += ahead
            self._clock.sleep(ahead)


def _get_headers(*, no_cache: bool) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if no_cache:
        headers.update({"Cache-Control": "no-cache", "Pragma": "no-cache"})
    return headers


def _redirected(url: str, response: requests.Response) -> str:
    """Return where a GET goes on.

    Raises:
        RedirectRefused: from https to http, to nowhere, or out of HTTP.
    """
    location = response.headers.get("Location", "")
    target = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(target)
    if not location or after.scheme not in ("http", "https") or not after.hostname:
        raise RedirectRefused(f"{url} is redirected to {location or 'nowhere'}")
    if before.scheme == "https" and after.scheme == "http":
        raise RedirectRefused(
            f"{url} is redirected to {target}, from HTTPS to HTTP",
            "Activate the package with an address that answers over HTTPS",
        )
    if before.netloc != after.netloc:
        log.warning("%s is redirected to another server: %s", url, target)
    return target


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _retry_after(response: requests.Response, clock: Clock) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - clock.now()).total_seconds())
    except (TypeError, ValueError):
        return None


def _date_of(response: requests.Response) -> datetime | None:
    """Return the server's time; None where it does not say it."""
    try:
        found = parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return None if found.tzinfo is None else found
