"""One worker: a process that answers one port until it is told to stop, or its parent is gone."""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from deploy_server.config import ServerConfig
from deploy_server.services.certificates import CertificateStore
from deploy_server.serving.listeners import BACKLOG
from deploy_server.web.gateway import Gateway
from deploy_server.web.services import Scheme

#: How long a client may take for its headers, in milliseconds.
_HEADERS_MS = 15_000

#: How long a replaced worker goes on with the connections it has, in seconds: each has then sent
#: its request, or was closed because it did not.
RETIRE_S = _HEADERS_MS / 1000 + 1

#: Connections that one worker holds at the same time.
_CONNECTIONS = 4096

_M_ARENA_MAX = -8  # malloc.h
_PR_SET_PDEATHSIG = 1

#: Makes the application that answers a scheme; called in each worker, which closes the stack when
#: it has answered its last request.
MakeApp = Callable[[Scheme, contextlib.ExitStack], WSGIApplication]


@dataclass(frozen=True)
class Port:
    """What a worker answers.

    Attributes:
        scheme: with TLS or without.
        listener: shared by all workers of this port.
    """

    scheme: Scheme
    listener: socket.socket


class _OnSocket(Server):
    """granian on a socket that is open already.

    By itself it opens one for each worker, and who waits in a worker's own queue is lost with it.
    """

    def __init__(self, listener: socket.socket, target: Any, **options: Any) -> None:
        super().__init__(target, **options)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # granian's types say that these are always None.
        descriptor = self._listener.fileno()
        self._ssp = None
        self._sfd = descriptor  # type: ignore[assignment]
        self._shd = SocketHolder(descriptor, False, BACKLOG)  # type: ignore[call-arg,assignment]


def run_worker(
    port: Port, config: ServerConfig, make_app: MakeApp, parent: int, ready: Callable[[], None]
) -> None:
    """Answer requests until SIGTERM, then those that are under way; SIGUSR1 makes it retire first.

    Args:
        port: what to answer.
        config: of the server, with the ports in use.
        make_app: makes the application.
        parent: the process id of whoever started this one; it dies with it.
        ready: called when requests are answered.
    """
    share_heaps()
    die_with(parent)
    # Ctrl-C in a terminal reaches everybody; the parent says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        app = make_app(port.scheme, stack)
        gateway = Gateway(
            app,
            threads=config.threads,
            spool_bytes=config.max_message_bytes,
            spool_folder=config.uploads,
            access_log=config.access_log,
            # Only the server's own application has any.
            shortcuts=getattr(app, "shortcuts", ()),
            rest=give_memory_back,
            refused=getattr(app, "refused", None),
        )
        stack.callback(gateway.close)
        pem = _certificate(config, stack) if port.scheme == "https" else None
        asyncio.run(_serve(port, gateway, pem, ready))


def share_heaps() -> None:
    """Let all threads take memory from two heaps.

    glibc gives each thread one of its own, and each keeps what the largest message once took.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library has no such heaps
        mallopt(_M_ARENA_MAX, 2)


def give_memory_back() -> None:
    """Give the kernel what is free in the heaps; glibc keeps it for a next message as large."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def die_with(parent: int) -> None:
    """Make the kernel end this process when its parent is gone, however that ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _certificate(config: ServerConfig, stack: contextlib.ExitStack) -> Path:
    """The certificate as it is now, in a file that nobody replaces; it goes with the worker."""
    snapshot = config.run / f"tls-{os.getpid()}.pem"
    CertificateStore(config.certs).snapshot(snapshot)
    stack.callback(snapshot.unlink, missing_ok=True)
    return snapshot


async def _serve(port: Port, gateway: Gateway, pem: Path | None, ready: Callable[[], None]) -> None:
    server = _OnSocket(
        port.listener,
        gateway,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADERS_MS),
        websockets=False,
        backpressure=_CONNECTIONS,
        ssl_cert=pem,
        ssl_key=pem,
        # Agents on old systems speak nothing newer.
        ssl_protocol_min=SSLProtocols.tls12,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.stop)

    def retire() -> None:
        _stop_accepting(port.listener)
        gateway.retire()
        loop.call_later(RETIRE_S, server.stop)

    loop.add_signal_handler(signal.SIGUSR1, retire)
    serving = asyncio.ensure_future(server.serve())
    while not server.wrks and not serving.done():
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # the turn in which granian begins to accept
    if not serving.done():
        ready()
    await serving


def _stop_accepting(listener: socket.socket) -> None:
    """Take no more connections, while other workers go on taking them from the same socket.

    granian can only stop as a whole, and cuts who is in mid-handshake then. So its listening
    socket becomes one that nobody connects to.
    """
    with socket.socket(socket.AF_UNIX) as nobodys:
        nobodys.setblocking(False)
        nobodys.bind("")
        nobodys.listen(1)
        os.dup2(nobodys.fileno(), listener.fileno())


def raise_file_limit() -> None:
    """Let this process and its children open as many files and connections as they may."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
