"""What every view needs besides the database: configuration, package files, the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from flask import current_app

from deploy_server.config import ServerConfig
from deploy_server.storage.fragments import FragmentStore
from deploy_server.web.wire import Wire

Scheme = Literal["http", "https"]


@dataclass(frozen=True)
class Services:
    """The parts of the server that a request works with.

    Attributes:
        config: the server's configuration.
        store: the bytes of packages.
        clock: tells the time; aware, UTC.
        scheme: whether this process answers HTTPS, or plain HTTP for fragments.
        faces: the parts it answers with.
        wire: what answers agents.
    """

    config: ServerConfig
    store: FragmentStore
    clock: Callable[[], datetime]
    scheme: Scheme
    faces: frozenset[str]
    wire: Wire

    def now(self) -> datetime:
        """The time, as the database keeps it: whole seconds."""
        return self.clock().replace(microsecond=0)


def system_clock() -> datetime:
    """The time of this machine, UTC."""
    return datetime.now(UTC)


def services() -> Services:
    """The services of the application that handles this request."""
    return cast(Services, current_app.extensions["tranche"])
