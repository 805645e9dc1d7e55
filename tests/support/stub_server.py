"""A server with a tiny application, to test what runs it: ``python -m tests.support.stub_server``.

Arguments: the data directory, the number of workers.
"""

import dataclasses
import logging
import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from flask import Flask, Response, request, send_file

from deploy_server.config import load
from deploy_server.serving import worker
from deploy_server.serving.run import serve


def make_app(scheme: str, stopping: ExitStack) -> Flask:
    app = Flask("stub")
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    release = threading.Event()

    @app.get("/pid")
    def pid() -> str:
        return f"{os.getpid()} {scheme}"

    @app.put("/upload")
    def upload() -> str:
        request.max_content_length = 10**12
        size = 0
        while piece := request.stream.read(1024 * 1024):
            size += len(piece)
        return f"{size} {os.getpid()}"

    @app.post("/form")
    def form() -> str:
        return str(len(request.get_data()))

    @app.get("/file")
    def file() -> Response:
        return send_file(Path(os.environ["STUB_FILE"]), max_age=0)

    @app.get("/long")
    def long() -> str:
        release.wait(float(request.args["seconds"]))
        return "done"

    return app


if __name__ == "__main__":
    worker.RETIRE_S = 3  # new connections need less; tests have no time for more
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = dataclasses.replace(
        load(Path(sys.argv[1])),
        bind="127.0.0.1",
        http_port=0,
        https_port=0,
        workers=int(sys.argv[2]),
    )
    serve(config, make_app, print)
