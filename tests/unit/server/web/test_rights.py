"""Every route of the console x every role: the table of contract.md 5, written down once more."""

import itertools
import re
from dataclasses import dataclass

import pytest
from flask import Flask
from werkzeug.routing import Rule

from deploy_server.web.rights import RIGHTS, Right, check_views, needs, right_of
from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_computer, make_group, make_package

ROLES = ("viewer", "operator", "admin", "superadmin")

#: The least role that may call it; kept apart from the marks on the views on purpose.
LEAST: dict[str, str] = {
    "overview.index": "viewer",
    "overview.progress": "viewer",
    "overview.failures": "viewer",
    "overview.stuck_list": "viewer",
    "packages.index": "viewer",
    "packages.show": "viewer",
    "packages.counts": "viewer",
    "packages.export": "admin",
    "packages.export_list": "viewer",
    "packages.columns": "viewer",
    "packages.ask_purge": "admin",
    "packages.purge": "admin",
    "packages.hide": "admin",
    "packages.ask_delete": "admin",
    "packages.delete": "admin",
    "build.form": "admin",
    "build.build": "admin",
    "build.summary": "admin",
    "jobs.index": "admin",
    "jobs.keep": "admin",
    "jobs.ask": "admin",
    "jobs.fill": "admin",
    "jobs.use": "admin",
    "jobs.delete": "admin",
    "uploads.begin": "admin",
    "uploads.show": "admin",
    "uploads.show_built": "admin",
    "uploads.append": "admin",
    "uploads.delete": "admin",
    "activations.form": "admin",
    "activations.activate": "admin",
    "activations.ask_end": "admin",
    "activations.end": "admin",
    "activations.again": "admin",
    "results.index": "viewer",
    "results.ask_validate": "admin",
    "results.validate": "admin",
    "results.again": "operator",
    "results.ask_again": "operator",
    "results.export": "viewer",
    "results.time": "viewer",
    "results.groups": "viewer",
    "editing.edit": "admin",
    "editing.change": "admin",
    "editing.copy": "admin",
    "editing.build_copy": "admin",
    "editing.summary": "admin",
    "recall.ask": "admin",
    "recall.stop": "admin",
    "recall.bring_back": "admin",
    "recall.taken_back": "viewer",
    "deploy.index": "admin",
    "deploy.preview": "admin",
    "deploy.assign": "admin",
    "computers.index": "viewer",
    "computers.show": "viewer",
    "computers.columns": "viewer",
    "computers.export": "viewer",
    "computers.refused": "viewer",
    "searches.complete": "viewer",
    "searches.criteria": "viewer",
    "searches.save": "viewer",
    "searches.delete": "viewer",
    "computers.deployments": "viewer",
    "computers.output": "viewer",
    "computers.again": "operator",
    "taking.ask": "admin",
    "taking.take": "admin",
    "duplicates.index": "admin",
    "duplicates.ask": "admin",
    "duplicates.merge": "admin",
    "duplicates.ignore": "superadmin",
    "bulk.ask_tag": "admin",
    "bulk.tag": "admin",
    "bulk.ask_settings": "admin",
    "bulk.save_settings": "admin",
    "bulk.ask_delete": "admin",
    "bulk.delete": "admin",
    "groups.index": "viewer",
    "groups.add": "admin",
    "groups.show": "viewer",
    "groups.edit": "admin",
    "groups.members": "operator",
    "groups.join": "operator",
    "groups.choose": "operator",
    "groups.ask_unassign": "admin",
    "groups.unassign": "admin",
    "groups.ask_delete": "admin",
    "audit.index": "admin",
    "audit.check": "admin",
    "audit.export": "admin",
    "groups.delete": "admin",
    "settings.index": "viewer",
    "settings.save": "superadmin",
    "settings.group": "admin",
    "settings.save_group": "admin",
    "settings.computer": "admin",
    "settings.save_computer": "admin",
    "settings.certificates_page": "viewer",
    "settings.cacert": "viewer",
    "users.index": "superadmin",
    "users.add": "superadmin",
    "users.edit": "superadmin",
    "users.change": "superadmin",
    "users.password": "superadmin",
    "users.disable": "superadmin",
    "users.enable": "superadmin",
    "users.end_session": "superadmin",
    "account.index": "viewer",
    "account.password": "viewer",
    "account.theme": "viewer",
    "account.end_session": "viewer",
    "login.leave": "viewer",
}
PUBLIC = {"login.form", "login.enter", "static"}


