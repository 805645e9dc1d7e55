"""Settings: of everybody, of a group, of one computer; and the certificates."""

import hashlib
from collections.abc import Sequence

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Forbidden, NotFound, SpecError
from deploy_server.domain.estimate import estimate_s, shares_s
from deploy_server.domain.options import COMPUTER
from deploy_server.domain.settings import OPTIONS, Effective
from deploy_server.services import certificates, computers, groups, settings
from deploy_server.services.certificates.store import CertificateStore
from deploy_server.services.settings import EVERYBODY, Scope, SettingView
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import Group
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

#: The package by which the page says what the settings mean: 100 MB in 1 MiB, usual priority.
_EXAMPLE = {"size": 100_000_000, "fragments": 96, "priority": 5}

#: What the options are about, by the first option of each chapter.
_CHAPTERS = {
    "DOWNLOAD": "Downloading",
    "DOWNLOAD_URI_INFO": "Building and activating",
    "PROLOG_FREQ": "Contacts and inventories",
    "EVENTS_DAYS": "How long things are kept",
    "AGENTS_OVER_HTTP": "Which agents are served",
    "SECURITY_PASSWORD_MIN_CHAR": "People",
    "AUTO_DUPLICATE_LVL": "Look-alikes",
}


@blueprint.get("")
@needs(Right.READ)
def index() -> ResponseReturnValue:
    """Show the settings of everybody."""
    return _page(EVERYBODY, {}, {})


@blueprint.post("")
@needs(Right.EDIT_GLOBAL_SETTINGS)
def save() -> ResponseReturnValue:
    """Change settings of everybody."""
    return _save(EVERYBODY, url_for(".index"))


@blueprint.get("/group/<int:group_id>")
@needs(Right.EDIT_SETTINGS)
def group(group_id: int) -> ResponseReturnValue:
    """Show the settings of a group."""
    return _page(_group_scope(group_id), {}, {})


@blueprint.post("/group/<int:group_id>")
@needs(Right.EDIT_SETTINGS)
def save_group(group_id: int) -> ResponseReturnValue:
    """Change settings of a group."""
    return _save(_group_scope(group_id), url_for(".group", group_id=group_id))


@blueprint.get("/computer/<int:computer_id>")
@needs(Right.EDIT_SETTINGS)
def computer(computer_id: int) -> ResponseReturnValue:
    """Show the settings of a computer."""
    return _page(_computer_scope(computer_id), {}, {})


@blueprint.post("/computer/<int:computer_id>")
@needs(Right.EDIT_SETTINGS)
def save_computer(computer_id: int) -> ResponseReturnValue:
    """Change settings of a computer."""
    return _save(_computer_scope(computer_id), url_for(".computer", computer_id=computer_id))


@blueprint.get("/certificates")
@needs(Right.READ)
def certificates_page() -> ResponseReturnValue:
    """Show the certificates, and how agents get the one they need."""
    store, now = _store(), services().now()
    chain, roots = store.chain(), store.roots()
    config = services().config.in_use()
    return render_template(
        "settings/certificates.html",
        section="settings",
        server=certificates.describe(chain[0]),
        authorities=[certificates.describe(each) for each in roots],
        file_digest=hashlib.sha256(store.ca_file.read_bytes()).hexdigest(),
        warnings=certificates.warnings(store, now),
        now=now,
        server_url=f"https://{config.hosts[0]}:{config.https_port}/ocsinventory",
    )


@blueprint.get("/cacert.pem")
@needs(Right.READ)
def cacert() -> ResponseReturnValue:
    """Send what agents must have; it is public."""
    store = _store()
    store.roots()  # says what to do where there is none
    headers = {"Content-Disposition": 'attachment; filename="cacert.pem"'}
    return Response(store.ca_file.read_bytes(), mimetype="application/x-pem-file", headers=headers)


def _store() -> CertificateStore:
    return CertificateStore(services().config.certs)


def _group_scope(group_id: int) -> Scope:
    if person().tags:
        raise Forbidden(
            "settings of a group reach computers outside your tags",
            hint="Set them on your computers, or ask somebody without tags",
        )
    row = db.session().get(Group, group_id)
    if row is None:
        raise NotFound("there is no such group", "It may have been deleted; look at the list")
    return settings.group_scope(db.session(), row.name)


