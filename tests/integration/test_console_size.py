"""The console of 5,000 computers: pages of every kind, assigning to all, deleting.

Judged by CPU time, the database's included: what others do on the machine does not change it. The
full size is `python -m tests.benchmarks console`.
"""

from pathlib import Path

import pytest

from tests.benchmarks.console import Console, lines
from tests.benchmarks.console_pages import Page, pages
from tests.benchmarks.place import DATABASES, Place
from tests.benchmarks.population_fleet import Sizes

#: Several times what they take on a machine with nothing else to do: CPU costs more on a busy one.
PAGE_CPU_S = 0.8
DEED_CPU_S = 2.0


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_every_page_is_cheap(tmp_path: Path, database: str) -> None:
    with Place.made(tmp_path, database, Sizes(5000, sets=50)) as place:
        console = Console(place, rounds=1)
        telling = [each for each in pages(place.sizes) if _is_telling(each)]
        shown = [console.page(each) for each in telling[::2]]
        done = list(console.deeds(times=1))
        console.visitor.close()
    dear = [each for each in shown if each.cpu_s > PAGE_CPU_S]
    dear += [each for each in done if each.cpu_s > DEED_CPU_S]
    assert not dear, "\n".join(lines(dear))
    assert len(shown) > 40


def _is_telling(page: Page) -> bool:
    """Late pages cost more than early ones; a whole file is another measure."""
    early = "first page" in page.label or "middle page" in page.label
    return not early and not page.stream
