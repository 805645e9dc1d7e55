"""A real ``deploy-server`` in a folder of its own: init, run on free ports, stop by pid."""

import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError

from tests.support.cli import Cli, Outcome
from tests.support.ports import free_ports
from tests.support.processes import BIN, kill_tree, stop
from tests.support.waiting import wait_until

ADMIN = "admin"
PASSWORD = "correct horse battery staple"


class CommandFailed(AssertionError):
    """A command of the product ended with another status than 0."""


def run_program(
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    stdin: str | None = None,
    seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run one of the product's programs to its end."""
    program, *rest = arguments
    return subprocess.run(
        [str(BIN / program), *map(str, rest)],
        capture_output=True,
        text=True,
        input=stdin or "",
        env={**os.environ, **(environ or {})},
        timeout=seconds,
        check=False,
    )


class RunningServer:
    """``deploy-server`` from init to stop, with one worker for each port.

    Attributes:
        data: the data directory.
        log: what the running server printed.
    """

    def __init__(self, folder: Path, *init_options: str, **environ: str) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.environ = {"DEPLOY_SERVER_DATA": str(self.data), **environ}
        self.http_port, self.https_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        hosts = ["--host", "localhost", "--host", "127.0.0.1"]
        self.cli("init", *hosts, "--password-file", "-", *init_options, stdin=PASSWORD)

    # Addresses

    @property
    def ca_file(self) -> Path:
        return self.data / "certs" / "cacert.pem"

    @property
    def certificate(self) -> Path:
        """The server's certificate, its chain and its key, in one file."""
        return self.data / "certs" / "server.pem"

    @property
    def https(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def http(self) -> str:
        return f"http://localhost:{self.http_port}"

    @property
    def agent_url(self) -> str:
        return f"{self.https}/ocsinventory"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    # Its life

    def start(self, *options: str) -> None:
        """Run it; returns when it has printed that it is ready and answers over HTTPS."""
        where = ["--bind", "127.0.0.1", "--workers", "1"]
        where += ["--http-port", str(self.http_port), "--https-port", str(self.https_port)]
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self._process = subprocess.Popen(
                [BIN / "deploy-server", "run", *where, *options],
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._is_ready, f"the server is ready; its log:\n{self.log}", seconds=60)
        except AssertionError as error:
            kill_tree(self._process)
            raise AssertionError(f"{error}\n{self.log.read_text()}") from error

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"ended with {self._process.returncode}")
        if "Console: " not in self.log.read_text()[self._log_begin :]:
            return False
        try:
            return self.get("/healthz").status == 200
        except (URLError, ConnectionError):
            return False

    def stop(self) -> None:
        """End it as systemd would; it must end with status 0."""
        if self._process is not None:
            status = stop(self._process)
            self._process = None
            assert status == 0, f"the server ended with {status}\n{self.log.read_text()}"

    def kill(self) -> None:
        """End it and all its processes at once, as a power cut would."""
        assert self._process is not None
        kill_tree(self._process)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # Talking to it

    def try_cli(self, *arguments: str | Path, stdin: str = "") -> Outcome:
        """One command of ``deploy-server`` on this data directory, whatever comes of it.

        It runs in this process: on a busy machine the start of another one takes seconds, and a
        scenario has dozens of commands.
        """
        return Cli(self.data, self.environ)(*arguments, stdin=stdin)

    def cli(self, *arguments: str | Path, stdin: str = "") -> str:
        """The standard output of a command that must succeed, without the end."""
        done = self.try_cli(*arguments, stdin=stdin)
        if done.status != 0:
            line = " ".join(map(str, arguments))
            raise CommandFailed(f"deploy-server {line}: {done.status}\n{done.err}")
        return done.out.strip()

    def json(self, *arguments: str | Path) -> Any:
        """The same with --json, read."""
        return json.loads(self.cli(*arguments, "--json"))

    def get(self, path: str) -> Any:
        """GET a path over HTTPS, trusting this server's CA only."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return urllib.request.urlopen(self.https + path, timeout=10, context=context)

    # The main job in words

    def set(self, **settings: object) -> None:
        """Set global settings, e.g. ``set(DOWNLOAD_FRAG_LATENCY=0)``."""
        for name, value in settings.items():
            self.cli("setting", "set", name, str(value))

    def without_latencies(self) -> Self:
        """Set every latency to 0, so that an agent is as fast as it can be."""
        self.set(DOWNLOAD_FRAG_LATENCY=0, DOWNLOAD_CYCLE_LATENCY=0, DOWNLOAD_PERIOD_LATENCY=0)
        return self

    def publish(self, name: str, *options: str | Path, activate: tuple[str, ...] = ()) -> str:
        """Build a package for Linux and activate it here; its id."""
        package_id = str(self.json("package", "build", name, "--os", "linux", *options)["id"])
        protocol = "https" if "https" in options else "http"
        self.json("package", "activate", package_id, *(activate or self.locations(protocol)))
        return package_id

    def locations(self, protocol: str = "http") -> tuple[str, ...]:
        """Where this server's own packages are, as options of ``package activate``."""
        port = {"http": self.http_port, "https": self.https_port}[protocol]
        info = f"localhost:{self.https_port}/download"
        return ("--info-url", info, "--fragment-url", f"localhost:{port}/download")

    def assign(self, package_id: str, device_id: str, *options: str) -> Any:
        """Assign to one computer; what the command answered. Nothing may be skipped."""
        answer = self.json("assign", package_id, "--computer", device_id, *options)
        assert answer["skipped"] == [], answer
        assert answer["assigned"] == 1, answer
        return answer

    def status(self, package_id: str, device_id: str) -> str:
        """The status of a package on a computer as ``computer show`` has it."""
        shown = self.json("computer", "show", device_id)
        found = [each["status"] for each in shown["deployments"] if each["package"] == package_id]
        assert len(found) == 1, shown
        return str(found[0])

    def package_folder(self, package_id: str) -> Path:
        return self.data / "download" / package_id
