"""Every page of the console, at the addresses that the browser looks at it.

The rows that they name are those of `tests.support.seed`, and of `more_rows` for what a seeded
installation has none of.
"""

from collections.abc import Iterable
from datetime import datetime

from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from deploy_server.storage.models import (
    Activation,
    AgentEvent,
    Assignment,
    Group,
    JobTemplate,
    Withdrawal,
)
from tests.support.factories import make_group_assignment, make_package
from tests.support.seed import FIRST_PACKAGE

PACKAGE = FIRST_PACKAGE + 3600
GONE = FIRST_PACKAGE + 1  # a deleted one
LONG_NAME = FIRST_PACKAGE + 10 * 3600  # one word of 10,000 characters
MEMBER = 12  # a computer whose pages have something to show
NOWHERE = "/no-such-page"

PAGES = (
    "/",
    "/failures",
    "/stuck?kind=lost",
    "/packages",
    "/packages?os=windows&having=error&sort=total&desc=1",
    "/packages?deleted=1",
    f"/packages/{PACKAGE}",
    f"/packages/{PACKAGE}/activate",
    f"/packages/{PACKAGE}/copy",
    f"/packages/{PACKAGE}/stop",
    f"/packages/{PACKAGE}/stop/computers",
    f"/packages/delete?package={PACKAGE}",
    f"/packages/purge?package={GONE}",
    f"/activations/end?package={PACKAGE}",
    f"/packages/{PACKAGE}/results",
    f"/packages/{LONG_NAME}/results",
    f"/packages/{PACKAGE}/results/time",
    f"/packages/{PACKAGE}/results/groups",
    f"/packages/{PACKAGE}/results/again",
    f"/packages/{PACKAGE}/results/validate?what=all",
    f"/packages/{PACKAGE}/edit",
    "/packages/build",
    "/packages/build/templates",
    "/packages/build/templates/windows-msi",
    "/packages/build/templates/linux-script",
    "/packages/build/templates/own/1",
    "/computers",
    "/computers?q=name+~+PC-00001",
    "/computers?q=nmae+%3D+x",
    "/computers?q=name+%3D+nobody",
    "/computers/tag?whole=1",
    "/computers/settings?computer=7&computer=8",
    "/computers/delete?computer=1&computer=3",
    "/computers/duplicates?by=name",
    "/computers/duplicates?by=chosen",
    "/computers/duplicates/merge?keep=7&computer=3",
    "/computers/refused",
    "/computers/unassign?whole=1",
    f"/computers/{MEMBER}",
    "/computers/1?tab=history",
    f"/computers/{MEMBER}?tab=groups",
    f"/computers/{MEMBER}?tab=settings",
    f"/computers/{MEMBER}/output/{PACKAGE}",
    f"/deploy?whole=1&activation=1&package={PACKAGE}",
    "/groups",
    "/groups/1",
    "/groups/99",
    "/groups/99/delete",
    f"/groups/99/unassign?package={PACKAGE}",
    "/groups/choose?whole=1",
    "/settings",
    "/settings/certificates",
    f"/settings/computer/{MEMBER}",
    "/settings/group/1",
    "/people",
    "/people/edit?name=admin",
    "/audit",
    "/audit/check",
    "/account",
    "/login",
    NOWHERE,
)

#: What GET answers without being a page: parts of pages that show them, files, and JSON.
NO_PAGES = frozenset(
    {
        "overview.progress",
        "packages.counts",
        "computers.deployments",
        "audit.export",
        "computers.export",
        "packages.export",
        "packages.export_list",
        "results.export",
        "settings.cacert",
        "static",
        "searches.complete",
        "searches.criteria",
        "uploads.show",
        "uploads.show_built",
    }
)


def more_rows(session: Session, now: datetime) -> None:
    """Put in what a seeded installation lacks: output, a template, a stopped package, a group's."""
    make_package(session, id=GONE, name="Older", deleted_at=now)
    activation = session.get_one(Activation, 1)
    make_group_assignment(session, session.get_one(Group, 99), activation)
    about = {"computer_id": MEMBER, "package_id": PACKAGE}
    row = session.query(Assignment).filter_by(**about).one_or_none()
    if row is None:
        row = Assignment(**about, activation_id=1, attempt=7, status="ERR_EXIT_CODE_3",
                         status_class=3, since=now, assigned_at=now, assigned_by="jan")  # fmt: skip
        session.add(row)
    session.add(
        AgentEvent(**about, attempt=row.attempt, event_id="1", received_at=now, at=now,
                   state="RUNNING", reason="", exit_code=3, output="no such file\n" * 300,
                   truncated=True)
    )  # fmt: skip
    session.add(Withdrawal(computer_id=7, package_id=PACKAGE, attempt=7, at=now, by="jan",
                           word="stopped"))  # fmt: skip
    session.add(JobTemplate(name="Ours", name_key="ours", created_at=now, created_by="jan",
                            values={"target": "install.sh --quiet", "os": "linux"}))  # fmt: skip


def left_out(app: Flask, addresses: Iterable[str]) -> set[str]:
    """The pages of the console that none of the addresses is of; an address of none is one, too."""
    urls = app.url_map.bind("localhost")
    known = {
        rule.endpoint.removeprefix("console.")
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("console.") and "GET" in (rule.methods or ())
    }
    missing = known - NO_PAGES
    for address in addresses:
        try:
            endpoint, _ = urls.match(address.partition("?")[0])
        except NotFound:
            missing.add(address)
        else:
            missing.discard(endpoint.removeprefix("console."))
    return missing
