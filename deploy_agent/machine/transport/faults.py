"""What requests and urllib3 raise, told as the agent's errors."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
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

E = TypeVar("E", bound=BaseException)


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
    if isinstance(error, (requests.exceptions.ReadTimeout, ReadTimeoutError)):
        return TooSlow(f"{host_of(url)} sent nothing for too long")
    if _find(error, IncompleteRead) is not None:
        return ShortRead(f"{url} ended too early")
    if isinstance(error, requests.exceptions.ProxyError):
        return ServerUnreachable(f"the proxy does not let through to {host_of(url)}: {_why(error)}")
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, ProtocolError)):
        return ShortRead(f"the connection to {host_of(url)} broke off: {_why(error)}")
    return ServerUnreachable(f"{host_of(url)} cannot be reached: {_why(error)}")


def _cut_short(error: ssl.SSLError) -> bool:
    """Whether a TLS connection only broke off, which says nothing about who was there."""
    ends = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return isinstance(error, ends) or getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING"


def _why(error: Exception) -> str:
    """Return the system's own word for what happened, out of all the wrapping."""
    if _find(error, requests.exceptions.ConnectTimeout) is not None:
        return "it does not answer"
    if _find(error, socket.gaierror) is not None:
        return "no such host name"
    for each in _chain(error):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return str(list(_chain(error))[-1])


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
