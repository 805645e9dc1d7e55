"""Whatever agents and people send is text on every page, and breaks none of them."""

import re
from html.parser import HTMLParser

import pytest
from sqlalchemy import select

from deploy_server.domain.search.writing import quoted
from deploy_server.storage.models import (
    AgentEvent,
    JobTemplate,
    Report,
    SavedSearch,
    Setting,
    User,
    Withdrawal,
)
from tests.support.console import Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
    make_user,
)

pytestmark = pytest.mark.slow  # every page, for every payload

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"' onmouseover=alert(1) x='",
    "image": "<img src=x onerror=alert(1)>",
    "svg": "</title><svg/onload=alert(1)>",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}",
    "comment": "--><!-- ]]> <style>*{display:none}</style>",
    "link": "javascript:alert(1)",
    "direction": "\u202egnp.exe\u2066\u05e9\u05dc",
    "control": "a\tb\x07c\r\nd",
    "long": "W" * 10_000,
    "percent": "%s %(x)s %00 {0} \\x00",
}


def fill(console: Console, text: str) -> list[str]:
    """Put the text wherever it can be; returns the pages that show it."""
    with console.session() as session:
        computer = make_computer(
            session, device_id=text, name=text, tag=text, os=text, user=text, ip=text, model=text,
            serial=text, agent=text, workgroup=text, arch=text, os_version=text,
        )  # fmt: skip
        twin = make_computer(session, name=text, tag=text, serial=text, agent=text)
        package = make_package(
            session, name=text, description=text, target=text, file_name=text, created_by=text,
            options={"notify_text": text, "done_text": text},
        )  # fmt: skip
        activation = make_activation(session, package, created_by=text)
        group = make_group(
            session, computer, excluded=(twin,), name=text, description=text, visible=True
        )
        session.add(
            JobTemplate(name=text, name_key="x", created_at=console.clock(), created_by=text,
                        values={"target": text, "script": text, "script_name": text, "os": text})
        )  # fmt: skip
        owner = session.scalars(select(User)).first() or make_user(session)
        session.add(
            SavedSearch(owner_id=owner.id, name=text, name_key="x", audience="all",
                        expression=quoted(text[:300]), created_at=console.clock())
        )  # fmt: skip
        make_group_assignment(session, group, activation, assigned_by=text)
        ended = make_assignment(
            session, computer, activation, status=f"ERR_{text[:200]}", assigned_by=text,
            postcmd=text, group_id=group.id,
        )  # fmt: skip
        told = make_assignment(session, computer, status="NOTIFIED", attempt=7)
        for number, (package_id, attempt) in enumerate(
            [(package.id, ended.attempt), (told.package_id, told.attempt)]
        ):
            session.add(
                AgentEvent(computer_id=computer.id, package_id=package_id, attempt=attempt,
                           event_id=str(number), received_at=console.clock(), at=console.clock(),
                           state="DOWNLOADING", reason=text, done=1, total=4, exit_code=3,
                           output=text * 3, truncated=True)
            )  # fmt: skip
        session.add(Withdrawal(computer_id=computer.id, package_id=package.id, attempt=99,
                               at=console.clock(), by=text, word="stopped"))  # fmt: skip
        session.add(
            Report(at=console.clock(), device_id=text, computer_name=text, package_id=package.id,
                   package_name=text, code=text[:250], result_class=3, note=text)
        )  # fmt: skip
        session.add(Setting(scope="global", scope_id=0, name="AGENTS_ALLOWED", value=text,
                            changed_at=console.clock(), changed_by=text))  # fmt: skip
    one, two, three, four = package.id, computer.id, group.id, twin.id
    return [
        "/", "/progress", "/failures", "/packages", f"/packages/{one}", f"/packages/{one}/counts",
        f"/packages/{one}/results", f"/packages/{one}/activate", f"/packages/delete?package={one}",
        f"/packages/{one}/results/validate?what=all",
        f"/activations/end?activation={activation.id}",
        "/computers", f"/computers/{two}", f"/computers/{two}?tab=groups",
        f"/computers/{two}/output/{one}", f"/packages/{told.package_id}/results",
        f"/computers/{two}?tab=history", f"/computers/{two}?tab=settings",
        f"/computers/tag?computer={two}", f"/computers/settings?computer={two}",
        "/computers/duplicates?by=name", f"/computers/duplicates/merge?keep={two}&computer={four}",
        "/packages/build/templates", "/packages/build/templates/own/1", "/packages/build",
        f"/computers/delete?computer={two}", f"/deploy?computer={two}&activation={activation.id}",
        "/groups", f"/groups/{three}", f"/groups/{three}/delete", f"/groups/choose?computer={two}",
        "/settings", f"/settings/computer/{two}", f"/settings/group/{three}", "/people",
    ]  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and what they would run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.dangers: list[str] = []
        self.shown: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            runs = name in ("href", "src", "action", "formaction") and (value or "").strip()
            ours = (value or "").strip().startswith(("/", "#"))
            if name.startswith("on") or (runs and not ours):
                self.dangers.append(f"<{tag} {name}={value!r}>")

    def handle_comment(self, data: str) -> None:
        self.dangers.append(f"<!--{data}")

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


