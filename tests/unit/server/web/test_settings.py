"""Settings of everybody, groups and computers; certificates."""

import hashlib
import html
import re

import pytest
from sqlalchemy import select

from deploy_server.storage.models import Setting
from tests.support.console import Browser, Console
from tests.support.factories import make_computer, make_group


def stored(console: Console) -> dict[tuple[str, str], str]:
    with console.sessions() as session:
        return {(row.scope, row.name): row.value for row in session.scalars(select(Setting))}


def test_every_option_is_there_with_its_default(admin: Browser) -> None:
    page = admin.get("/settings").text
    for name in ("DOWNLOAD_FRAG_LATENCY", "DOWNLOAD_PERIOD_LENGTH", "PROLOG_FREQ", "FREQUENCY",
                 "AGENTS_OVER_HTTP", "CONTACT_MINUTES"):  # fmt: skip
        assert f'id="{name}"' in page, name
    assert "Default: 60" in page
    assert "9 h 23 min" in page


def test_what_changed_is_kept_and_nothing_else(admin: Browser, console: Console) -> None:
    form = {"DOWNLOAD_FRAG_LATENCY": "0", "PROLOG_FREQ": "", "DOWNLOAD": ""}
    assert admin.post("/settings", form).location == "/settings"
    assert stored(console) == {("global", "DOWNLOAD_FRAG_LATENCY"): "0"}
    page = admin.get("/settings").text
    assert "Changed 1 setting" in page
    assert 'value="0"' in page
    assert "by superadmin" in page


def test_an_emptied_field_goes_back_to_the_default(admin: Browser, console: Console) -> None:
    admin.post("/settings", {"PROLOG_FREQ": "48"})
    admin.post("/settings", {"PROLOG_FREQ": ""})
    assert stored(console) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROLOG_FREQ", "0"),
        ("PROLOG_FREQ", "often"),
        ("DOWNLOAD_PERIOD_LENGTH", "0"),
        ("DOWNLOAD_FRAG_LATENCY", "-1"),
        ("DOWNLOAD_FRAG_LATENCY", "1.5"),
        ("DOWNLOAD", "maybe"),
        ("DOWNLOAD_URI_INFO", "http://x/y"),
    ],
)
def test_a_bad_value_is_named_and_nothing_is_changed(
    admin: Browser, console: Console, name: str, value: str
) -> None:
    answer = admin.post("/settings", {"CONTACT_MINUTES": "5", name: value})
    assert answer.status_code == 422
    assert f'id="{name}-problem"' in answer.text
    assert f'value="{value}"' in answer.text or name == "DOWNLOAD"
    assert stored(console) == {}


def test_a_value_with_a_catch_is_warned_about(admin: Browser) -> None:
    admin.post("/settings", {"FREQUENCY": "-1"})
    assert "no deployment either" in admin.get("/settings").text


def test_a_group_and_a_computer_have_their_own(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session)
        group = make_group(session, computer, name="Pilot")
    admin.post(f"/settings/group/{group.id}", {"DOWNLOAD_TIMEOUT": "7"})
    admin.post(f"/settings/computer/{computer.id}", {"DOWNLOAD_CYCLE_LATENCY": "1"})
    assert stored(console) == {
        ("group", "DOWNLOAD_TIMEOUT"): "7",
        ("computer", "DOWNLOAD_CYCLE_LATENCY"): "1",
    }
    assert "Settings of Pilot" in admin.get(f"/settings/group/{group.id}").text
    page = admin.get(f"/computers/{computer.id}?tab=settings").text
    assert "group Pilot" in page
    assert "this computer" in page
    assert "<strong>on</strong>" in page  # DOWNLOAD
    assert "AGENTS_OVER_HTTP" not in admin.get(f"/settings/computer/{computer.id}").text


