"""What the runs of a row came to: medians, spread, targets held or missed; JSON and a table."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.measure import Result

#: Cores that others used on the average, from which on wall times mean little.
_BUSY = 0.25

#: Cores of the load generator from which on it, and not the server, is what is measured.
_BOUND = 0.8

_HEAD: tuple[str, ...] = (
    "row", "measure", "figure", "target", "held", "at the reference's speed", "spread"
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One figure, and what the machine was like in its run.

    Attributes:
        result: the figure.
        speed: how many times slower the machine was than where the targets were set.
        others: cores that other programs used meanwhile.
    """

    result: Result
    speed: float = 1.0
    others: float = 0.0


@dataclass
class Figure:
    """One line of the table: a measure of a row, and what each run gave.

    Attributes:
        row: the name of the benchmark.
        samples: of its runs.
    """

    row: str
    samples: list[Sample] = field(default_factory=list)

    @property
    def first(self) -> Result:
        return self.samples[0].result

    @property
    def values(self) -> list[float]:
        return [each.result.value for each in self.samples]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float | None:
        """How far the runs are apart, as a share of the median; nothing of a single run."""
        if len(self.values) < 2 or not self.median:
            return None
        return (max(self.values) - min(self.values)) / self.median

    @property
    def limit(self) -> float | None:
        """The limit; the median where it was measured in each run."""
        limits = [each.result.limit for each in self.samples if each.result.limit is not None]
        return statistics.median(limits) if limits else None

    @property
    def scaled(self) -> float | None:
        """What it would be where the targets were set; of CPU times only."""
        if "CPU" not in self.first.unit:
            return None
        return statistics.median(each.result.value / each.speed for each in self.samples)

    @property
    def held(self) -> bool | None:
        return self._holds(self.median)

    @property
    def held_there(self) -> bool | None:
        """Whether the limit is held where the targets were set."""
        return None if self.scaled is None else self._holds(self.scaled)

    @property
    def missed_by(self) -> float | None:
        """How many times worse than its target; None where that is held."""
        return self.factor if self.held is False else None

    @property
    def is_loaded(self) -> bool:
        """Whether it is a wall time of a machine that others used."""
        return self.first.wall and any(each.others > _BUSY for each in self.samples)

    @property
    def is_bound(self) -> bool:
        """Whether it is a wall time that the load generator set, not the server."""
        cores = [
            value
            for each in self.samples
            for name, value in each.result.details.items()
            if name.startswith("generator_cores")
        ]
        return self.first.wall and any(value > _BOUND for value in cores)

    @property
    def factor(self) -> float | None:
        """How many times worse than its limit; below 1 is better than it."""
        if not self.limit or not self.median:
            return None
        ratio = self.median / self.limit
        return ratio if self.first.better == "lower" else 1 / ratio

    def _holds(self, value: float) -> bool | None:
        if self.limit is None or not self.first.is_target:
            return None
        return value <= self.limit if self.first.better == "lower" else value >= self.limit

    def as_json(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "measure": self.first.measure,
            "figure": self.median,
            "unit": self.first.unit,
            "target": self.limit,
            "target_is": self.first.limit_is if self.limit is not None else "",
            "better": self.first.better,
            "is_target": self.first.is_target,
            "held": self.held,
            "factor": self.factor,
            "missed_by": self.missed_by,
            "at_reference_speed": self.scaled,
            "held_at_reference_speed": self.held_there,
            "runs": len(self.samples),
            "spread": self.spread,
            "values": self.values,
            "wall": self.first.wall,
            "loaded": self.is_loaded,
            "generator_bound": self.is_bound,
            "why": self.first.why if self.held is False else "",
            "speeds": [round(each.speed, 2) for each in self.samples],
            "others_cores": [round(each.others, 2) for each in self.samples],
            "details": [each.result.details for each in self.samples],
        }


def collected(row: str, samples: Iterable[Sample]) -> list[Figure]:
    """Put the samples of the same measure together, in the order in which they came first."""
    figures: dict[str, Figure] = {}
    for sample in samples:
        figures.setdefault(sample.result.measure, Figure(row)).samples.append(sample)
    return list(figures.values())


def table(figures: list[Figure]) -> str:
    """The figures as a table in Markdown; below it why what is missed is missed."""
    rows = [_HEAD, *(_cells(each) for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        lines.append(f"| {' | '.join(cells)} |")
        if number == 0:
            lines.append(f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    if any(each.is_loaded for each in figures):
        lines += ["", "~ a wall time, taken while other programs used the machine"]
    if any(each.is_bound for each in figures):
        lines += ["", "^ the load generator was busy all the time: the server can do more"]
    reasons = {f"{each.first.measure}: {each.first.why}" for each in _missed(figures)}
    return "\n".join([*lines, *(["", *(f"* {each}" for each in sorted(reasons))] * bool(reasons))])


def _missed(figures: list[Figure]) -> list[Figure]:
    return [each for each in figures if each.held is False and each.first.why]


def _cells(each: Figure) -> tuple[str, ...]:
    unit = each.first.unit
    target = held = there = ""
    if each.limit is not None:
        sign = "<=" if each.first.better == "lower" else ">="
        target = f"{sign} {each.limit:.4g}"
        if not each.first.is_target:
            target = f"({each.limit:.4g} {each.first.limit_is})"
        held = _word(each)
    if each.scaled is not None:
        there = f"{each.scaled:.3g}"
        if each.held_there is not None:
            there += " held" if each.held_there else " missed"
    spread = "" if each.spread is None else f"{100 * each.spread:.0f} % of {len(each.values)}"
    marks = "~" * each.is_loaded + "^" * each.is_bound
    figure = f"{marks}{each.median:.4g} {unit}"
    return (each.row, each.first.measure, figure, target, held, there, spread)


def _word(each: Figure) -> str:
    if not each.first.is_target:
        return "" if each.factor is None else f"({each.factor:.2f})"
    if each.held:
        return "yes"
    return "no" if each.missed_by is None else f"no, by {each.missed_by:.2f}"
