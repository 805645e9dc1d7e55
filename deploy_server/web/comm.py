"""POST /ocsinventory for whoever asks through Flask; what is answered is web/wire.py's."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from deploy_server.web.observing import KIND
from deploy_server.web.services import services
from deploy_server.web.wire import PATH, Call, Reply, not_posted

blueprint = Blueprint("comm", __name__)

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


@blueprint.route(PATH, methods=_METHODS, strict_slashes=False, provide_automatic_options=False)
def ocsinventory() -> Response:
    """Answer one message of an agent."""
    if request.method != "POST":
        refusal = _response(not_posted())
        refusal.headers["Allow"] = "POST"
        return refusal
    wire = services().wire
    request.max_content_length = wire.body_max
    try:
        opened = wire.open(_call(request.get_data(cache=False)))
    except RequestEntityTooLarge:
        return _response(wire.too_large(_call(b"")))
    return _response(opened if isinstance(opened, Reply) else opened())


def _call(body: bytes) -> Call:
    return Call(body, request.headers.get("User-Agent", ""), request.remote_addr or "")


def _response(reply: Reply) -> Response:
    request.environ[KIND] = reply.kind
    response = Response(reply.body, status=reply.status)
    del response.headers["Content-Type"]
    if reply.content_type:
        response.headers["Content-Type"] = reply.content_type
    if reply.cache_control:
        response.headers["Cache-Control"] = reply.cache_control
    return response
