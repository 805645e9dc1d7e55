"""The models behind Flask: one session per request, on the engine that the rest of the server uses.

A request that only reads waits for no writer, and may be given a replica to read from
(web/replica). A request that changes something is committed when
it was answered without an error, so that a page never says "done" about what was not kept.
"""

from typing import Any

from flask import Flask, Response, g, has_request_context, request
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from deploy_server.config import ServerConfig
from deploy_server.storage.database import READ_ONLY, make_engine
from deploy_server.storage.hidden import leave_out
from deploy_server.storage.models import Base

#: Methods that may not change anything.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class RequestSession(FlaskSession):
    """A session that takes no write lock where the request only reads."""

    # One engine for the whole session: a session opens a connection for each engine it meets.
    _reading: Engine | None = None

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Return the engine; for a reading request, the one whose transactions lock nothing."""
        bind = super().get_bind(*args, **kwargs)
        if not isinstance(bind, Engine) or not has_request_context():
            return bind
        if request.method not in SAFE_METHODS:
            return bind
        replica: Engine | None = g.get("replica")
        if replica is not None:
            return replica
        if self._reading is None:
            self._reading = bind.execution_options(**READ_ONLY)
        return self._reading


class Database(SQLAlchemy):
    """Flask-SQLAlchemy on our own engine: the same pragmas, locks and limits everywhere."""

    def _apply_driver_defaults(self, options: dict[str, Any], app: Flask) -> None:
        # make_engine knows the drivers; Flask-SQLAlchemy would also move relative paths.
        return

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        return make_engine(str(options["url"]))


db = Database(
    metadata=Base.metadata,
    session_options={"class_": RequestSession, "expire_on_commit": False},
)


def init_database(app: Flask, config: ServerConfig) -> None:
    """Give `app` its engine, and every request its session."""
    app.config["SQLALCHEMY_DATABASE_URI"] = config.database_url
    db.init_app(app)
    app.after_request(_commit)


def reading_session() -> Session:
    """A session of its own that only reads; for what must not hold the request's transaction.

    It meets no package that the person who asks may not see.
    """
    session = Session(db.engine.execution_options(**READ_ONLY), expire_on_commit=False)
    leave_out(session, g.get("unseen", frozenset()))
    return session


def list_session() -> Session:
    """The same for a list that is sent while it is read: from where this request is answered."""
    replica: Engine | None = g.get("replica")
    if replica is None:
        return reading_session()
    session = Session(replica, expire_on_commit=False)
    leave_out(session, g.get("unseen", frozenset()))
    session.connection()  # a replica that is away is met here and not in mid-list
    return session


def engine_of(app: Flask) -> Engine:
    """The engine of requests, for what is of no request."""
    with app.app_context():
        return db.engine


def _commit(response: Response) -> Response:
    if request.method not in SAFE_METHODS and response.status_code < 400:
        db.session.commit()
    return response
