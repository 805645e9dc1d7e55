"""A story by the keyboard alone: what is not reached by the Tab key is not there."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_main_job import PATIENCE_MS


def press(page: Page, target: Locator) -> None:
    """Go to it by the Tab key alone, and press it."""
    expect(target).to_be_visible(timeout=PATIENCE_MS)
    go_to(page, target)
    with page.expect_navigation(timeout=PATIENCE_MS):
        page.keyboard.press("Enter")


def go_to(page: Page, target: Locator) -> None:
    """Go to it by the Tab key alone."""
    for _ in range(100):
        if target.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"the Tab key does not lead to {target}")


def tick(page: Page, target: Locator) -> None:
    """Go to a box by the Tab key, and tick it."""
    expect(target).to_be_visible(timeout=PATIENCE_MS)
    go_to(page, target)
    page.keyboard.press("Space")
    expect(target).to_be_checked()


def write(page: Page, target: Locator, text: str) -> None:
    """Go to a field by the Tab key, and type."""
    expect(target).to_be_visible(timeout=PATIENCE_MS)
    go_to(page, target)
    page.keyboard.type(text)
