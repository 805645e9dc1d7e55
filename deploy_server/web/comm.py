"""POST /ocsinventory: the one address that agents talk to.

Bytes in, bytes out: who may speak, how much may be said, what is answered when it makes no sense.
Nothing an agent sends is ever answered 500 (contract.md 4); a refusal is one line of text. What a
message means is services/contact's; its effects are durable before the answer leaves.
"""

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from deploy_agent.wire import terms
from deploy_agent.wire.envelope import pack, unpack
from deploy_agent.wire.errors import TooLargeError, WireError
from deploy_agent.wire.messages import Request, parse_request
from deploy_server.services import gate
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.contact import answer, look
from deploy_server.web.database import db, reading_session
from deploy_server.web.services import services
from deploy_server.web.turns import committed

blueprint = Blueprint("comm", __name__)

#: What compression may add to a message that cannot be compressed.
_COMPRESSION_SLACK = 64 * 1024

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


@blueprint.route(
    "/ocsinventory", methods=_METHODS, strict_slashes=False, provide_automatic_options=False
)
def ocsinventory() -> Response:
    """Answer one message of an agent."""
    if request.method != "POST":
        refusal = _refuse(405, "agents POST their messages here; there is nothing else to see")
        refusal.headers["Allow"] = "POST"
        return refusal
    return _closed() or _message()


def _closed() -> Response | None:
    """Return the refusal where this agent may not speak at all."""
    if services().scheme == "http" and not _is_http_allowed():
        gate.count_refused(db.session(), services().now())
        db.session.commit()
        _note(Activity.REFUSED_HTTP)
        return _refuse(
            403,
            "agents may not report over plain HTTP here: give the agent the https:// address of"
            " this server, or allow it with: deploy-server setting set AGENTS_OVER_HTTP 1",
        )
    if not _is_known_agent():
        _note(Activity.REFUSED_AGENT)
        return _refuse(
            400,
            "this User-Agent is not one of the agents that are served here; the setting"
            " AGENTS_ALLOWED adds more",
        )
    return None


def _is_http_allowed() -> bool:
    # A session that only reads: otherwise each contact would wait for whoever writes.
    with reading_session() as reading:
        return gate.is_http_allowed(reading)


def _is_known_agent() -> bool:
    with reading_session() as reading:
        return gate.is_known_agent(reading, _user_agent())


def _message() -> Response:
    limit = services().config.max_message_bytes
    request.max_content_length = limit + _COMPRESSION_SLACK
    try:
        data, envelope = unpack(request.get_data(cache=False), limit=limit)
        message = parse_request(data, limit=limit)
    except (RequestEntityTooLarge, TooLargeError):
        _note(Activity.REFUSED_SIZE)
        return _refuse(413, f"the message is longer than {limit} bytes, inflated")
    except WireError as error:
        _note(Activity.REFUSED_MESSAGE, str(error))
        return _refuse(400, f"the message cannot be read: {error}")
    reply = _looked(message)
    if reply is None:
        reply = _answered(message)
    if not reply:
        return _empty()
    response = Response(pack(reply, envelope), content_type=terms.CONTENT_TYPE_REPLY)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _looked(message: Request) -> bytes | None:
    """Return the reply to a message that changes nothing, None for any other."""
    with reading_session() as reading:
        quick = look(
            reading,
            message,
            now=services().now(),
            user_agent=_user_agent(),
            remote=request.remote_addr or "",
        )
    if quick is None:
        return None
    if quick.computer_id is not None:
        services().sightings.note(quick.computer_id, services().now(), _user_agent())
    return quick.xml


def _answered(message: Request) -> bytes:
    """Return the reply after its effects were committed."""

    def reply() -> bytes:
        return answer(
            db.session(),
            message,
            now=services().now(),
            user_agent=_user_agent(),
            remote=request.remote_addr or "",
        )

    return committed(reply, message.device_id)


def _empty() -> Response:
    """Return what a report is answered: 200 and nothing, not even a type."""
    response = Response(b"")
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-cache"
    return response


def _refuse(status: int, text: str) -> Response:
    line = " ".join(text.split())
    return Response(f"{line}\n", status=status, content_type="text/plain; charset=utf-8")


def _note(activity: Activity, comment: str = "") -> None:
    Caller("", request.remote_addr or "", _user_agent()).note(activity, comment)


def _user_agent() -> str:
    return request.headers.get("User-Agent", "")