@dataclass
class Things:
    """Rows that addresses name."""

    package_id: int
    computer_id: int
    group_id: int

    def address(self, rule: Rule) -> str:
        """An address that fits the rule."""
        others = {"search_id": 1, "template_id": 1, "key": "linux-deb"}
        values = {**self.__dict__, "upload_id": "0" * 32, **others}
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found.group(1)]), rule.rule)


@pytest.fixture
def things(console: Console) -> Things:
    with console.session() as session:
        computer = make_computer(session)
        group = make_group(session, computer, visible=True)
        activation = make_activation(session, make_package(session))
        return Things(activation.package_id, computer.id, group.id)


def routes(app: Flask) -> list[tuple[str, str, Rule]]:
    """Endpoint without its blueprint, method, rule: everything the console answers."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("console."):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                found.append((rule.endpoint.removeprefix("console."), method, rule))
    return found


def call(browser: Browser, method: str, address: str) -> int:
    if method == "GET":
        return browser.get(address).status_code
    if method == "POST":
        return browser.post(address).status_code
    options = {"X-CSRFToken": browser.token, "Referer": "https://localhost/"}
    answer = browser.client.open(
        address, method=method, base_url="https://localhost", headers=options
    )
    return answer.status_code


def test_the_table_names_every_route(console: Console) -> None:
    assert {name for name, _, _ in routes(console.app)} == set(LEAST) | PUBLIC


@pytest.mark.slow  # every route
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says_and_no_more(
    console: Console, things: Things, role: str
) -> None:
    wrong = []
    for name, method, rule in routes(console.app):
        if name in PUBLIC or name in ("login.leave", "account.end_session"):
            continue
        browser = console.user(role)
        browser.get("/account")
        status = call(browser, method, things.address(rule))
        allowed = ROLES.index(role) >= ROLES.index(LEAST[name])
        if (status != 403) != allowed or status >= 500:
            wrong.append((name, method, status))
    assert wrong == []


def test_nobody_gets_anything_but_the_login(console: Console, things: Things) -> None:
    browser = console.browser()
    browser.get("/login")
    wrong = []
    for name, method, rule in routes(console.app):
        if name not in PUBLIC:
            status = call(browser, method, things.address(rule))
            wrong += [] if status == 302 else [(name, method, status)]
    assert wrong == []


#: What people with tags may not do, although their role has it.
BEYOND_TAGS = (
    "editing.edit",
    "editing.change",
    "packages.delete",
    "packages.ask_purge",
    "packages.purge",
    "packages.hide",
    "activations.ask_end",
    "activations.end",
    "groups.add",
    "groups.edit",
    "groups.delete",
    "settings.save",
    "settings.save_group",
    "settings.group",
    "users.index",
    "users.add",
    "audit.index",
    "audit.export",
)


def test_tags_take_away_what_reaches_other_computers(console: Console, things: Things) -> None:
    browser = console.user("superadmin", "LYON")
    browser.get("/account")
    found = {
        name: call(browser, method, things.address(rule))
        for name, method, rule in routes(console.app)
        if name in BEYOND_TAGS
    }
    assert found == dict.fromkeys(BEYOND_TAGS, 403)


def test_a_view_without_a_mark_does_not_start() -> None:
    app = Flask("app")
    app.add_url_rule("/x", "console.x", lambda: "")
    with pytest.raises(RuntimeError, match=re.escape("console.x")):
        check_views(app, "console")


def test_every_role_has_all_that_the_one_below_has() -> None:
    for below, above in itertools.pairwise(ROLES):
        assert RIGHTS[below] < RIGHTS[above]
    assert RIGHTS["superadmin"] == set(Right)


def test_a_mark_is_read_from_the_view() -> None:
    @needs(Right.BUILD)
    def view() -> str:
        return ""

    assert right_of(view) is Right.BUILD
    assert right_of(lambda: "") is None
