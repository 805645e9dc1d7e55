"""A plain web server over a folder: what a site's mirror is. It counts, and can be told to fail."""

import functools
import http.server
import shutil
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

#: What a fault does: a status, other bytes, or whatever it likes with the handler.
Fault = int | bytes | Callable[[http.server.BaseHTTPRequestHandler], None]


class PlainWebServer:
    """Serves ``folder`` on a free port of ``host``; over TLS with a certificate and its key.

    Attributes:
        requests: the paths asked for, in order.
        posts: the path and body of each POST, in order.
        faults: what to answer instead of the file, by path.
    """

    def __init__(
        self, folder: Path, *, certificate: Path | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.posts: list[tuple[str, bytes]] = []
        self.faults: dict[str, Fault] = {}
        handler = functools.partial(_Handler, self, directory=str(folder))
        self._server = (_SixServer if ":" in host else http.server.ThreadingHTTPServer)(
            (host, 0), handler
        )
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        """host:port, as activations have it."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if isinstance(self._server, _SixServer) else f"{host!s}:{port}"

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.requests)

    def publish(self, package_folder: Path) -> str:
        """Copy a published package here, as a site's administrator would; its location."""
        shutil.copytree(package_folder, self.folder / "download" / package_folder.name)
        return f"{self.address}/download"

    def answer_post(self, path: str, body: bytes) -> bytes | None:
        """The answer to a POST; a plain web server has none."""
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _SixServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, owner: PlainWebServer, *arguments: object, directory: str) -> None:
        self.owner = owner
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.owner.requests.append(path)
        if path in self.owner.faults:
            self._fail(self.owner.faults[path])
        else:
            super().do_GET()

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.owner.posts.append((path, body))
        if path in self.owner.faults:
            self._fail(self.owner.faults[path])
        else:
            answer = self.owner.answer_post(path, body)
            self._fail(404 if answer is None else answer)

    def _fail(self, fault: Fault) -> None:
        if callable(fault):
            fault(self)
        elif isinstance(fault, int):
            self.send_error(HTTPStatus(fault))
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(fault)))
            self.end_headers()
            self.wfile.write(fault)

    def log_message(self, format: str, *values: object) -> None:
        """The requests are in the owner's list; standard error stays clean."""
