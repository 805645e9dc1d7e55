"""Making a data directory: folders, certificates, database, the first user, and last its file.

``server.toml`` is written last. A directory without it is not initialised, so whatever an attempt
left behind is used or made again by the next one.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from deploy_server.config import ServerConfig, render
from deploy_server.domain.errors import Conflict, NotFound
from deploy_server.services import accounts, certificates, settings
from deploy_server.services.certificates import profile
from deploy_server.storage import schema
from deploy_server.storage.atomic import replace_file
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.lock import FileLock

#: What may lie in a directory that becomes a data directory.
_KNOWN = {
    *("server.toml", "tranche.db", "tranche.db-wal", "tranche.db-shm", "secret_key"),
    *("certs", "download", "staging", "uploads", "run", "lost+found", ".restore"),
}


@dataclass(frozen=True)
class FirstUser:
    """Who may log in first.

    Attributes:
        name: of a superadmin.
        password: at least `accounts.PASSWORD_MIN` characters.
    """

    name: str
    password: str


def initialise(
    config: ServerConfig,
    user: FirstUser,
    *,
    agents_over_http: bool,
    now: datetime,
    actor: str,
) -> None:
    """Make everything a server needs in ``config.data``.

    Raises:
        Conflict: it is initialised already, holds something else, or somebody else is at it;
            nothing was changed.
        SpecError: a host, the user's name or password; nothing was changed.
        StorageError: disk or database refuse; the next attempt goes on from there.
    """
    _check_directory(config.data)
    profile.server_names(config.hosts)
    accounts.check_new(user.name, user.password)
    with storage_errors(f"{config.data} cannot be made"):
        config.data.mkdir(parents=True, exist_ok=True)
        config.data.chmod(0o700)
        for folder in (config.certs, config.staging, config.uploads, config.run):
            folder.mkdir(mode=0o700, exist_ok=True)
        # A web server beside this one may serve packages; nothing in them is private.
        config.download.mkdir(mode=0o755, exist_ok=True)
    with _alone(config):
        _check_directory(config.data)
        certificates.create_own(certificates.CertificateStore(config.certs), config.hosts, now)
        if not config.secret_key_file.exists():
            replace_file(config.secret_key_file, secrets.token_hex(32).encode())
        _fill_database(config, user, agents_over_http=agents_over_http, now=now, actor=actor)
        replace_file(config.file, render(config).encode())


def _check_directory(data: Path) -> None:
    if not data.exists():
        return
    if (data / "server.toml").exists():
        raise Conflict(
            f"{data} is initialised already", "Run: deploy-server run, or choose another --data"
        )
    with storage_errors(f"{data} cannot be used"):
        foreign = sorted(path.name for path in data.iterdir() if path.name not in _KNOWN)
    if foreign:
        raise Conflict(
            f"{data} holds other files ({', '.join(foreign[:3])})", "Choose an empty directory"
        )


@contextmanager
def _alone(config: ServerConfig) -> Iterator[None]:
    lock = FileLock.take(config.run / "lock")
    if lock is None:
        raise Conflict(f"somebody else is at work in {config.data}", "Wait until they are done")
    with lock:
        yield


def _fill_database(
    config: ServerConfig, user: FirstUser, *, agents_over_http: bool, now: datetime, actor: str
) -> None:
    engine = make_engine(config.database_url)
    try:
        if engine.url.get_backend_name() == "sqlite" and engine.url.database:
            # SQLite would make it readable for everybody.
            Path(engine.url.database).touch(mode=0o600, exist_ok=True)
        schema.upgrade(engine)
        with session_factory(engine).begin() as session:
            _put_user(session, user, now)
            if agents_over_http:
                settings.set_setting(session, "agents_over_http", "1", actor=actor, now=now)
    finally:
        engine.dispose()


def _put_user(session: Session, user: FirstUser, now: datetime) -> None:
    """The user with this password, also where an earlier attempt or server made one."""
    try:
        accounts.set_password(session, user.name, user.password, now=now)
        accounts.enable_user(session, user.name, now=now)
        accounts.change_user(session, user.name, role="superadmin", tags=[], now=now)
    except NotFound:
        accounts.add_user(session, user.name, user.password, "superadmin", now=now)
