"""Logging in and out: who gets a session, where it leads, and when it ends."""

import re

import pytest
from sqlalchemy import select

from deploy_server.services.audit import Filter, each_entry
from deploy_server.services.logins import LOCK_AFTER
from deploy_server.storage.models import User
from tests.support.console import PASSWORD, Browser, Console


def the_user(console: Console, name: str) -> User:
    with console.sessions() as session:
        return session.scalars(select(User).where(User.name == name)).one()


def test_the_right_password_leads_to_the_overview(console: Console) -> None:
    console.add_user("marie")
    browser = console.browser()
    answer = browser.log_in("MARIE")
    assert (answer.status_code, answer.location) == (302, "/")
    assert the_user(console, "marie").last_login == console.clock()
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(("name", "password"), [("marie", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_anything_else_gets_one_answer(console: Console, name: str, password: str) -> None:
    console.add_user("marie")
    browser = console.browser()
    answer = browser.log_in(name, password)
    assert answer.status_code == 401
    assert "Name or password is wrong" in answer.text
    assert browser.get("/").location == "/login"


def test_a_wrong_password_is_counted_and_locks(console: Console) -> None:
    console.add_user("marie")
    for _ in range(LOCK_AFTER):
        assert console.browser().log_in("marie", "wrong").status_code == 401
    assert the_user(console, "marie").failed_logins == LOCK_AFTER
    assert console.browser().log_in("marie").status_code == 401
    console.clock.advance(minutes=2)
    assert console.browser().log_in("marie").status_code == 302


def test_too_many_attempts_from_one_address_are_stopped(console: Console) -> None:
    console.add_user("marie")
    browser = console.browser()
    answers = [browser.log_in("marie", "wrong").status_code for _ in range(21)]
    assert answers == [401] * 20 + [429]
    refused = browser.log_in("marie")
    assert "Too many attempts" in refused.text
    assert "Wait a minute" in refused.text


def test_a_session_that_was_there_before_does_not_go_on(console: Console) -> None:
    console.add_user("marie")
    browser = console.browser()
    browser.get("/login")
    before = browser.token
    browser.log_in("marie")
    stale = browser.client.post(
        "/logout",
        base_url="https://localhost",
        data={"csrf_token": before},
        headers={"Referer": "https://localhost/"},
    )
    assert stale.status_code == 403
    assert browser.get("/").status_code == 200


def test_the_cookie_is_for_this_host_over_https_and_for_no_script(console: Console) -> None:
    console.add_user("marie")
    cookies = console.browser().log_in("marie").headers.getlist("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-session", "__Host-known"}
    for cookie in cookies:
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(re.split(r"; ?", cookie))
        assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/computers?q=name+~+x", "/computers?q=name+~+x"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("//[", "/"),
        ("https://[::1", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\tevil", "/"),
        ("evil", "/"),
        ("", "/"),
    ],
)
def test_it_leads_nowhere_else(console: Console, wanted: str, leads_to: str) -> None:
    console.add_user("marie")
    assert console.browser().log_in("marie", next=wanted).location == leads_to


def test_whoever_is_not_logged_in_comes_back_to_the_page(console: Console) -> None:
    answer = console.browser().get("/computers?q=os+~+windows")
    assert answer.status_code == 302
    assert answer.location == "/login?next=/computers?q%3Dos%2B~%2Bwindows"


def test_a_form_of_nobody_changes_nothing_and_says_so(console: Console) -> None:
    browser = console.browser()
    browser.get("/login")
    answer = browser.post("/groups", {"name": "x"})
    assert (answer.status_code, answer.location) == (302, "/login")
    assert "session has ended" in browser.get("/login").text


def test_a_script_of_nobody_gets_a_status_instead_of_a_page(console: Console) -> None:
    answer = console.browser().get("/progress", headers={"X-Requested-With": "fetch"})
    assert answer.status_code == 401
    assert answer.json is not None


def test_a_known_browser_is_not_locked_out_by_strangers(console: Console) -> None:
    console.add_user("marie")
    known = console.browser()
    known.log_in("marie")
    known.post("/logout")
    for _ in range(LOCK_AFTER):
        console.browser().log_in("marie", "wrong")
    assert console.browser().log_in("marie").status_code == 401
    assert known.log_in("marie").status_code == 302


def test_a_copied_cookie_ends_with_the_session(console: Console) -> None:
    browser, thief = console.user("viewer"), console.browser()
    cookie = browser.client.get_cookie("__Host-session")
    assert cookie is not None
    thief.client.set_cookie("__Host-session", cookie.value, secure=True)
    assert thief.get("/account").status_code == 200
    browser.post("/logout")
    assert thief.get("/account").location == "/login?next=/account"


def test_sessions_are_listed_and_ended(console: Console) -> None:
    here, there, third = console.user("viewer"), console.browser(), console.browser()
    for other in (there, third):
        other.log_in("viewer")
    page = here.get("/account").text
    numbers = re.findall(r'name="session" value="(\d+)"', page)
    assert len(numbers) == 3
    assert page.count("This one") == 1
    assert here.post("/account/sessions/end", {"session": numbers[1]}).status_code == 302
    assert here.post("/account/sessions/end", {"session": numbers[1]}).status_code == 404
    assert here.post("/account/sessions/end").status_code == 302
    assert "1 other session ended" in here.get("/account").text
    for other in (there, third):
        assert other.get("/account").status_code == 302
    assert here.post("/account/sessions/end", {"session": numbers[2]}).location == "/login"
    assert here.get("/account").status_code == 302


def test_nobody_ends_the_session_of_somebody_else(console: Console) -> None:
    viewer, admin = console.user("viewer"), console.user("admin")
    (number,) = re.findall(r'name="session" value="(\d+)"', admin.get("/account").text)
    assert viewer.post("/account/sessions/end", {"session": number}).status_code == 404
    assert admin.get("/account").status_code == 200


def test_a_superadmin_ends_sessions_of_others(console: Console, admin: Browser) -> None:
    viewer = console.user("viewer")
    page = admin.get("/people/edit?name=viewer").text
    (number,) = re.findall(r'name="session" value="(\d+)"', page)
    admin.post("/people/sessions/end", {"name": "viewer", "session": number})
    assert viewer.get("/account").status_code == 302
    viewer.log_in("viewer")
    admin.post("/people/sessions/end", {"name": "viewer"})
    assert viewer.get("/account").status_code == 302
    assert "Nowhere" in admin.get("/people/edit?name=viewer").text


def test_when_a_session_was_used_is_shown(console: Console) -> None:
    browser = console.user("viewer")
    console.clock.advance(minutes=7)
    browser.get("/")
    seen = f"{console.clock():%Y-%m-%d %H:%M:%S} UTC"
    assert seen in browser.get("/account").text


def test_logins_and_logouts_are_in_the_audit_log(console: Console, admin: Browser) -> None:
    browser = console.user("viewer")
    browser.post("/logout")
    console.browser().log_in("viewer", "wrong")
    with console.sessions() as session:
        entries = list(each_entry(session, Filter(text="viewer")))
    assert [each.action for each in entries] == ["login", "logout", "login.failed"]
    assert {each.origin for each in entries} == {"127.0.0.1"}


def test_logging_out_ends_it(console: Console) -> None:
    browser = console.user("viewer")
    assert browser.post("/logout").location == "/login"
    assert browser.get("/").location == "/login"


def test_a_session_ends_after_a_working_day(console: Console) -> None:
    browser = console.user("viewer")
    console.clock.advance(hours=11, minutes=59)
    assert browser.get("/").status_code == 200
    console.clock.advance(minutes=1)
    assert browser.get("/").location == "/login"


@pytest.mark.parametrize("change", [{"session_epoch": 1}, {"disabled_at": "now"}])
def test_a_session_ends_with_the_account(console: Console, change: dict[str, object]) -> None:
    browser = console.user("viewer")
    with console.session() as session:
        user = session.scalars(select(User)).one()
        for name, value in change.items():
            setattr(user, name, console.clock() if value == "now" else value)
    assert browser.get("/").location == "/login"


def test_a_new_password_ends_every_other_session(console: Console) -> None:
    here, there = console.user("viewer"), console.browser()
    there.log_in("viewer")
    new = "another correct horse"
    answer = here.post("/account/password", {"old": PASSWORD, "password": new, "repeated": new})
    assert answer.status_code == 302
    assert here.get("/account").status_code == 200
    assert there.get("/account").location == "/login?next=/account"
    assert console.browser().log_in("viewer", new).status_code == 302


@pytest.mark.parametrize(
    ("old", "new", "repeated", "says"),
    [
        ("wrong", "another correct horse", "another correct horse", "not your current password"),
        (PASSWORD, "another correct horse", "something else", "two new passwords differ"),
        (PASSWORD, "short", "short", "it needs 8"),
        (PASSWORD, "", "", "it needs 8"),
        (PASSWORD, "superadmin", "superadmin", "the password is the name"),
    ],
)
def test_a_password_is_not_changed_into_a_bad_one(
    admin: Browser, console: Console, old: str, new: str, repeated: str, says: str
) -> None:
    form = {"old": old, "password": new, "repeated": repeated}
    answer = admin.post("/account/password", form)
    assert answer.status_code == 422
    assert says in answer.text
    assert console.browser().log_in("superadmin").status_code == 302


def test_colours_are_remembered(admin: Browser) -> None:
    assert "data-theme" not in admin.get("/account").text.partition(">")[0]
    answer = admin.post("/account/theme", {"theme": "dark", "next": "/account"})
    assert answer.location == "/account"
    assert '<html lang="en" data-theme="dark">' in admin.get("/account").text
    admin.post("/account/theme", {"theme": "<b>", "next": "/account"})
    assert '<html lang="en">' in admin.get("/account").text
