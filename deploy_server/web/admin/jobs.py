"""Templates of common jobs, and people's own: a few answers fill in the build form."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import SpecError
from deploy_server.domain.jobs import JOBS, Job, fill_in, find_job
from deploy_server.domain.jobs.hiding import hiding_end
from deploy_server.services import job_templates
from deploy_server.services.building import usual_protocol
from deploy_server.web.admin.build import build_page, download_settings
from deploy_server.web.database import db
from deploy_server.web.forms import DEFAULTS, BuildForm
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services
from deploy_server.web.summary import summarise

blueprint = Blueprint("jobs", __name__, url_prefix="/packages/build/templates")

#: Fields of the build form that belong to one package, not to a kind of package.
_OF_ONE = ("name", "upload")

_SYSTEMS = ("windows", "linux", "macos", "any")


@blueprint.get("")
@needs(Right.BUILD)
def index() -> ResponseReturnValue:
    """List the templates, by system."""
    own = job_templates.list_templates(db.session())
    return render_template(
        "build/jobs.html",
        section="packages",
        systems=[(each, [job for job in JOBS if job.os == each]) for each in _SYSTEMS],
        own=own,
        anybodys=_changes_anybodys(),
        hiding={each.id: hiding_end(each.values.get("target", "")) for each in own},
    )


@blueprint.post("")
@needs(Right.BUILD)
def keep() -> ResponseReturnValue:
    """Keep a filled-in build form as a template."""
    sent = BuildForm.sent(request.form)
    values = {key: text for key, text in sent.values.items() if key not in _OF_ONE}
    try:
        row = job_templates.keep_template(
            db.session(),
            request.form.get("template", ""),
            values,
            actor=person().name,
            now=services().now(),
            anybodys=_changes_anybodys(),
        )
    except SpecError as error:
        sent.problems = {error.field: str(error)}
        return build_page(sent, None), 422
    flash(f"The template {row.name} is kept.", "success")
    return redirect(url_for(".index"))


@blueprint.get("/<key>")
@needs(Right.BUILD)
def ask(key: str) -> ResponseReturnValue:
    """Ask what a template has to know."""
    return _asking(find_job(key), {}, {})


@blueprint.post("/<key>")
@needs(Right.BUILD)
def fill(key: str) -> ResponseReturnValue:
    """Show the build form, filled in by the answers."""
    job = find_job(key)
    given = {field.name: request.form.get(field.name, "") for field in job.fields}
    try:
        return _filled(fill_in(job, given))
    except SpecError as error:
        return _asking(job, given, {error.field: str(error)}), 422


@blueprint.get("/own/<int:template_id>")
@needs(Right.BUILD)
def use(template_id: int) -> ResponseReturnValue:
    """Show the build form, filled in by somebody's own template."""
    return _filled(job_templates.get_template(db.session(), template_id).values)


@blueprint.post("/own/<int:template_id>/delete")
@needs(Right.BUILD)
def delete(template_id: int) -> ResponseReturnValue:
    """Delete a template; what was built of it stays."""
    name = job_templates.delete_template(
        db.session(),
        template_id,
        actor=person().name,
        now=services().now(),
        anybodys=_changes_anybodys(),
    )
    flash(f"The template {name} is deleted.", "success")
    return redirect(url_for(".index"))


def _changes_anybodys() -> bool:
    """Whether the person may change what others kept: those build of it for every computer."""
    return person().may(Right.EDIT_PACKAGES)


def _filled(values: dict[str, str]) -> str:
    usual = DEFAULTS | {"protocol": usual_protocol(db.session())}
    form = BuildForm(usual | {key: values[key] for key in DEFAULTS if key in values})
    # What it will do is shown at once, although the package has no name and no file yet.
    shown = BuildForm({**form.values, "name": "…"})
    shown.read(True, download_settings().period_length)
    summary = summarise(shown, None, download_settings(), None)
    return build_page(form, None, summary, shown)


def _asking(job: Job, given: dict[str, str], problems: dict[str, str]) -> str:
    answers = {field.name: given.get(field.name, field.default) for field in job.fields}
    return render_template(
        "build/job.html", section="packages", job=job, answers=answers, problems=problems
    )
