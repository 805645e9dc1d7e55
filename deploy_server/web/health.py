"""/healthz says that a process lives, /readyz whether it can do its work.

Something that is not ready is not restarted but left alone for a while: what it lacks, a database
or a disk, no restart brings back. Without its replica it does all of its work, so that is said and
no more. Strangers may ask, so the answers name parts and no places; the
log has the rest.
"""

import logging
import tempfile
from collections.abc import Callable

from flask import Flask, Response, current_app, request
from sqlalchemy.exc import DBAPIError

from deploy_server.config import FACES
from deploy_server.domain.errors import BadMessage, DeployError, NotFound
from deploy_server.storage import schema
from deploy_server.web.database import db
from deploy_server.web.replica import replica_of
from deploy_server.web.services import services

log = logging.getLogger(__name__)

Check = Callable[[], None]


def init_health(app: Flask) -> None:
    """Add both addresses."""
    app.add_url_rule("/healthz", "healthz", alive)
    app.add_url_rule("/readyz", "readyz", ready)


def alive() -> Response:
    """Answer, which is all that is asked."""
    return _text("ok\n", 200)


def ready() -> Response:
    """Check what the faces of this process need; `?face=comm` asks for one of them.

    Raises:
        BadMessage, NotFound: there is no such face, or not here.
    """
    wanted = services().faces
    if face := request.args.get("face"):
        if face not in FACES:
            raise BadMessage("there is no such face", f"The faces are {', '.join(FACES)}")
        if face not in wanted:
            raise NotFound("another process has this face", "Ask that one")
        wanted = frozenset({face})
    lines, status = [], 200
    for name, (check, faces) in _CHECKS.items():
        if not faces & wanted:
            continue
        trouble = _trouble(check)
        if trouble:
            status = 503
            log.warning("not ready, %s: %s", name, trouble)
        lines.append(f"{name}: {'not ready' if trouble else 'ok'}\n")
    if "admin" in wanted:
        lines += _replica_line()
    return _text("".join(lines), status)


def _replica_line() -> list[str]:
    replica = replica_of(current_app)
    if replica is None:
        return []
    return ["replica: degraded\n" if replica.state().trouble else "replica: ok\n"]


def _trouble(check: Check) -> str:
    try:
        check()
    except (DeployError, DBAPIError, OSError) as error:
        return str(error)
    return ""


def _database() -> None:
    schema.require_current(db.engine)


def _packages() -> None:
    services().store.check()


def _storage() -> None:
    """Whether something can be written where uploads and packages are prepared here."""
    for folder in (services().config.uploads, services().config.staging):
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"ready?")


#: What is checked, and which faces need it.
_CHECKS: dict[str, tuple[Check, frozenset[str]]] = {
    "database": (_database, frozenset({"comm", "admin"})),
    "packages": (_packages, frozenset({"files", "admin"})),
    "storage": (_storage, frozenset({"admin"})),
}


def _text(text: str, status: int) -> Response:
    response = Response(text, status, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-store"
    return response
