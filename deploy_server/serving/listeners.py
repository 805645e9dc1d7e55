"""The sockets that workers share: who waits in their queue loses nothing when a worker goes."""

import errno
import socket

from deploy_server.domain.errors import Conflict

#: Connections that may wait for a worker.
BACKLOG = 1024


def listen(address: str, port: int, option: str) -> socket.socket:
    """A listening socket; every address, IPv4 and IPv6, where `address` is empty.

    Args:
        address: of this machine; empty for all of them.
        port: 0 takes a free one.
        option: of `deploy-server run`, that chooses the port; for the message.

    Raises:
        Conflict: address or port cannot be had; the message names them.
    """
    try:
        listener = _bind_all(port) if not address else _bind(address, port)
        listener.listen(BACKLOG)
    except OSError as error:
        raise _refusal(error, address, port, option) from error
    listener.setblocking(False)
    return listener


def _bind_all(port: int) -> socket.socket:
    try:
        return _bind("::", port)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return _bind("0.0.0.0", port)  # noqa: S104 - all addresses, on a machine without IPv6


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    try:
        # A port that was ours a moment ago is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A client that vanished is noticed in the end, also while we wait for it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if family == socket.AF_INET6:
            only_v6 = 0 if address == "::" else 1
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def _refusal(error: OSError, address: str, port: int, option: str) -> Conflict:
    where = f"port {port} of {address or 'this machine'}"
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            f"{where} is taken by another program",
            f"Stop it (ss -ltnp shows which), or choose another port: {option}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Conflict(
            f"{where} is not for this user: {error.strerror}",
            f"Take one from 1024 on: {option}",
        )
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return Conflict(f"{address} is no address of this machine", "Correct --bind")
    return Conflict(
        f"{where} cannot be listened on: {error.strerror}", f"Correct --bind or {option}"
    )
