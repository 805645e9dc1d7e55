"""The application: one factory for the three faces, and for both schemes.

HTTPS answers with every face it was given. Plain HTTP answers with fragments and, where a setting
allows it, agents; never with the console or an info file (contract.md 2).
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime

from flask import Flask
from jinja2 import StrictUndefined
from sqlalchemy import NullPool

from deploy_server.config import FACES, ServerConfig
from deploy_server.services.contact import Sightings
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.readers import Readers
from deploy_server.storage.stores import fragment_store
from deploy_server.storage.turns import Writer
from deploy_server.web.board import Board
from deploy_server.web.database import engine_of, init_database
from deploy_server.web.errors import init_errors
from deploy_server.web.gateway import Refused, Shortcut
from deploy_server.web.health import init_health
from deploy_server.web.metrics import init_metrics
from deploy_server.web.observing import Observed, Watch
from deploy_server.web.services import Scheme, Services, system_clock
from deploy_server.web.shortcuts.bucket import BucketShortcut
from deploy_server.web.shortcuts.files import FileShortcut
from deploy_server.web.shortcuts.refusing import Refusals
from deploy_server.web.shortcuts.wire import WireShortcut
from deploy_server.web.wire import Wire

#: For how long contacts that change nothing else are collected, in seconds.
_SIGHTINGS_S = 1.0

#: How long an answer that is made where everybody waits for it may wait for others, in seconds.
_AT_ONCE_S = 0.05


class Application(Flask):
    """Flask, and the short ways around it.

    Attributes:
        shortcuts: answer agents without Flask; none where they are not answered at all.
        refused: counts what is refused before anybody is asked.
    """

    shortcuts: tuple[Shortcut, ...] = ()
    refused: Refused | None = None


def create_app(
    config: ServerConfig,
    *,
    faces: Iterable[str] = FACES,
    scheme: Scheme = "https",
    clock: Callable[[], datetime] = system_clock,
    stopping: ExitStack | None = None,
    board: Board | None = None,
) -> Application:
    """An application with `faces`, for a process that answers `scheme`.

    Args:
        config: of the server.
        faces: what it answers with.
        scheme: what it is asked by.
        clock: tells the time.
        stopping: closed by the caller when nobody asks any more; where there is none, nothing is
            left to be written later.
        board: where requests are counted; without one, on one of its own.
    """
    wanted = frozenset(faces)
    if scheme == "http":
        wanted &= {"comm", "files"}
    app = Application("deploy_server.web", static_folder=None)
    app.jinja_env.undefined = StrictUndefined
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = config.max_message_bytes
    init_errors(app)
    init_database(app, config)
    wire = _wire(app, config, clock, scheme, stopping)
    board = board or Board()
    watch = Watch(config, board.claim())
    wire.sightings.told = watch.row.wait
    store = fragment_store(config)
    app.extensions["tranche"] = Services(
        config=config,
        store=store,
        clock=clock,
        scheme=scheme,
        faces=wanted,
        wire=wire,
    )
    app.refused = Refusals(watch)
    if "comm" in wanted:
        app.shortcuts += (WireShortcut(wire, _contact_threads(config), watch),)
    if "files" in wanted:
        app.shortcuts += (_files(config, store, watch, scheme),)
    _add_faces(app, wanted, scheme)
    if "admin" in wanted:
        from deploy_server.web.replica import init_replica

        init_replica(app, config, watch.row, stopping)
    if scheme == "https":
        init_health(app)
        init_metrics(app, board)
    app.wsgi_app = Observed(app.wsgi_app, watch)  # type: ignore[method-assign]
    return app


def _wire(
    app: Flask,
    config: ServerConfig,
    clock: Callable[[], datetime],
    scheme: Scheme,
    stopping: ExitStack | None,
) -> Wire:
    """What answers agents; what it keeps open and for later ends with `stopping`."""
    engine = engine_of(app)
    sightings = Sightings(session_factory(engine), _SIGHTINGS_S if stopping else 0)
    patient = Readers(engine, keep=False)
    readers = patient
    if stopping is not None:
        own = make_engine(config.database_url, poolclass=NullPool, busy_s=_AT_ONCE_S)
        readers = Readers(own, keep=True)
        stopping.callback(readers.close)
        stopping.callback(sightings.close)
    return Wire(
        readers=readers,
        patient=patient,
        writer=Writer(engine),
        sightings=sightings,
        clock=clock,
        is_plain=scheme == "http",
        message_max=config.max_message_bytes,
    )


def _files(config: ServerConfig, store: FragmentStore, watch: Watch, scheme: Scheme) -> Shortcut:
    if config.bucket is None:
        return FileShortcut(store, watch)
    return BucketShortcut(store, watch, config.threads, is_plain=scheme == "http")


def _contact_threads(config: ServerConfig) -> int:
    # SQLite answers from this process, and its readers wait for no writer.
    return 0 if config.database_url.startswith("sqlite") else config.threads


def _add_faces(app: Flask, wanted: frozenset[str], scheme: Scheme) -> None:
    # Imported here, so that a process of one face does not carry the others in memory.
    if "comm" in wanted:
        from deploy_server.web import comm

        app.register_blueprint(comm.blueprint)
        if scheme == "https":
            from deploy_server.web import agent_api

            app.register_blueprint(agent_api.blueprint)
    if "files" in wanted:
        from deploy_server.web import files

        app.register_blueprint(files.blueprint)
    if "admin" in wanted:
        from deploy_server.web.admin import register_console

        register_console(app)
