"""Debian's nginx over a folder, over HTTP and HTTPS, as somebody would put it before our files."""

import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_ports
from tests.support.processes import program, stop
from tests.support.waiting import wait_until

_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    etag off;
    if_modified_since off;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_protocols TLSv1.2 TLSv1.3;
        root {root};
        location = /nothing {{ return 200; }}
    }}
}}
"""


class Nginx:
    """nginx with one worker, serving ``root`` on two free ports of 127.0.0.1."""

    def __init__(self, folder: Path, root: Path, certificate: Path) -> None:
        self.program = program("nginx")
        self.http_port, self.https_port = free_ports(2)
        self.configuration = folder / "nginx.conf"
        self.configuration.write_text(
            _CONFIGURATION.format(
                # Its worker must read what only the tests' user may read.
                user="user root;" if os.geteuid() == 0 else "",
                folder=folder,
                http=self.http_port,
                https=self.https_port,
                certificate=certificate,
                root=root,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = folder / "error.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._errors.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.https_port)) == 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [self.program, "-c", str(self.configuration), "-e", str(self._errors)],
            stdin=subprocess.DEVNULL,
        )
        wait_until(self._listens, "nginx listens")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            stop(self._process)
