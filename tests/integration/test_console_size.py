"""The console of 5,000 computers: every page, assigning to all, deleting; as the benchmark does.

Judged by CPU time, the database's included: what others do on the machine does not change it. The
full size is `python -m tests.benchmarks console`.
"""

from pathlib import Path

import pytest

from tests.benchmarks.console import Console, lines
from tests.benchmarks.console_pages import Page, pages
from tests.benchmarks.place import DATABASES, Place
from tests.benchmarks.population_fleet import Sizes

PAGE_CPU_S = 0.3
DEED_CPU_S = 1.5


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_every_page_is_cheap(tmp_path: Path, database: str) -> None:
    with Place.made(tmp_path, database, Sizes(5000, sets=50)) as place:
        console = Console(place, rounds=1)
        shown = [console.page(each) for each in pages(place.sizes) if _is_telling(each)]
        done = list(console.deeds(times=1))
        console.visitor.close()
    dear = [each for each in shown if each.cpu_s > PAGE_CPU_S]
    dear += [each for each in done if each.cpu_s > DEED_CPU_S]
    assert not dear, "\n".join(lines(dear))
    assert len(shown) > 80


def _is_telling(page: Page) -> bool:
    """Late pages cost more than early ones."""
    return "first page" not in page.label and "middle page" not in page.label
