"""Whatever agents and people send is text on every page, and breaks none of them."""

import re
from html.parser import HTMLParser

import pytest

from tests.support.console import Browser, Console
from tests.support.payloads import PAYLOADS
from tests.support.payloads import fill as fill_database

pytestmark = pytest.mark.slow  # every page, for every payload


def fill(console: Console, text: str) -> list[str]:
    """Put the text wherever it can be; returns the pages that show it."""
    with console.session() as session:
        return fill_database(session, console.clock(), text)


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
        most = 5000 if path == "/audit" else 4000
        assert "W" * (most + 1) not in bounded, path


def test_it_stays_what_it_was_in_forms(admin: Browser, console: Console) -> None:
    payload = PAYLOADS["script"] + PAYLOADS["attribute"]
    fill(console, payload)
    assert payload in "".join(Page(admin.get("/settings").text).shown)


ASKING = (
    "/computers?q", "/packages?q", "/packages?sort", "/failures?code", "/login?next",
    "/people/edit?name", "/computers?sort", "/deploy?q", "/groups?expression",
    "/searches/complete?q", "/searches/criteria?field", "/computers/tag?q",
    "/computers/duplicates?by", "/audit?q", "/audit?since",
)  # fmt: skip


@pytest.mark.parametrize("query", list(PAYLOADS.values())[:6])
def test_an_address_cannot_carry_it_either(admin: Browser, query: str) -> None:
    for path in ASKING:
        base, _, name = path.partition("?")
        answer = admin.get(base, query_string={name: query})
        assert answer.status_code in (200, 302, 404, 422), path
        check(answer.text, path)


@pytest.mark.parametrize("value", ["\x00", "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe"])
def test_bytes_that_are_no_text_are_no_mistake(admin: Browser, value: str | bytes) -> None:
    assert admin.post("/groups", {"name": value}).status_code < 500
    answer = admin.post("/deploy/preview", {"q": value, "activation": value}, fetch=True)
    assert answer.status_code < 500
    assert admin.get("/computers?q=%00%ff%ed%a0%80").status_code < 500
