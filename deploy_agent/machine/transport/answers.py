"""What the head of an answer means: refusals, redirects, lengths, when to come again."""

import logging
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import requests

from deploy_agent.domain.errors import (
    DefiniteError,
    HttpRefusal,
    HttpStatus,
    RedirectRefused,
    TransientError,
)

SUCCESS = {200, 203, 204}
REDIRECT = {301, 302, 303, 307, 308}
SAID_MAX = 300  # characters of what a server says about its refusal
_TRANSIENT = {407, 408, 425, 429}

_HINTS = {
    401: "The web server wants a user and a password: put them into 'basic_auth_file'",
    407: 'The proxy wants a user and a password: proxy = "http://USER:PASSWORD@HOST:PORT"',
}

log = logging.getLogger(__name__)


def refusal(
    method: str, url: str, response: requests.Response, said: str, now: datetime
) -> DefiniteError | TransientError:
    """Return what a status means that is no success.

    Args:
        method: GET or POST.
        url: what was asked for.
        response: the answer.
        said: the server's own words, '' where it has none for people.
        now: the time, UTC.
    """
    status = response.status_code
    what = f"{method} {url}: {status} {(response.reason or '')[:SAID_MAX]}".rstrip()
    what = f"{what}: {said}" if said else what
    hint = _HINTS.get(status, "")
    if status in _TRANSIENT or status >= 500:
        return HttpStatus(what, status=status, hint=hint, retry_after_s=retry_after(response, now))
    if status in REDIRECT:
        target = response.headers.get("Location", "elsewhere")[:SAID_MAX]
        return RedirectRefused(
            f"{what}, to {target}", "Put the new address into the configuration as 'server'"
        )
    if status == 404 and method == "POST":
        hint = "Look whether the URL is right"
    return HttpRefusal(what, status=status, hint=hint)


def redirected(url: str, response: requests.Response) -> str:
    """Return where a GET goes on.

    Raises:
        RedirectRefused: from https to http, to nowhere, or out of HTTP.
    """
    location = response.headers.get("Location", "")
    try:
        target = checked_address(urljoin(url, location))
    except ValueError as error:
        raise RedirectRefused(
            f"{url} is redirected to {location[:SAID_MAX]}, which is no address: {error}"
        ) from error
    before, after = urlsplit(url), urlsplit(target)
    if not location or after.scheme not in ("http", "https") or not after.hostname:
        raise RedirectRefused(f"{url} is redirected to {location[:SAID_MAX] or 'nowhere'}")
    if before.scheme == "https" and after.scheme == "http":
        raise RedirectRefused(
            f"{url} is redirected to {target}, from HTTPS to HTTP",
            "Activate the package with an address that answers over HTTPS",
        )
    if before.netloc != after.netloc:
        log.warning("%s is redirected to another server: %s", url, target)
    return target


def checked_address(url: str) -> str:
    """Return `url` when it has the form of one.

    Raises:
        ValueError: it has not; requests and urllib3 would not take that for an error of the URL.
    """
    _ = urlsplit(url).port
    return url


def length(response: requests.Response) -> int | None:
    """Return the length that was promised, None where none that makes sense was."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def retry_after(response: requests.Response, now: datetime) -> float | None:
    """Return the seconds that the server wants to be left alone for, None when it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def date_of(response: requests.Response) -> datetime | None:
    """Return the server's time; None where it does not say it."""
    try:
        found = parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return None if found.tzinfo is None else found


def is_for_people(response: requests.Response) -> bool:
    """Whether the body is a line of text, and no page or something for programs."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip() == "text/plain"


def first_line(body: bytes) -> str:
    """Return the first line of a text, fit for a log: printable and not long."""
    line = next((each for each in body.decode("utf-8", "replace").splitlines() if each.strip()), "")
    return "".join(each if each.isprintable() else "?" for each in line.strip())[:SAID_MAX]
