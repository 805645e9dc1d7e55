"""Agents' messages on the short way: from the gateway to web/wire.py, past Flask.

A fleet asks the same short question all day. Flask's part of the answer (contexts, routes, hooks of
the console) costs several times what the answer does.
"""

import logging
from collections.abc import Callable

from deploy_server.web.errors import told_to_machines
from deploy_server.web.gateway.answer import Answer
from deploy_server.web.gateway.environ import address_of
from deploy_server.web.gateway.exchange import Scope
from deploy_server.web.wire import PATH, Call, Reply, Wire

log = logging.getLogger(__name__)


class WireShortcut:
    """What the gateway asks before it asks Flask.

    Args:
        wire: what answers.
        threads: how many messages it looks at at the same time.
    """

    def __init__(self, wire: Wire, threads: int) -> None:
        self._wire = wire
        self.threads = threads

    def takes(self, scope: Scope, length: int) -> bool:
        """Whether a request is for here; `length` of its body, in bytes."""
        return scope["path"] == PATH and scope["method"] == "POST" and length <= self._wire.body_max

    def open(self, scope: Scope, body: bytes) -> Answer | Callable[[], Answer]:
        """Return the answer, or what is left to do for it; that may wait for others."""
        try:
            opened = self._wire.open(Call(body, _user_agent(scope), address_of(scope)))
        except Exception as error:
            # Whatever it is, one request failed and the next one must be answered.
            return _failed(error)
        if isinstance(opened, Reply):
            return _answer(opened)
        work = opened

        def finish() -> Answer:
            try:
                return _answer(work())
            except Exception as error:
                # As above.
                return _failed(error)

        return finish


def _user_agent(scope: Scope) -> str:
    return next(
        (value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), ""
    )


def _answer(reply: Reply) -> Answer:
    headers = [
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.cache_control:
        headers.append((b"cache-control", reply.cache_control.encode()))
    answer = Answer(reply.status, headers)
    answer.head = reply.body
    return answer


def _failed(error: Exception) -> Answer:
    status, text = told_to_machines(error, f"POST {PATH}")
    return _answer(Reply(status, text.encode(), "text/plain; charset=utf-8"))
