"""Changing a package under its id, and building another one like it: the build form, filled in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_agent.wire.fragment import FragmentPlan
from deploy_server.domain.errors import Conflict, DeployError, SpecError, SpecErrors, StorageError
from deploy_server.domain.fields import write_spec
from deploy_server.domain.spec import OS_FAMILIES, PackageSpec
from deploy_server.services import activation, assigning, packages
from deploy_server.services.building import build_package, fragment_ratio
from deploy_server.storage.models import Package
from deploy_server.storage.uploads import Upload
from deploy_server.web.admin.build import after_build, download_settings, warn_of_name
from deploy_server.web.admin.taking import lists_of
from deploy_server.web.database import db
from deploy_server.web.formats import sentence
from deploy_server.web.forms import DEFAULTS, DIGESTS, BuildForm, by_field
from deploy_server.web.progress import told
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import large_body, person
from deploy_server.web.services import services
from deploy_server.web.summary import Summary, summarise
from deploy_server.web.uploading import let_go, sent_file, uploads

blueprint = Blueprint("editing", __name__, url_prefix="/packages/<int:package_id>")

_MIB = 1024 * 1024


@blueprint.get("/edit")
@needs(Right.EDIT_PACKAGES)
def edit(package_id: int) -> ResponseReturnValue:
    """Show the package in the form that it was built with."""
    package = packages.get_package(db.session(), package_id)
    return _page("edit", package, BuildForm(_filled(package)))


@blueprint.post("/edit")
@needs(Right.EDIT_PACKAGES)
@large_body
def change(package_id: int) -> ResponseReturnValue:
    """Change the package, with another file where one was sent."""
    return _take("edit", package_id)


@blueprint.get("/copy")
@needs(Right.BUILD)
def copy(package_id: int) -> ResponseReturnValue:
    """Show the form for a package like this one."""
    package = packages.get_package(db.session(), package_id)
    values = _filled(package)
    return _page("copy", package, BuildForm(values | {"name": f"{values['name']} (copy)"[:255]}))


@blueprint.post("/copy")
@needs(Right.BUILD)
@large_body
def build_copy(package_id: int) -> ResponseReturnValue:
    """Build another package, from this one's file where no other was sent."""
    return _take("copy", package_id)


@blueprint.post("/edit/summary")
@needs(Right.BUILD)
def summary(package_id: int) -> ResponseReturnValue:
    """Show what would become of the package, for the form as it is now; a part of the page."""
    package = packages.get_package(db.session(), package_id)
    sent = BuildForm.sent(request.form)
    found = _read(sent, package, sent_file(sent.values), request.form.get("size", type=int))
    return render_template("build/summary.html", form=sent, summary=found)


def _take(kind: str, package_id: int) -> ResponseReturnValue:
    package = packages.get_package(db.session(), package_id)
    sent = BuildForm.sent(request.form)
    upload = sent_file(sent.values)
    found = _read(sent, package, upload)
    if sent.spec is None or found is None:
        return _page(kind, package, sent, upload), 422
    if request.form.get("do") == "check":
        return _page(kind, package, sent, upload, found)
    try:
        hidden = bool(sent.values["hidden"])
        made = _save(kind, package, sent.spec, upload, hidden=hidden)
    except (SpecError, SpecErrors, Conflict, StorageError) as error:
        sent.problems = _problems(error)
        return _page(
            kind, packages.get_package(db.session(), package_id), sent, upload
        ), error.status
    for warning in sent.warnings:
        flash(sentence(warning), "warning")
    if kind == "copy":
        return after_build(made)
    flash(f"Changed; this is revision {made.revision}.", "success")
    return redirect(url_for("console.packages.show", package_id=made.id))


def _problems(error: DeployError) -> dict[str, str]:
    if isinstance(error, SpecError | SpecErrors):
        return by_field(error)
    return {"name" if isinstance(error, Conflict) else "file": str(error)}


def _read(
    sent: BuildForm, package: Package, upload: Upload | None, size: int | None = None
) -> Summary | None:
    """Understand the form; without a file of its own it keeps the package's."""
    wanted = download_settings()
    has_file = upload is not None or size is not None or package.fragments > 0
    sent.read(has_file, wanted.period_length)
    warn_of_name(sent, package.id)
    if upload is None and size is None:
        size = package.size or None
    return summarise(sent, upload, wanted, fragment_ratio(db.session()), size)


def _save(
    kind: str, package: Package, spec: PackageSpec, upload: Upload | None, *, hidden: bool
) -> Package:
    session, store, config = db.session(), services().store, services().config
    package_id, file_name = package.id, package.file_name
    about: dict[str, Any] = {
        "now": services().now(),
        "actor": person().name,
        "max_bytes": config.max_package_bytes,
    }
    if kind == "copy":
        about["hidden"] = hidden
        with _file(package, upload) as source:
            name = upload.name if upload else file_name
            length = upload.length if upload else package.size
            return build_package(
                session, store, spec, source, file_name=name, length=length, **about
            )
    if upload is None:
        return packages.edit_package(session, store, package_id, spec, **about)
    with uploads().open(upload) as source, told(upload) as progress:
        made = packages.edit_package(
            session, store, package_id, spec, source, file_name=upload.name, length=upload.length,
            progress=progress, **about,
        )  # fmt: skip
    let_go(upload)
    return made


@contextmanager
def _file(package: Package, upload: Upload | None) -> Iterator[BinaryIO | None]:
    """The file of a copy: the one that was sent, else the package's own, else none."""
    if upload is not None:
        with uploads().open(upload) as source:
            yield source
        let_go(upload)
    elif package.fragments and package.fragment_size:
        plan = FragmentPlan(package.size, package.fragment_size)
        with services().store.reader(package.id, plan) as source:
            yield source
    else:
        yield None


def _filled(package: Package) -> dict[str, str]:
    """The form as the package was built."""
    spec = packages.spec_of(package)
    fields = write_spec(spec)
    if spec.fragment_size and spec.fragment_size % _MIB == 0:
        fields["fragment_size"] = f"{spec.fragment_size // _MIB} MiB"
    asks = {
        "notify_user": "1" if spec.notify_text is not None else "",
        "need_done": "1" if spec.done_text is not None else "",
        "hidden": "1" if package.hidden_at is not None else "",
    }
    return DEFAULTS | fields | asks


def _page(
    kind: str,
    package: Package,
    form: BuildForm,
    upload: Upload | None = None,
    found: Summary | None = None,
) -> str:
    session = db.session()
    holders: Mapping[str, Any] = {}
    if kind == "edit":
        reached = assigning.preview_stop(session, package.id, now=services().now())
        holders = {"reached": reached, "lists": lists_of(package.id)}
    return render_template(
        f"editing/{kind}.html",
        section="packages",
        package=package,
        action_url=url_for(
            "console.editing.change" if kind == "edit" else "console.editing.build_copy",
            package_id=package.id,
        ),
        summary_url=url_for("console.editing.summary", package_id=package.id),
        form=form,
        upload=upload,
        summary=found,
        systems=OS_FAMILIES,
        digests=DIGESTS,
        ratio=fragment_ratio(session),
        automatic=activation.is_automatic(session),
        max_bytes=services().config.max_package_bytes,
        **holders,
    )
