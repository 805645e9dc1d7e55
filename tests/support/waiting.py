"""Waiting for something to become true, with a deadline and a reason instead of a blind sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T], what: str, seconds: float = 30, every: float = 0.05) -> T:
    """The first truthy answer of ``probe``; AssertionError naming ``what`` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)
