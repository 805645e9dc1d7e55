"""/api/v1/agent: what only our own agents say, in JSON and over HTTPS.

Like /ocsinventory it is never answered 500 for anything that was sent, and what it did is durable
before the answer leaves. Meanings: contract.md 4, Extension.
"""

from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import RequestEntityTooLarge

from deploy_agent.wire.errors import TooLargeError, WireError
from deploy_agent.wire.events import (
    EVENTS_BYTES_MAX,
    EVENTS_PATH,
    RETRY_PATH,
    parse_events,
    parse_retry,
)
from deploy_server.domain.errors import BadMessage, TooLarge
from deploy_server.services import gate
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.assigning import retry
from deploy_server.services.events import take_events
from deploy_server.web.services import services

blueprint = Blueprint("agent_api", __name__)

Message = TypeVar("Message")

RETRY_BYTES_MAX = 4096  # of the question for another attempt


@blueprint.post(EVENTS_PATH)
def events() -> Response:
    """Take events; the answer names those that need not be sent again."""
    device_id, told = _read(parse_events, EVENTS_BYTES_MAX)

    now, caller = services().now(), _caller(device_id)

    def take(session: Session) -> list[str]:
        return take_events(session, device_id, told, now=now, caller=caller)

    return jsonify(accepted=services().wire.writer.do(take, device_id))


@blueprint.post(RETRY_PATH)
def again() -> Response:
    """Let a package that failed on the computer wait again."""
    device_id, package = _read(parse_retry, RETRY_BYTES_MAX)

    now, caller = services().now(), _caller(device_id)

    def begin(session: Session) -> int:
        return retry(session, device_id, int(package), now=now, caller=caller)

    return jsonify(attempt=services().wire.writer.do(begin, device_id))


def _read(parse: Callable[[bytes], Message], limit: int) -> Message:
    """Return the message of an agent that may speak here.

    Raises:
        BadMessage, TooLarge: why not.
    """
    with services().wire.readers.session() as session:
        is_known = gate.is_known_agent(session, _user_agent())
    if not is_known:
        _caller("").note(Activity.REFUSED_AGENT)
        raise BadMessage(
            "this User-Agent is not one of the agents that are served here",
            "The setting AGENTS_ALLOWED adds more",
        )
    request.max_content_length = limit
    try:
        return parse(request.get_data(cache=False))
    except RequestEntityTooLarge:
        _caller("").note(Activity.REFUSED_SIZE)
        raise TooLarge(f"the message is longer than {limit} bytes", "Send less at a time") from None
    except TooLargeError as error:
        _caller("").note(Activity.REFUSED_SIZE)
        raise TooLarge(str(error), "Send fewer at a time") from None
    except WireError as error:
        _caller("").note(Activity.REFUSED_MESSAGE, str(error))
        raise BadMessage(
            f"the message cannot be read: {error}", "Look at docs/wire.rst, and mend the agent"
        ) from None


def _caller(device_id: str) -> Caller:
    return Caller(device_id, request.remote_addr or "", _user_agent())


def _user_agent() -> str:
    return request.headers.get("User-Agent", "")
