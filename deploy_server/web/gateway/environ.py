"""What WSGI wants to know of a request, from what ASGI says of it."""

import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from deploy_server.web.gateway.answer import SentFile
from deploy_server.web.gateway.body import Body

#: Headers that a client must not set: one that would become a program's proxy (httpoxy), and one
#: that is no longer true, because the body has its length by now.
_DROPPED = (b"proxy", b"transfer-encoding")

_WITHOUT_PREFIX = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def make_environ(scope: Any, body: Body) -> dict[str, Any]:
    """The WSGI environment of a request; nothing of the process's own environment is in it."""
    server = scope.get("server") or ("localhost", 0)
    client = scope.get("client") or ("", 0)
    path = unquote_to_bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": address_of(scope),
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body.stream,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": SentFile,
    }
    _add_headers(environ, scope["headers"])
    if body.length is not None:
        environ["CONTENT_LENGTH"] = str(body.length)
    return environ


def _add_headers(environ: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        # A_B and A-B would become the same variable, so the first is nobody's header.
        if name in _DROPPED or b"_" in name:
            continue
        key = (
            _WITHOUT_PREFIX.get(name) or f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        )
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if name == b'cookie' else ','}{text}"
        environ[key] = text


def address_of(scope: Any) -> str:
    """Who asks; an IPv4 address as such, also where it came through a socket of both families."""
    address: str = (scope.get("client") or ("",))[0]
    return address.removeprefix("::ffff:") if "." in address else address
