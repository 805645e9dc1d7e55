"""`deploy-server run`, from the checks before the first socket to the last worker's end."""

import contextlib
import dataclasses
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from cryptography import x509
from sqlalchemy.exc import DBAPIError

from deploy_server.config import LISTENING_KEYS, ServerConfig
from deploy_server.domain.errors import Conflict, DeployError, NotFound
from deploy_server.services import certificates
from deploy_server.services.certificates import CertificateStore
from deploy_server.serving import notices
from deploy_server.serving.listeners import listen
from deploy_server.serving.notify import tell_systemd
from deploy_server.serving.supervisor import Supervisor
from deploy_server.serving.worker import MakeApp, Port, raise_file_limit
from deploy_server.storage import schema
from deploy_server.storage.atomic import replace_file
from deploy_server.storage.database import make_engine
from deploy_server.storage.lock import FileLock
from deploy_server.storage.types import utc_text
from deploy_server.web.services import Scheme

log = logging.getLogger(__name__)

_DAY_S = 24 * 3600


def serve(
    config: ServerConfig,
    make_app: MakeApp,
    say: Callable[[str], None],
    sweep: Callable[[], None] = lambda: None,
) -> None:
    """Run the server of an initialised directory until SIGTERM or SIGINT.

    Args:
        config: of the server, options of the command line included.
        make_app: makes the application in each worker.
        say: takes the lines that people read when everything answers.
        sweep: removes what crashes left behind; called at the start and once a day.

    Raises:
        DeployError: why it cannot start; nothing of it runs then.
    """
    _check(config)
    with _only_one(config), contextlib.ExitStack() as stack:
        for left_behind in (*config.run.glob("tls-*.pem"), *config.run.glob("building-*")):
            left_behind.unlink()
        ports = _listen(config, stack)
        config = _with_ports(config, ports)
        raise_file_limit()
        # One that nobody uses: what it imports is in memory once for all workers.
        with contextlib.ExitStack() as nobodys:
            make_app("https", nobodys)
        supervisor = Supervisor(config, ports, make_app)
        watch = _CertificateWatch(config, supervisor)
        daily = _Daily([lambda: _warn(config), sweep])
        daily.run_now()

        def ready() -> None:
            _write_listening(config)
            for silent in notices.silent(ports):
                log.error("Nothing answers on %s yet", silent)
            for line in notices.addresses(config):
                say(line)
            tell_systemd("READY=1")

        def tick() -> None:
            watch.look()
            daily.look()

        supervisor.run(ready, tick)
    log.info("Stopped")


def _check(config: ServerConfig) -> None:
    engine = make_engine(config.database_url)
    try:
        schema.require_current(engine)
    finally:
        engine.dispose()
    if not config.secret_key_file.exists():
        raise NotFound(
            f"{config.secret_key_file} is missing",
            "Restore it, or the whole directory, from a backup",
        )
    _look_at_certificate(config)


def _look_at_certificate(config: ServerConfig) -> x509.Certificate:
    """The certificate that a worker would start with now.

    Raises:
        DeployError: none, or one that cannot work.
    """
    look = config.run / f"tls-{os.getpid()}.pem"
    try:
        return CertificateStore(config.certs).snapshot(look)
    finally:
        look.unlink(missing_ok=True)


@contextlib.contextmanager
def _only_one(config: ServerConfig) -> Iterator[None]:
    """The lock of the directory; children hold it too, so none of an old server is left."""
    lock = FileLock.take(config.run / "lock")
    if lock is None:
        raise Conflict(
            f"another server runs in {config.data}", "Stop it, or give this one its own --data"
        )
    with lock:
        yield


def _listen(config: ServerConfig, stack: contextlib.ExitStack) -> list[Port]:
    wanted: list[tuple[Scheme, int, str]] = [("https", config.https_port, "--https-port")]
    if {"comm", "files"} & set(config.faces):
        wanted.append(("http", config.http_port, "--http-port"))
    return [
        Port(scheme, stack.enter_context(contextlib.closing(listen(config.bind, number, option))))
        for scheme, number, option in wanted
    ]


def _with_ports(config: ServerConfig, ports: Sequence[Port]) -> ServerConfig:
    """The configuration with the ports that were taken, where 0 asked for a free one."""
    taken = {f"{port.scheme}_port": port.listener.getsockname()[1] for port in ports}
    return dataclasses.replace(config, **taken)


def _write_listening(config: ServerConfig) -> None:
    found = {name: getattr(config, name) for name in LISTENING_KEYS}
    replace_file(config.run / "listening.json", json.dumps({"pid": os.getpid(), **found}).encode())


def _warn(config: ServerConfig) -> None:
    for warning in certificates.warnings(CertificateStore(config.certs), datetime.now(UTC)):
        log.warning(warning)


class _Daily:
    """Things to do once a day; what one of them cannot do waits for the next day."""

    def __init__(self, jobs: Sequence[Callable[[], None]]) -> None:
        self._jobs = jobs
        self._due = 0.0

    def look(self) -> None:
        if time.monotonic() >= self._due:
            self.run_now()

    def run_now(self) -> None:
        self._due = time.monotonic() + _DAY_S
        for job in self._jobs:
            try:
                job()
            except (DeployError, DBAPIError, OSError) as error:
                # The parent of all workers outlives a database that is being restarted.
                log.error("Left for tomorrow: %s", error)


class _CertificateWatch:
    """Replaces the workers of HTTPS when their certificate was replaced."""

    def __init__(self, config: ServerConfig, supervisor: Supervisor) -> None:
        self._config = config
        self._supervisor = supervisor
        self._file = CertificateStore(config.certs).server_file
        self._seen = self._mark()

    def look(self) -> None:
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            described = certificates.describe(_look_at_certificate(self._config))
        except DeployError as error:
            log.error("The old certificate stays in use: %s", error)
            return
        log.info("New certificate %s, until %s", described.subject, utc_text(described.not_after))
        self._supervisor.replace("https")

    def _mark(self) -> tuple[int, ...]:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size
