"""Counts the lives of agents that tests end, for the summary of the run."""

from collections import Counter
from collections.abc import Callable, Iterable

#: What the counts are called in reports; pytest carries them from its processes to the first one.
PROPERTY = "lives"


class Tried:
    """The lives that one test tried."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def life(self, kind: str, kills: int) -> None:
        """One more story is told, in which the agent dies so often."""
        self.counts[kind] += 1
        self.counts[f"{kind}: killed"] += kills

    def record(self, record: Callable[[str, object], None]) -> None:
        record(PROPERTY, dict(self.counts))


def summary(properties: Iterable[tuple[str, object]]) -> list[str]:
    """Return a line for each kind of lives in the properties of all reports."""
    total: Counter[str] = Counter()
    for name, value in properties:
        if name == PROPERTY and isinstance(value, dict):
            total.update(value)
    kinds = [kind for kind in total if not kind.endswith(": killed")]
    return [
        f"{total[kind]:,} lives tried {kind}, {total[f'{kind}: killed']:,} times killed"
        for kind in sorted(kinds)
    ]
