"""Pages of lists that are already in memory."""

from collections.abc import Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")


class SlicedPage(Generic[Row]):
    """A page of a list, with the names that pages of services have.

    Attributes:
        rows: at most `page_size`.
        total: rows of all pages.
        page: from 1; past the end it is the last one.
        page_size: rows of a full page.
        pages: how many there are, at least one.
    """

    def __init__(self, rows: Sequence[Row], page: int, page_size: int) -> None:
        self.total = len(rows)
        self.page_size = page_size
        self.pages = max(1, -(-self.total // page_size))
        self.page = min(page, self.pages)
        first = (self.page - 1) * page_size
        self.rows = tuple(rows[first : first + page_size])