#: Elements that a page may have; a payload would bring others.
FORBIDDEN = {"img", "style", "iframe", "object", "embed", "base"}


def check(page: str, path: str) -> Page:
    found = Page(page)
    assert found.dangers == [], path
    assert not found.elements & FORBIDDEN, path
    assert "alert(1)" not in "".join(re.findall(r"<script.*?</script>", page, re.DOTALL)), path
    return found


@pytest.mark.parametrize("name", PAYLOADS)
def test_it_is_text_on_every_page(admin: Browser, console: Console, name: str) -> None:
    for path in fill(console, PAYLOADS[name]):
        answer = admin.get(path)
        assert answer.status_code == 200, path
        page = check(answer.text, path)
        assert "49" not in [each.strip() for each in page.shown], path


def test_what_turns_the_direction_of_writing_is_shown(admin: Browser, console: Console) -> None:
    for path in fill(console, PAYLOADS["direction"]):
        page = admin.get(path).text
        # A field has to hold what was typed; everything else shows where the direction turns.
        shown = re.sub(r"<textarea.*?</textarea>", "", page, flags=re.DOTALL)
        assert "\u202e" not in "".join(Page(shown).shown), path


def test_long_text_stays_bounded(admin: Browser, console: Console) -> None:
    for path in fill(console, "W" * 10_000):
        page = admin.get(path).text
        # Forms hold what was typed; the page of an output shows all of it, 64 KiB at most.
        held = r"<textarea.*?</textarea>|<input[^>]*>|<pre class=\"code whole.*?</pre>"
        bounded = re.sub(held, "", page, flags=re.DOTALL)
        assert "W" * 4001 not in bounded, path


def test_it_stays_what_it_was_in_forms(admin: Browser, console: Console) -> None:
    payload = PAYLOADS["script"] + PAYLOADS["attribute"]
    fill(console, payload)
    assert payload in "".join(Page(admin.get("/settings").text).shown)


@pytest.mark.parametrize("query", list(PAYLOADS.values())[:6])
@pytest.mark.parametrize(
    "path",
    ["/computers?q=", "/packages?q=", "/packages?sort=", "/failures?code=", "/login?next=",
     "/people/edit?name=", "/computers?sort=", "/deploy?q=", "/groups?expression=",
     "/searches/complete?q=", "/searches/criteria?field=", "/computers/tag?q=",
     "/computers/duplicates?by="],
)  # fmt: skip
def test_an_address_cannot_carry_it_either(
    admin: Browser, console: Console, path: str, query: str
) -> None:
    base, _, name = path.partition("?")
    answer = admin.get(base, query_string={name.rstrip("="): query})
    assert answer.status_code in (200, 302, 404, 422)
    check(answer.text, path)


@pytest.mark.parametrize("value", ["\x00", "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe"])
def test_bytes_that_are_no_text_are_no_mistake(admin: Browser, value: str | bytes) -> None:
    assert admin.post("/groups", {"name": value}).status_code < 500
    answer = admin.post("/deploy/preview", {"q": value, "activation": value}, fetch=True)
    assert answer.status_code < 500
    assert admin.get("/computers?q=%00%ff%ed%a0%80").status_code < 500
