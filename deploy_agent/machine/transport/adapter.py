"""How requests gets its connections: watched, and over TLS pinned."""

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from deploy_agent.machine.tls import PinnedContext
from deploy_agent.machine.transport.watch import Limits, pool_classes

# A computer that slept, or moved to another network, has connections that only it believes in.
# The kernel gives them up after these times instead of after a quarter of an hour.
_UNHEARD_MS = 20_000  # sent, and nobody says that it arrived
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


class WatchedAdapter(HTTPAdapter):
    """Connections that keep to limits."""

    def __init__(self, limits: Limits, **pool: Any) -> None:
        self._pool: dict[str, Any] = {"socket_options": _socket_options(), **pool}
        self._classes = pool_classes(limits)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **{**kwargs, **self._pool})
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through `proxy`."""
        manager = super().proxy_manager_for(proxy, **kwargs, **self._pool)
        manager.pool_classes_by_scheme = self._classes
        return manager


class PinnedAdapter(WatchedAdapter):
    """Uses one context for every connection, whatever requests thinks about CA bundles."""

    def __init__(self, limits: Limits, context: PinnedContext) -> None:
        super().__init__(limits, ssl_context=context, assert_hostname=False)

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """Leave trust to the context."""
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = conn.ca_cert_dir = None


def _socket_options() -> list[tuple[int, int, int]]:
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    named = {**_KEEPALIVE, "TCP_USER_TIMEOUT": _UNHEARD_MS}
    for name, value in named.items():
        if hasattr(socket, name):  # each system has some of them
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
