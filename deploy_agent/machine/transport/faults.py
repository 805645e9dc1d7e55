"""What requests and urllib3 raise, told as the agent's errors."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, RemoteDisconnected
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError, ReadTimeoutError

from deploy_agent.domain.errors import (
    DefiniteError,
    ServerUnreachable,
    ShortRead,
    TooSlow,
    TransientError,
)
from deploy_agent.machine.tls import explain
from deploy_agent.machine.transport.watch import Overdue, Stale

E = TypeVar("E", bound=BaseException)

_SAID_MAX = 100  # characters of somebody else's words


def host_of(url: str) -> str:
    """Return host and port of `url`, for messages."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


@contextmanager
def network_errors(url: str, ca_file: Path) -> Iterator[None]:
    """Give what goes wrong on the way to `url` and back its meaning.

    Raises:
        TransientError: the connection failed in a way that may pass.
        DefiniteError: the address is none, or TLS was refused.
    """
    try:
        yield
    except (requests.RequestException, HTTPError, OSError, UnicodeError) as error:
        raise _meaning(error, url, ca_file) from error


def _meaning(error: Exception, url: str, ca_file: Path) -> DefiniteError | TransientError:
    tls = _find(error, ssl.SSLError)
    if tls is not None and not _cut_short(tls):
        parts = urlsplit(url)
        return explain(tls, parts.hostname or url, parts.port or 443, ca_file)
    unusable = (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        UnicodeError,
    )
    if isinstance(error, unusable):
        return DefiniteError(f"{url} is no usable address: {error}")
    overdue = _find(error, Overdue)
    if overdue is not None:
        return TooSlow(f"{host_of(url)} {overdue}")
    if isinstance(error, (requests.exceptions.ReadTimeout, ReadTimeoutError)):
        return TooSlow(f"{host_of(url)} sent nothing for too long")
    if _find(error, IncompleteRead) is not None:
        return ShortRead(f"{url} ended too early")
    if isinstance(error, requests.exceptions.ProxyError):
        return _about_proxy(error, url)
    return _broken_off(error, url) or _unreachable(error, url)


def _broken_off(error: Exception, url: str) -> TransientError | None:
    """Return what it is when somebody was there, and the answer was none."""
    said_nothing = _find(error, RemoteDisconnected)
    garbage = _find(error, HTTPException)
    if garbage is not None and said_nothing is None:
        return ShortRead(
            f"{host_of(url)} answers, but not in HTTP: {_printable(garbage)}",
            "Look whether it is the right port, and what stands between",
        )
    if said_nothing is not None:
        return ShortRead(f"{host_of(url)} closed the connection without an answer")
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, ProtocolError)):
        return ShortRead(f"the connection to {host_of(url)} broke off: {_why(error)}")
    return None


def _about_proxy(error: Exception, url: str) -> ServerUnreachable:
    """Return what keeps a proxy from letting us through; its URL holds secrets and is not said."""
    why = _why(error)
    hint = "Look whether 'proxy' is right (or http_proxy, https_proxy and no_proxy), and runs"
    if "407" in why:
        hint = 'It wants a user and a password: proxy = "http://USER:PASSWORD@HOST:PORT"'
    return ServerUnreachable(f"the proxy does not let through to {host_of(url)}: {why}", hint)


def _unreachable(error: Exception, url: str) -> ServerUnreachable:
    """Return why there is no connection, and what to look at."""
    host = host_of(url)
    if _find(error, requests.exceptions.ConnectTimeout) is not None:
        why, hint = "it does not answer", "Look whether it runs, and for a firewall in between"
    elif _find(error, socket.gaierror) is not None:
        why = "no such host name"
        hint = "Look whether the name is right, and whether this computer's DNS knows it"
    elif _find(error, ConnectionRefusedError) is not None:
        why = "connection refused"
        hint = "Nobody listens there: look whether the server runs and the port is the right one"
    else:
        why, hint = _why(error), "Look at this computer's network and at the way to the server"
    return ServerUnreachable(f"{host} cannot be reached: {why}", hint)


def is_stale(error: Exception) -> bool:
    """Whether a kept connection turned out to be dead, so that a new one may do better."""
    return _find(error, Stale) is not None


def _cut_short(error: ssl.SSLError) -> bool:
    """Whether a TLS connection only broke off, which says nothing about who was there."""
    ends = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return isinstance(error, ends) or getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING"


def _why(error: Exception) -> str:
    """Return the system's own word for what happened, out of all the wrapping."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return _printable(list(_chain(error))[-1])


def _printable(error: BaseException) -> str:
    """Return an error's text, which may quote what came from outside."""
    text = str(error) or type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in text)[:_SAID_MAX]


def _find(error: BaseException, kind: type[E]) -> E | None:
    return next((each for each in _chain(error) if isinstance(each, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and everything it was made from; urllib3 hides causes in several places."""
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo:
        each = todo.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (getattr(each, "reason", None), *each.args, each.__cause__, each.__context__)
        todo.extend(other for other in inner if isinstance(other, BaseException))
