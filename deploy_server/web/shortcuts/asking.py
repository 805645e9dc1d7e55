"""Who asks, and what is refused, on the short ways: as Flask and `observing.Observed` say it."""

from http import HTTPStatus

from deploy_server.web.errors import AGAIN_S
from deploy_server.web.gateway.answer import Answer, Headers
from deploy_server.web.gateway.environ import address_of
from deploy_server.web.gateway.exchange import Scope
from deploy_server.web.observing import Watch


def header(scope: Scope, wanted: bytes) -> str:
    """Return all headers of a name in lower case as one, as WSGI has them; '' for none."""
    found = [value for name, value in scope["headers"] if name == wanted]
    return b",".join(found).decode("latin-1")


def who(scope: Scope, watch: Watch) -> tuple[str, str]:
    """Return the address of who asks, and the request's number."""
    address = address_of(scope)
    if not watch.trusts(address):
        return address, watch.begin()
    client = watch.client(address, header(scope, b"x-forwarded-for"))
    return client, watch.begin(header(scope, b"x-request-id"))


def answer(status: int, body: bytes, headers: Headers, number: str) -> Answer:
    """Return a whole answer.

    Args:
        status: of HTTP.
        body: its bytes.
        headers: besides its length.
        number: the request's; whoever is refused is told it.
    """
    made = Answer(status, [(b"content-length", b"%d" % len(body)), *headers])
    made.request_id = number
    if status >= 400:
        made.headers.append((b"x-request-id", number.encode()))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        made.headers.append((b"retry-after", b"%d" % AGAIN_S))
    made.head = body
    return made
