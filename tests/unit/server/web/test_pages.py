"""Nobody adds a page to the console that the tests of every page do not look at."""

from tests.support.console import Console
from tests.support.pages import NOWHERE, PAGES, left_out
from tests.support.payloads import fill


def test_the_browser_looks_at_every_page(console: Console) -> None:
    assert left_out(console.app, PAGES) == {NOWHERE}


def test_payloads_go_to_every_page(console: Console) -> None:
    with console.session() as session:
        found = fill(session, console.clock(), "text")
    assert left_out(console.app, found) == set()


def test_a_page_that_nobody_looks_at_is_found(console: Console) -> None:
    some = [each for each in PAGES if not each.startswith("/people")]
    assert left_out(console.app, [*some, "/users"]) == {
        NOWHERE, "/users", "users.index", "users.edit",
    }  # fmt: skip
