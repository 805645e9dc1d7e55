"""How fast this machine is, so that figures of two machines can be compared.

The targets were set where Flask answers nothing in 0.05 ms of CPU; `speed` says how much slower
this machine is at this moment.
"""

import hashlib
import os
import sqlite3
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from deploy_agent.wire.envelope import pack, unpack
from deploy_agent.wire.messages import parse_request
from deploy_agent.wire.replies import PrologReply
from tests.benchmarks.measure import MiB, Result

#: Milliseconds of CPU of Flask's no-op where the targets were set.
NOOP_MS = 0.05

_REFERENCE = "where the targets were set"


def speed(calls: int = 400) -> float:
    """How many times longer Flask's no-op takes than where the targets were set."""
    app = _application()
    _call(app, "/nothing")
    return 1000 * _cpu(lambda: _call(app, "/nothing"), calls) / NOOP_MS


def anchors(folder: Path, *, quick: bool) -> Iterator[Result]:
    """Arithmetic, the disk, digests; Flask with nothing to do, with messages, with a database."""
    numbers = 10**6 if quick else 10**7
    began = time.process_time()
    total = 0
    for number in range(numbers):
        total += number
    yield Result(f"machine: {numbers:,} additions", time.process_time() - began, "s CPU")
    yield Result("machine: fsync", _fsync_ms(folder, 20 if quick else 200), "ms", wall=True)
    size = 64 * MiB if quick else 1024 * MiB
    block = os.urandom(MiB)
    digest = hashlib.sha256()
    began = time.process_time()
    for _ in range(size // MiB):
        digest.update(block)
    yield Result(f"machine: sha256 of {size // MiB} MiB", time.process_time() - began, "s CPU")
    app = _application()
    message = zlib.compress(
        b"<REQUEST><DEVICEID>pc-1-2026-01-02-03-04-05</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"
    )
    calls = 200 if quick else 2000
    for name, path, reference in (
        ("does nothing", "/nothing", NOOP_MS),
        ("reads a PROLOG and replies", "/wire", 0.15),
        ("does so with one row of SQLite", "/row", 0.24),
    ):
        _call(app, path, message)
        milliseconds = 1000 * _cpu(lambda path=path: _call(app, path, message), calls)  # type: ignore[misc]
        yield Result(f"machine: Flask {name}", milliseconds, "ms CPU", reference, _REFERENCE)


def _fsync_ms(folder: Path, count: int) -> float:
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(count):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken)


def _cpu(call: Callable[[], object], calls: int) -> float:
    """Seconds of CPU of one call, the median of eight batches."""
    batches = []
    for _ in range(8):
        began = time.process_time()
        for _ in range(max(1, calls // 8)):
            call()
        batches.append((time.process_time() - began) / max(1, calls // 8))
    return statistics.median(batches)


def _application() -> Flask:
    app = Flask(__name__)
    rows = sqlite3.connect(":memory:")
    rows.execute("CREATE TABLE computer (device_id TEXT PRIMARY KEY, seen TEXT)")
    rows.execute("INSERT INTO computer VALUES ('pc-1-2026-01-02-03-04-05', '')")

    def answered() -> Response:
        data, envelope = unpack(request.get_data(), limit=MiB)
        told = parse_request(data, limit=MiB)
        if request.path == "/row":
            question = "SELECT seen FROM computer WHERE device_id = ?"
            assert rows.execute(question, (told.device_id,)).fetchone()
        reply = PrologReply(send_inventory=False).to_bytes()
        return Response(pack(reply, envelope), content_type="application/x-compressed")

    app.add_url_rule("/nothing", "nothing", lambda: "", methods=["POST"])
    app.add_url_rule("/wire", "wire", answered, methods=["POST"])
    app.add_url_rule("/row", "row", answered, methods=["POST"])
    return app


def _call(app: Flask, path: str, body: bytes = b"") -> None:
    statuses: list[str] = []

    def start(status: str, _headers: Any, _error: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return statuses.append  # type: ignore[return-value] # nobody writes that way

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    answer = app(environ, start)
    b"".join(answer)
    assert statuses == ["200 OK"], statuses
    close = getattr(answer, "close", None)
    if close is not None:
        close()
