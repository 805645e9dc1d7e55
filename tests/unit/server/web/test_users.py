"""People: let in, changed, given passwords, kept out; never without a superadmin."""

import re

import pytest
from sqlalchemy import select

from deploy_server.storage.models import User
from tests.support.console import PASSWORD, Browser, Console
from tests.support.factories import make_computer


def user(console: Console, name: str) -> User | None:
    with console.sessions() as session:
        return session.scalar(select(User).where(User.name == name))


def test_somebody_is_let_in_with_a_password_that_is_shown_once(
    admin: Browser, console: Console
) -> None:
    answer = admin.post("/people", {"name": "Marie", "role": "operator", "tags": "LYON, paris"})
    assert answer.location == "/people"
    shown = re.search(r"The password is (\S+) and is not shown again", admin.get("/people").text)
    assert shown
    assert shown.group(1) not in admin.get("/people").text
    made = user(console, "Marie")
    assert made
    assert (made.role, made.tags) == ("operator", ["LYON", "paris"])
    assert console.browser().log_in("marie", shown.group(1)).status_code == 302


def test_a_given_password_is_not_shown(admin: Browser, console: Console) -> None:
    admin.post("/people", {"name": "Jan", "role": "viewer", "password": PASSWORD})
    assert PASSWORD not in admin.get("/people").text
    assert console.browser().log_in("Jan").status_code == 302


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "SUPERADMIN"}, "name"),
        ({"role": "king"}, "role"),
        ({"role": ""}, "role"),
        ({"password": "short"}, "password"),
    ],
)
def test_a_bad_value_is_named(admin: Browser, form: dict[str, str], field: str) -> None:
    answer = admin.post("/people", {"name": "New", "role": "viewer", "tags": "KEPT", **form})
    assert answer.status_code in (409, 422)
    assert f'id="{field}-problem"' in answer.text
    assert 'value="KEPT"' in answer.text


def test_role_and_tags_are_changed_and_the_session_ends(admin: Browser, console: Console) -> None:
    viewer = console.user("viewer")
    form = {"name": "viewer", "role": "admin", "tags": "LYON"}
    assert admin.post("/people/edit", form).location == "/people"
    changed = user(console, "viewer")
    assert changed
    assert (changed.role, changed.tags) == ("admin", ["LYON"])
    assert viewer.get("/").location == "/login"


def test_all_sessions_are_offered_only_where_there_are_several(
    admin: Browser, console: Console
) -> None:
    console.user("viewer")
    assert "End all of them" not in admin.get("/people/edit?name=viewer").text
    console.browser().log_in("viewer")
    assert "End all of them" in admin.get("/people/edit?name=viewer").text


def test_the_only_superadmin_stays_one(admin: Browser, console: Console) -> None:
    for form in ({"role": "viewer"}, {"role": "superadmin", "tags": "LYON"}):
        answer = admin.post("/people/edit", {"name": "superadmin", "tags": "", **form})
        assert answer.status_code == 409
        assert "only superadmin" in answer.text
    assert admin.post("/people/disable", {"name": "superadmin"}).status_code == 409
    assert admin.get("/people").status_code == 200


def test_a_new_password_is_shown_once(admin: Browser, console: Console) -> None:
    viewer = console.user("viewer")
    admin.post("/people/password", {"name": "viewer"})
    shown = re.search(r"The password is (\S+) and", admin.get("/people").text)
    assert shown
    assert viewer.get("/").location == "/login"
    assert console.browser().log_in("viewer", shown.group(1)).status_code == 302


def test_somebody_is_kept_out_and_let_in_again(admin: Browser, console: Console) -> None:
    viewer = console.user("viewer")
    admin.post("/people/disable", {"name": "viewer"})
    assert viewer.get("/").location == "/login"
    assert console.browser().log_in("viewer").status_code == 401
    assert "Disabled" in admin.get("/people").text
    admin.post("/people/enable", {"name": "viewer"})
    assert console.browser().log_in("viewer").status_code == 302


@pytest.mark.parametrize("path", ["edit", "password", "disable", "enable"])
def test_nobody_by_that_name(admin: Browser, path: str) -> None:
    assert admin.post(f"/people/{path}", {"name": "nobody", "role": "viewer"}).status_code == 404
    assert admin.get("/people/edit?name=nobody").status_code == 404


def test_tags_in_use_are_shown(admin: Browser, console: Console) -> None:
    with console.session() as session:
        make_computer(session, tag="GRENOBLE")
    assert "GRENOBLE" in admin.get("/people").text