def _computer_scope(computer_id: int) -> Scope:
    session, perimeter = db.session(), person().perimeter
    row = computers.get_computer_by_id(session, computer_id, perimeter=perimeter)
    return settings.computer_scope(session, row.device_id, perimeter=perimeter)


def _save(scope: Scope, back: str) -> ResponseReturnValue:
    """Set what was filled in, unset what was emptied; nothing where one value is wrong."""
    session = db.session()
    before = {each.name: each for each in settings.list_settings(session, scope)}
    sent = {name: _lines(request.form[name]) for name in before if name in request.form}
    changed = {name: text for name, text in sent.items() if text != _shown(before[name])}
    problems: dict[str, str] = {}
    warnings: list[str] = []
    for name, text in changed.items():
        try:
            warnings += _set(session, scope, name, text)
        except SpecError as error:
            problems[name] = str(error)
    if problems:
        session.rollback()
        return _page(scope, sent, problems), 422
    for warning in filter(None, warnings):
        flash(warning, "warning")
    if changed:
        said = f"Changed {plural(len(changed), 'setting')}"
        if any(COMPUTER in option.scopes for option in OPTIONS if option.name in changed):
            reached = plural(_reached(scope)[0], "computer")
            said += f" for {reached}; agents learn it at their next contact"
        flash(f"{said}.", "success")
    return redirect(back)


def _lines(text: str) -> str:
    """What was typed; browsers end lines with two characters."""
    return "\n".join(text.strip().splitlines())


def _set(session: Session, scope: Scope, name: str, text: str) -> list[str]:
    who, now = person().name, services().now()
    if not text:
        settings.unset_setting(session, name, scope, actor=who, now=now)
        return []
    return [settings.set_setting(session, name, text, scope, actor=who, now=now).warning]


def _reached(scope: Scope) -> tuple[int, str]:
    """How many computers a change of these settings reaches, and the list of them; '' is none."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    if scope.kind == "computer":
        return 1, ""
    if scope.kind == "group":
        reached = groups.get_group(session, scope.label, now=now, perimeter=perimeter)
        return reached.members, url_for("console.groups.show", group_id=scope.id)
    count = computers.count_computers(session, now=now, perimeter=perimeter)
    return count, url_for("console.computers.index")


def _chapters(views: Sequence[SettingView]) -> dict[str, list[SettingView]]:
    """Options by what they are about, in the order of the table; no chapter is empty."""
    chapters: dict[str, list[SettingView]] = {}
    about, by_name = "", {view.name: view for view in views}
    for option in OPTIONS:
        about = _CHAPTERS.get(option.name, about)
        if option.name in by_name:
            chapters.setdefault(about, []).append(by_name[option.name])
    return chapters


def _in_force(scope: Scope) -> Effective:
    """What counts for the computers of a scope, as far as the scope says."""
    session = db.session()
    if scope.kind == "computer":
        member_of = groups_of(session, scope.id, services().now())
        return settings.load_effective(session, scope.id, member_of)
    alone = {scope.id: scope.label} if scope.kind == "group" else {}
    return settings.load_effective(session, None, alone)


def _shown(view: SettingView) -> str:
    """What the field of an option holds: the scope's own value; empty is that of the next one."""
    return view.value if view.is_set else ""


def _page(scope: Scope, sent: dict[str, str], problems: dict[str, str]) -> str:
    views = settings.list_settings(db.session(), scope)
    told = _in_force(scope).download()
    return render_template(
        "settings/index.html",
        section="settings",
        scope=scope,
        chapters=_chapters(views),
        values={each.name: sent.get(each.name, _shown(each)) for each in views},
        problems=problems,
        can_edit=scope.kind != "global" or person().may(Right.EDIT_GLOBAL_SETTINGS),
        usual=settings.everybody(db.session()).values,
        reached=_reached(scope),
        example_s=estimate_s(settings=told, **_EXAMPLE),
        shares=shares_s(settings=told, **_EXAMPLE),
    )
