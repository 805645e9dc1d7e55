"""The browsers that people were in with before: a signed cookie, which opens nothing by itself.

Wrong passwords from elsewhere never lock such a browser out (services/logins).
"""

import secrets

from flask import Response, current_app, request
from itsdangerous import BadSignature, URLSafeSerializer

from deploy_server.services.logins import Source

_COOKIE = "__Host-known"
_KEEP_S = 180 * 24 * 3600
_USERS_MAX = 8  # of one browser, the last ones


def source() -> Source:
    """Where this request comes from."""
    browser, was_in = _known()
    return Source(request.remote_addr or "", browser, frozenset(was_in))


def remember(response: Response, user_id: int) -> None:
    """Let this browser be known for the user, who was let in just now."""
    browser, was_in = _known()
    users = [*(each for each in was_in if each != user_id), user_id][-_USERS_MAX:]
    value = _serializer().dumps([browser or secrets.token_hex(16), users])
    response.set_cookie(_COOKIE, value, max_age=_KEEP_S, secure=True, httponly=True, samesite="Lax")


def _known() -> tuple[str, list[int]]:
    """The browser's name and its users; only this server can have signed them."""
    try:
        browser, was_in = _serializer().loads(request.cookies.get(_COOKIE, ""))
    except BadSignature:
        return "", []
    return browser, was_in


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or "", salt="known browser")
