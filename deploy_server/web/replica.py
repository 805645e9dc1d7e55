"""Pages that are read from the replica: which ones, and when not.

The primary answers where the replica is away or too far behind, where it has not got yet what this
browser has changed, and where a page fails or refuses there. Who acts, previews an act, logs in or
has rights checked never sees the replica: what is not named here is read from the primary.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, cast

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import DeployError
from deploy_server.storage.replica import AFTER_COMMIT, Replica, State
from deploy_server.web.board import Row
from deploy_server.web.database import SAFE_METHODS, db, engine_of

View = Callable[..., ResponseReturnValue]

#: Whole pages, which say so when they show what was true some seconds ago.
PAGES = frozenset(
    f"console.{name}"
    for name in (
        "overview.index",
        "overview.failures",
        "overview.stuck_list",
        "packages.index",
        "packages.show",
        "computers.index",
        "groups.index",
        "duplicates.index",
        "results.index",
        "results.time",
        "results.groups",
        "recall.taken_back",
        "audit.index",
    )
)

#: Files and parts of pages: they have no room for such a word, so they are read there only while
#: there is nothing to say.
PARTS = frozenset(
    f"console.{name}"
    for name in (
        "overview.progress",
        "packages.counts",
        "packages.export_list",
        "computers.export",
        "results.export",
        "audit.export",
        "searches.complete",
    )
)

#: From how many seconds on a page says so.
SHOWN_S = 3.0

#: Where the primary's log ended after the last thing that this browser changed.
COOKIE = "__Host-wrote"

_EXTENSION = "tranche.replica"
_NOBODY_KNOWS = 2**63 - 1  # beyond every position


def init_replica(app: Flask, config: ServerConfig, row: Row, stopping: ExitStack | None) -> None:
    """Read the pages above from the replica of `config`, where it has one.

    Args:
        app: with the console.
        config: of the server.
        row: where they are counted.
        stopping: closes what was opened.
    """
    app.extensions[_EXTENSION] = None
    app.context_processor(lambda: {"as_of_s": _shown_age()})
    if not config.replica_url:
        return
    replica = Replica(config.replica_url, engine_of(app), config.replica_max_lag_s)
    app.extensions[_EXTENSION] = replica
    if stopping is not None:
        stopping.callback(replica.close)
    for name in PAGES | PARTS:
        view = cast(View, app.view_functions[name])  # none of ours is a coroutine
        app.view_functions[name] = _either(view, replica, row, name in PARTS)
    # The first in the list is called last: when the request is committed.
    app.after_request_funcs.setdefault(None, []).insert(0, _remember)


def replica_of(app: Flask) -> Replica | None:
    """The replica that this application reads from, if it has one."""
    found: Replica | None = app.extensions.get(_EXTENSION)
    return found


def _either(view: View, replica: Replica, row: Row, is_part: bool) -> View:
    """The view, answered from the replica where that is right."""

    @wraps(view)
    def answer(**arguments: Any) -> ResponseReturnValue:
        state = _usable(replica, is_part)
        if state is not None:
            g.replica, g.replica_state = replica.engine, state
            try:
                answered = view(**arguments)
            except (SQLAlchemyError, DeployError, HTTPException) as error:
                # It went away, took the rows away while they were read, or does not know yet what
                # was asked for: the primary has the last word.
                if isinstance(error, OperationalError):
                    replica.fail(error)
                g.replica = None
                db.session().close()  # it stays, with the limits of who asks
            else:
                row.count_list(from_replica=True)
                return answered
        row.count_list(from_replica=False)
        return view(**arguments)

    return answer


def _usable(replica: Replica, is_part: bool) -> State | None:
    """How the replica is, where it may answer this request."""
    # An expression in the address of the groups is one that is tried before a group is made of it.
    if request.endpoint == "console.groups.index" and "expression" in request.args:
        return None
    state = replica.state()
    if state.trouble or (is_part and state.age_s() >= SHOWN_S):
        return None
    wrote = request.cookies.get(COOKIE, "")
    if wrote and not (wrote.isascii() and wrote.isdigit() and len(wrote) < 20):
        return None
    return state if not wrote or replica.reached(int(wrote)) else None


def _shown_age() -> int | None:
    """How old what this page shows may be, in seconds, where a reader should know."""
    if g.get("replica") is None:
        return None
    age = g.replica_state.age_s()
    return max(1, round(age)) if age >= SHOWN_S else None


def _remember(response: Response) -> Response:
    """Let this browser read what it has just changed."""
    changed = request.method not in SAFE_METHODS and response.status_code < 400
    if changed and (request.endpoint or "").startswith("console."):
        config = current_app.extensions["tranche"].config
        response.set_cookie(
            COOKIE,
            str(_after_commit()),
            # A replica that is still used then has it by all means.
            max_age=config.replica_max_lag_s + 60,
            secure=True,
            httponly=True,
            samesite="Lax",
        )
    return response


def _after_commit() -> int:
    try:
        return int(db.session.scalar(AFTER_COMMIT))
    except DBAPIError:
        # What was changed is kept, so nobody may be told otherwise.
        db.session().close()
        return _NOBODY_KNOWS