def test_a_change_says_whom_it_reaches_before_and_after(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computers = [make_computer(session) for _ in range(3)]
        group = make_group(session, *computers[:2], name="Room*")
        make_group(session, computers[2], name="Room 13")  # which a star would find
    asked = r"Counts for <a href=\"([^\"]+)\">([^<]+)</a>"
    for path, said, there in (
        ("/settings", "3 computers", "3 computers"),
        (f"/settings/group/{group.id}", "2 computers", "2 members"),
    ):
        ((address, reached),) = re.findall(asked, admin.get(path).text)
        assert reached == said
        assert f">{there}</h2>" in admin.get(html.unescape(address)).text
        admin.post(path, {"DOWNLOAD_TIMEOUT": "7"})
        assert f"Changed 1 setting for {said}; agents learn it" in admin.get(path).text
    admin.post("/settings", {"AUDIT_DAYS": "900"})  # which concerns no agent
    page = admin.get("/settings").text
    assert "Changed 1 setting." in page
    assert "agents learn it" not in page


def test_a_page_says_what_its_own_values_do(admin: Browser, console: Console) -> None:
    with console.session() as session:
        computer = make_computer(session)
        group = make_group(session, computer, name="Pilot")
    admin.post("/settings", {"DOWNLOAD_CYCLE_LATENCY": "30"})
    assert "Default 60." in admin.get("/settings").text  # the field has another value
    address = f"/settings/group/{group.id}"
    assert "As for everybody: 30" in admin.get(address).text
    admin.post(address, {"DOWNLOAD_CYCLE_LATENCY": "0"})
    for path, duration, share in (
        ("/settings", "5 h 23 min", "4 h"),
        (address, "1 h 23 min", "0 s"),
        (f"/settings/computer/{computer.id}", "1 h 23 min", "0 s"),
    ):
        page = admin.get(path).text
        assert f"<strong>{duration}</strong>" in page, path
        assert f"it takes {share}." in page, path
        assert "it takes 16 min." in page, path  # fragments


@pytest.mark.parametrize("path", ["group/77", "computer/77"])
def test_settings_of_nothing(admin: Browser, path: str) -> None:
    assert admin.get(f"/settings/{path}").status_code == 404
    assert admin.post(f"/settings/{path}").status_code == 404


def test_who_may_not_change_them_reads_them(console: Console) -> None:
    page = console.user("admin").get("/settings").text
    assert "disabled" in page
    assert "Save</button>" not in page


def test_people_with_tags_change_their_computers_only(console: Console) -> None:
    with console.session() as session:
        mine = make_computer(session, tag="LYON")
        group = make_group(session, mine)
    lyon = console.user("admin", "LYON")
    form = {"DOWNLOAD_TIMEOUT": "7"}
    assert lyon.post(f"/settings/computer/{mine.id}", form).status_code == 302
    assert lyon.post(f"/settings/group/{group.id}", form).status_code == 403
    assert set(stored(console)) == {("computer", "DOWNLOAD_TIMEOUT")}


def test_cacert_pem_is_offered_with_its_digest(console: Console) -> None:
    viewer = console.user("viewer")
    answer = viewer.get("/settings/cacert.pem")
    assert answer.data == (console.config.certs / "cacert.pem").read_bytes()
    assert "cacert.pem" in answer.headers["Content-Disposition"]
    page = viewer.get("/settings/certificates").text
    assert hashlib.sha256(answer.data).hexdigest() in page
    assert "deploy.example.org" in page
    assert re.search(r"82[45] days left", page)


def test_an_ending_certificate_is_warned_about(console: Console) -> None:
    console.clock.advance(days=800)
    admin = console.user("superadmin")
    for path in ("/", "/settings/certificates"):
        assert "deploy-server cert renew" in admin.get(path).text


def test_a_missing_certificate_is_no_mistake(admin: Browser, console: Console) -> None:
    (console.config.certs / "cacert.pem").unlink()
    for path in ("/settings/certificates", "/settings/cacert.pem"):
        assert admin.get(path).status_code == 404
    assert admin.get("/").status_code == 200


def test_lines_are_kept_as_a_browser_sends_them(admin: Browser, console: Console) -> None:
    for _ in range(2):
        answer = admin.post("/settings", {"AGENTS_ALLOWED": "One/*\r\nTwo/*"})
        assert answer.status_code == 302
    with console.sessions() as session:
        assert session.scalars(select(Setting.value)).one() == "One/*\nTwo/*"
    assert admin.get("/audit?action=setting").text.count("setting.set</span>") == 1
