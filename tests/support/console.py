"""A person in front of the console: logs in, follows pages, sends forms with their token."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from deploy_server.config import ServerConfig
from deploy_server.services.certificates import create_own
from deploy_server.services.certificates.store import CertificateStore
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import User
from deploy_server.storage.types import fold
from deploy_server.web.app import create_app
from deploy_server.web.database import db
from deploy_server.web.replica import replica_of
from tests.support.clock import FakeClock


class _Memory(BytecodeCache):
    """Compiled templates of this process."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._known:
            bucket.bytecode_from_string(self._known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


BASE = "https://localhost"
PASSWORD = "correct horse battery staple"

#: Of `PASSWORD`, by parameters that cost nothing: a tenth of a second in every test adds up.
_CHEAP_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)

#: Templates are compiled once in a run and not for every application.
_TEMPLATES = _Memory()

_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')


def words(page: str) -> str:
    """What a page says, without its elements."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


@dataclass
class Browser:
    """One browser's cookies, and how it sends forms."""

    client: FlaskClient
    token: str = ""

    def get(self, path: str, **options: Any) -> TestResponse:
        """Open a page."""
        response = self.client.get(path, base_url=BASE, **options)
        found = _TOKEN.search(response.text) if response.mimetype == "text/html" else None
        if found:
            self.token = found.group(1)
        return response

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, fetch: bool = False, **options: Any
    ) -> TestResponse:
        """Send a form as a page of the console would."""
        if not self.token:
            self.get("/account")
        headers = {"Referer": f"{BASE}/", **options.pop("headers", {})}
        if fetch:
            headers["X-Requested-With"] = "fetch"
        sent = {"csrf_token": self.token, **(data or {})}
        return self.client.post(path, base_url=BASE, data=sent, headers=headers, **options)

    def log_in(self, name: str, password: str = PASSWORD, **more: str) -> TestResponse:
        """Send the login form."""
        self.get("/login")
        answer = self.post("/login", {"name": name, "password": password, **more})
        self.token = ""
        return answer


@dataclass
class Console:
    """The application with its database and clock.

    Attributes:
        app: all of it.
        config: where its files lie.
        clock: stands still.
        sessions: makes sessions of the test's own.
    """

    app: Flask
    config: ServerConfig
    clock: FakeClock
    sessions: Callable[[], Session]
    _known: dict[str, Browser] = field(default_factory=dict)

    def browser(self) -> Browser:
        """A browser that nobody is logged in with."""
        return Browser(self.app.test_client())

    def add_user(self, name: str, role: str = "admin", *tags: str) -> None:
        """Let somebody log in with `PASSWORD`."""
        with self.session() as session:
            session.add(
                User(
                    name=name,
                    name_key=fold(name),
                    password_hash=_CHEAP_HASH,
                    role=role,
                    tags=list(tags),
                    created_at=self.clock(),
                )
            )

    def user(self, role: str, *tags: str) -> Browser:
        """A browser in which a person with this role and these tags is logged in."""
        name = "-".join((role, *tags))
        if name not in self._known:
            self.add_user(name, role, *tags)
            self._known[name] = self.browser()
            assert self._known[name].log_in(name).status_code == 302
        return self._known[name]

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that commits what the test puts in."""
        with self.sessions() as session:
            yield session
            session.commit()


@contextmanager
def running_console(folder: Path, database_url: str, **keys: Any) -> Iterator[Console]:
    """A console on a migrated database; its connections are closed afterwards."""
    hosts = ("deploy.example.org",)
    config = ServerConfig(data=folder, hosts=hosts, database_url=database_url, **keys)
    for place in (config.download, config.staging, config.uploads, config.run):
        place.mkdir(parents=True, exist_ok=True)
    config.secret_key_file.write_text("not a secret: only this test knows it\n" * 2)
    clock = FakeClock()
    create_own(CertificateStore(config.certs), ["deploy.example.org"], clock())
    engine = make_engine(database_url)
    app = create_app(config, faces=("admin",), clock=clock)
    app.testing = True
    app.jinja_env.bytecode_cache = _TEMPLATES
    try:
        yield Console(app, config, clock, session_factory(engine))
    finally:
        engine.dispose()
        if replica := replica_of(app):
            replica.close()
        with app.app_context():
            db.engine.dispose()
