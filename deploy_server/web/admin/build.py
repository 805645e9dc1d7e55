"""Building a package on one page: form, file, summary, and on to activating it."""

import re

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from deploy_agent.wire.replies import DownloadSettings
from deploy_server.domain.errors import (
    Conflict,
    SpecError,
    SpecErrors,
    StorageError,
)
from deploy_server.domain.estimate import estimate_s
from deploy_server.domain.location import is_local
from deploy_server.domain.settings import resolve
from deploy_server.domain.spec import OS_FAMILIES, PackageSpec
from deploy_server.services import activation, packages, settings
from deploy_server.services.building import (
    build_package,
    fragment_ratio,
    refuse_taken_name,
    usual_protocol,
)
from deploy_server.storage.models import Group, Package
from deploy_server.storage.uploads import Upload
from deploy_server.web.admin.activations import check
from deploy_server.web.database import db
from deploy_server.web.formats import sentence
from deploy_server.web.forms import DIGESTS, BuildForm, by_field
from deploy_server.web.pages import row_id
from deploy_server.web.progress import told
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import large_body, person
from deploy_server.web.services import services
from deploy_server.web.summary import Summary, summarise
from deploy_server.web.uploading import let_go, sent_file, uploads

#: The name of a script, which stands at the top of its archive.
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,60}\Z", re.ASCII)

blueprint = Blueprint("build", __name__, url_prefix="/packages/build")


@blueprint.get("")
@needs(Right.BUILD)
def form() -> ResponseReturnValue:
    """Show an empty form."""
    empty = BuildForm()
    empty.values["protocol"] = usual_protocol(db.session())
    if fragment_ratio(db.session()) is not None:
        empty.values["fragment_size"] = ""  # the setting cuts, as long as nobody says how
    return build_page(empty, None)


@blueprint.post("")
@needs(Right.BUILD)
@large_body
def build() -> ResponseReturnValue:
    """Build, build and activate, or only check and show what would be built."""
    sent = BuildForm.sent(request.form)
    upload = sent_file(sent.values)
    script = sent.script()
    wanted = download_settings()
    spec = sent.read(upload is not None or script is not None, wanted.period_length)
    _check_script(sent, upload)
    if spec is None or sent.problems:
        return build_page(sent, upload), 422
    if request.form.get("do") == "check":
        warn_of_name(sent)
        ratio, size = fragment_ratio(db.session()), len(script) if script else None
        return build_page(sent, upload, summarise(sent, upload, wanted, ratio, size))
    try:
        package = _build(sent, spec, _written(sent, script) if script else upload)
    except (SpecError, SpecErrors) as error:
        sent.problems = by_field(error)
        return build_page(sent, upload), 422
    except Conflict as error:
        sent.problems = {"name": str(error)}
        return build_page(sent, upload), 409
    except StorageError as error:
        sent.problems = {"file": str(error)}
        return build_page(sent, upload), 503
    for warning in sent.warnings:
        flash(sentence(warning), "warning")
    return after_build(package)


@blueprint.post("/summary")
@needs(Right.BUILD)
def summary() -> ResponseReturnValue:
    """Show what would be built, for the form as it is now; a part of the page."""
    sent = BuildForm.sent(request.form)
    upload = sent_file(sent.values)
    size = request.form.get("size", type=int)
    script = sent.script()
    size = len(script) if script else size
    wanted = download_settings()
    sent.read(upload is not None or size is not None, wanted.period_length)
    warn_of_name(sent)
    found = summarise(sent, upload, wanted, fragment_ratio(db.session()), size)
    return render_template(
        "build/summary.html", form=sent, summary=found, of_group=_of_group(sent, found)
    )


def warn_of_name(sent: BuildForm, package_id: int | None = None) -> None:
    """Say ahead of the build that another package than this one has the name."""
    try:
        if sent.spec is not None:
            refuse_taken_name(db.session(), sent.spec.name, package_id)
    except Conflict as error:
        sent.warnings = [str(error), *sent.warnings]


