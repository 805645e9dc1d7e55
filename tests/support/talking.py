"""What the agent's transport talks to: servers with a certificate of ours that answer as told."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from deploy_agent.machine.transport import Access, HttpTransport
from tests.support.certificates import Issued
from tests.support.clock import FakeClock
from tests.support.webfolder import PlainWebServer

LOCAL = ("127.0.0.1", "localhost")
Handler = BaseHTTPRequestHandler


def serving(tmp_path: Path, certificate: Issued, *chain: Issued) -> Iterator[PlainWebServer]:
    folder = tmp_path / "https"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    with PlainWebServer(folder, certificate=certificate.save(tmp_path / "s.pem", *chain)) as server:
        yield server


def client(server: str, ca_file: Path, **access: object) -> HttpTransport:
    return HttpTransport(Access(server, ca_file, **access), FakeClock())  # type: ignore[arg-type]


def answers(
    code: int,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer
