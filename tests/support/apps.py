"""The Flask application on a fresh database, without sockets: for the wire and for every face."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from deploy_server.config import ServerConfig
from deploy_server.web.app import Application, create_app
from deploy_server.web.database import db
from tests.support.clock import FakeClock

OCS = "OCS-NG_unified_unix_agent_v2.10.0"
OURS = "OCS-NG_unified_unix_agent_v2.0 Tranche/0.1.0"


@dataclass
class Site:
    """An application with its database and its clock."""

    app: Application
    config: ServerConfig
    clock: FakeClock
    sessions: Callable[[], Session]

    @property
    def client(self) -> FlaskClient:
        """A client without cookies of earlier ones."""
        return self.app.test_client()

    def post(
        self, body: bytes, user_agent: str = OCS, client: FlaskClient | None = None
    ) -> TestResponse:
        """Send a message as an agent would."""
        return (client or self.client).post(
            "/ocsinventory",
            data=body,
            headers={"User-Agent": user_agent, "Content-Type": "application/x-compress"},
        )


@contextmanager
def make_site(folder: Path, database_url: str, sessions: Callable[[], Session]) -> Iterator[Site]:
    """An application that answers as the HTTPS process does."""
    config = ServerConfig(data=folder, hosts=("localhost",), database_url=database_url)
    for place in (config.download, config.staging, config.uploads, config.run):
        place.mkdir(parents=True, exist_ok=True)
    config.secret_key_file.write_text("not a secret: only this test knows it\n" * 2)
    clock = FakeClock()
    site = Site(create_app(config, clock=clock), config, clock, sessions)
    try:
        yield site
    finally:
        with site.app.app_context():
            db.engine.dispose()
