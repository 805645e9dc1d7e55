"""The console: one blueprint a noun, all of them behind the same guard (web/security)."""

from datetime import timedelta

from flask import Blueprint, Flask

from deploy_server.web.admin import (
    account,
    activations,
    audit,
    build,
    bulk,
    computers,
    deploy,
    duplicates,
    editing,
    groups,
    jobs,
    login,
    overview,
    packages,
    recall,
    results,
    searches,
    settings,
    taking,
    uploads,
    users,
)
from deploy_server.web.formats import init_formats
from deploy_server.web.pages import check_arguments, init_pages
from deploy_server.web.rights import check_views
from deploy_server.web.security import guard, init_security
from deploy_server.web.uploading import UploadRequest, abandon

#: Static files carry their digest in their address (`pages.asset`).
_KEEP_STATIC = timedelta(days=365)

console = Blueprint("console", "deploy_server.web", static_folder="static")
console.before_request(guard)
console.before_request(check_arguments)
console.teardown_request(abandon)
for _part in (
    overview,
    packages,
    build,
    jobs,
    editing,
    uploads,
    activations,
    results,
    recall,
    deploy,
    computers,
    bulk,
    taking,
    duplicates,
    searches,
    groups,
    settings,
    users,
    audit,
    account,
    login,
):
    console.register_blueprint(_part.blueprint)


def register_console(app: Flask) -> None:
    """Add the console to `app`."""
    app.request_class = UploadRequest
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _KEEP_STATIC
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    init_formats(app)
    init_pages(app)
    init_security(app)
    app.register_blueprint(console)
    check_views(app, console.name)