def _of_group(sent: BuildForm, found: Summary | None) -> tuple[str, int | None] | None:
    """How long it takes with the settings of the group that was chosen; None for no group."""
    group_id = request.form.get("estimate_group", 0, type=row_id)
    row = next((each for each in _groups() if each.id == group_id), None)
    if row is None or sent.spec is None or found is None or not found.fragments:
        return None
    told = settings.load_effective(db.session(), None, {row.id: row.name}).download()
    return row.name, estimate_s(found.fragments, found.size or 0, sent.spec.priority, told)


def _groups() -> list[Group]:
    """The groups that the person sees."""
    wanted = select(Group).order_by(Group.name_key)
    if not person().may(Right.EDIT_GROUPS):
        wanted = wanted.where(Group.visible)
    return list(db.session().scalars(wanted))


def download_settings() -> DownloadSettings:
    """What computers without settings of their own are told."""
    values = {each.name: each.value for each in settings.list_settings(db.session())}
    return resolve(values).download()


def _check_script(sent: BuildForm, upload: Upload | None) -> None:
    """Mark what is wrong with a script that was written in the form."""
    if sent.script() is None:
        return
    name = sent.values["script_name"].strip()
    if upload is not None:
        problem = "there is a file, too: take it away, or empty the script"
        sent.problems = {**sent.problems, "script": sentence(problem)}
    elif not _SCRIPT_NAME.match(name):
        problem = "give the file a name of letters, digits, dots and lines, such as script.sh"
        sent.problems = {**sent.problems, "script_name": sentence(problem)}


def _written(sent: BuildForm, script: bytes) -> Upload:
    """The script as an upload, like any other file."""
    store = uploads()
    store.sweep(services().now())
    upload = store.begin(person().id, sent.values["script_name"].strip(), len(script))
    return store.append(upload, 0, [script])


def _build(sent: BuildForm, spec: PackageSpec, upload: Upload | None) -> Package:
    now, who, store = services().now(), person().name, services().store
    session, hidden = db.session(), bool(sent.values["hidden"])
    if upload is None:
        return build_package(session, store, spec, None, now=now, actor=who, hidden=hidden)
    with uploads().open(upload) as source, told(upload) as progress:
        package = build_package(
            session,
            store,
            spec,
            source,
            now=now,
            actor=who,
            file_name=upload.name,
            length=upload.length,
            max_bytes=services().config.max_package_bytes,
            hidden=hidden,
            progress=progress,
        )
    let_go(upload)
    return package


def after_build(package: Package) -> ResponseReturnValue:
    """Go on to the package; activated, where the form or the setting says so."""
    if request.form.get("do") == "activate" or activation.is_automatic(db.session()):
        return _activate(package)
    flash("Built. Activate it, so that agents find it.", "success")
    return redirect(url_for("console.packages.show", package_id=package.id))


def _activate(package: Package) -> ResponseReturnValue:
    """Activate at the usual place if an agent would find everything there; else go and ask."""
    session, config = db.session(), services().config.in_use()
    info, fragments = activation.default_locations(session, config, package)
    package_id = package.id
    checks = check(package, info, fragments)
    if not all(each.ok for each in checks) or is_local(info) or is_local(fragments):
        flash("Built. Look at where agents would find it before it is activated.", "warning")
        return redirect(url_for("console.activations.form", package_id=package_id, checked=1))
    package = packages.get_package(session, package_id)
    made = activation.activate(
        session, package, info, fragments, now=services().now(), actor=person().name
    )
    flash(f"Built and activated as A{made.id}. Deploy it to give it to computers.", "success")
    return redirect(url_for("console.packages.show", package_id=package_id))


def build_page(
    form: BuildForm,
    upload: Upload | None,
    summary: Summary | None = None,
    of: BuildForm | None = None,
) -> str:
    """The page with a form as it is filled in; `of` is what the summary was made of."""
    return render_template(
        "build/form.html",
        section="packages",
        action_url=url_for("console.build.build"),
        summary_url=url_for("console.build.summary"),
        form=form,
        summary_form=of or form,
        has_templates=True,
        groups=_groups(),
        estimate_group=request.form.get("estimate_group", 0, type=row_id),
        of_group=_of_group(of or form, summary),
        upload=upload,
        summary=summary,
        systems=OS_FAMILIES,
        digests=DIGESTS,
        ratio=fragment_ratio(db.session()),
        automatic=activation.is_automatic(db.session()),
        max_bytes=services().config.max_package_bytes,
    )
