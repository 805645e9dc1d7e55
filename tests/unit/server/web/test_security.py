"""Forged requests, headers, cookies, static files; what templates and scripts may hold."""

import re
from pathlib import Path

import pytest
from sqlalchemy import func, select

import deploy_server.web
from deploy_server.storage.models import Group
from tests.support.console import BASE, Browser, Console

WEB = Path(deploy_server.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
REFERER = {"Referer": f"{BASE}/groups"}


def forged(console: Console, browser: Browser, token: str, headers: dict[str, str]) -> int:
    """The status of a form that makes a group; nothing may have been made."""
    form = {"name": "forged"} | ({"csrf_token": token} if token else {})
    answer = browser.client.post("/groups", base_url=BASE, data=form, headers=headers)
    with console.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Group)) == 0
    return answer.status_code


def test_a_form_without_token_is_refused(console: Console, admin: Browser) -> None:
    assert forged(console, admin, "", REFERER) == 403


def test_a_token_of_another_session_is_refused(console: Console, admin: Browser) -> None:
    other = console.user("admin")
    other.get("/account")
    assert forged(console, admin, other.token, REFERER) == 403


@pytest.mark.parametrize(
    "referer",
    [
        "",
        "https://evil.example/",
        "http://localhost/",
        "https://localhost.evil.example/",
        "https://localhost:444/",
    ],
)
def test_a_form_from_elsewhere_is_refused(console: Console, admin: Browser, referer: str) -> None:
    admin.get("/account")
    headers = {"Referer": referer} if referer else {}
    assert forged(console, admin, admin.token, headers) == 403


def test_a_refused_form_says_what_to_do(admin: Browser) -> None:
    answer = admin.client.post("/groups", base_url=BASE, data={"name": "x"}, headers=REFERER)
    assert "reload the page and send it again" in answer.text


def test_reading_never_changes_anything(console: Console, admin: Browser) -> None:
    assert admin.get("/groups?name=x&csrf_token=y").status_code == 200
    with console.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Group)) == 0


def test_pages_carry_the_headers(admin: Browser) -> None:
    headers = admin.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "data:" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers  # other ports of the host are not ours


@pytest.mark.parametrize("path", ["/nothing", "/login", "/static/none.css"])
def test_error_pages_and_the_login_carry_them_too(console: Console, path: str) -> None:
    answer = console.browser().get(path)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_on_the_standard_port_browsers_stay_with_https_for_a_day(
    console: Console, admin: Browser
) -> None:
    object.__setattr__(console.config, "https_port", 443)
    assert admin.get("/").headers["Strict-Transport-Security"] == "max-age=86400"


def test_static_files_are_kept_because_their_address_changes_with_them(admin: Browser) -> None:
    (address,) = re.findall(
        r'href="(/static/css/tokens\.css\?v=[0-9a-f]{12})"', admin.get("/").text
    )
    with admin.get(address) as answer:
        assert answer.mimetype == "text/css"
        assert "max-age=31536000" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "css/../../app.py"])
def test_static_files_end_at_their_folder(admin: Browser, path: str) -> None:
    assert admin.get(f"/static/{path}").status_code in (404, 302, 308)


def test_every_asset_is_our_own() -> None:
    for path in [*TEMPLATES, *(WEB / "static").rglob("*.css"), *(WEB / "static").rglob("*.js")]:
        found = re.findall(r"""(?:src|href|url\(|import)[^\n]{0,4}["'(]\s*(?:https?:)?//""",
                           path.read_text())  # fmt: skip
        assert not found, path


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(WEB).as_posix())
def test_templates_escape_and_hold_no_script_or_style(path: Path) -> None:
    text = path.read_text()
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)


@pytest.mark.parametrize("path", sorted((WEB / "static" / "js").glob("*.js")), ids=lambda p: p.name)
def test_scripts_evaluate_nothing(path: Path) -> None:
    text = path.read_text()
    assert not re.search(
        r"\beval\(|new Function|document\.write|insertAdjacentHTML|outerHTML", text
    )
    # innerHTML takes what the server rendered and escaped, and nothing else.
    assert set(re.findall(r"innerHTML = ([^;]+);", text)) <= {"html", "await answer.text()"}


def test_every_form_that_posts_has_a_token() -> None:
    for path in TEMPLATES:
        for form in re.findall(r'<form[^>]*method="post".*?</form>', path.read_text(), re.DOTALL):
            # Inside its own file the macro has no name before it.
            assert re.search(r"{{ (parts\.)?token\(\) }}", form), path


@pytest.mark.parametrize("path", ["/download/1800000001/info", "/healthz"])
def test_what_machines_get_varies_by_no_cookie(console: Console, path: str) -> None:
    answer = console.user("admin").get(path)
    assert "Cookie" not in answer.headers.get("Vary", "")
    assert "Set-Cookie" not in answer.headers


def test_pages_do_vary_by_cookie(console: Console) -> None:
    assert "Cookie" in console.user("admin").get("/packages").headers["Vary"]
