"""What `deploy-server run` tells people: where to go, and what will not last."""

import socket
import ssl
from collections.abc import Sequence

from deploy_server.config import ServerConfig
from deploy_server.serving.worker import Port

_PROBE_S = 10


def addresses(config: ServerConfig) -> list[str]:
    """Where people and agents find what, one line each."""
    host = f"[{config.hosts[0]}]" if ":" in config.hosts[0] else config.hosts[0]
    https, http = f"https://{host}:{config.https_port}", f"http://{host}:{config.http_port}"
    lines = []
    if "admin" in config.faces:
        lines.append(f"Console: {https}/")
    if "comm" in config.faces:
        lines.append(f"Agents: {https}/ocsinventory")
    if "files" in config.faces:
        lines.append(f"Info files: {https}/download, fragments: {http}/download")
    return [*lines, f"CA for the agents: {config.certs / 'cacert.pem'}"]


def silent(ports: Sequence[Port]) -> list[str]:
    """The ports that do not answer although their workers say they do."""
    return [port.scheme.upper() for port in ports if not _answers(port)]


def _answers(port: Port) -> bool:
    address, number = port.listener.getsockname()[:2]
    local = {"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(address, address)  # noqa: S104
    try:
        with socket.create_connection((local, number), _PROBE_S) as plain:
            stream: socket.socket = plain
            if port.scheme == "https":
                stream = _any_certificate().wrap_socket(plain)
            stream.sendall(
                b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            return stream.recv(5) == b"HTTP/"
    except OSError:
        return False


def _any_certificate() -> ssl.SSLContext:
    """Whether it answers is the question, not who it is: it is our own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
