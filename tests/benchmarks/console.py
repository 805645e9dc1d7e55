"""The console of a large installation:

    python -m tests.benchmarks console [--computers 100000] [--database sqlite|postgresql|both]

A real server process with a population; somebody who is logged in opens every list, search, result
page and export over HTTPS, assigns a package to every computer and deletes it. The exit status says
whether every limit held: 1.5 s for a page and the first byte of an export, 5 s for assigning and
for deleting, each the 95th percentile.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.console_pages import Page, pages
from tests.benchmarks.place import DATABASES, Place, report
from tests.benchmarks.population_fleet import Sizes
from tests.benchmarks.visitor import Answer, Visitor

PAGE_LIMIT_S = 1.5
DEED_LIMIT_S = 5.0
_ROUNDS = 10  # at most; a slow page is asked for less often
_SECONDS_A_PAGE = 4.0


@dataclass
class Timing:
    """What one page took.

    Attributes:
        label: what was asked.
        limit_s: for the 95th percentile; None where there is none.
        walls: seconds, of each time.
        server_s: CPU of the server's processes for one.
        database_s: CPU of the database's processes for one; 0 on SQLite, which has none.
        first_s: of the first time, which also compiles the page; not among `walls`.
        whole_s: until the last byte, where `walls` end with the first.
    """

    label: str
    limit_s: float | None
    walls: list[float] = field(default_factory=list)
    server_s: float = 0.0
    database_s: float = 0.0
    first_s: float = 0.0
    whole_s: float | None = None

    @property
    def median_s(self) -> float:
        return sorted(self.walls)[len(self.walls) // 2]

    @property
    def p95_s(self) -> float:
        return sorted(self.walls)[min(len(self.walls) - 1, int(0.95 * len(self.walls)))]

    @property
    def cpu_s(self) -> float:
        return self.server_s + self.database_s

    @property
    def held(self) -> bool:
        return self.limit_s is None or self.p95_s < self.limit_s

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "median_s": self.median_s, "p95_s": self.p95_s, "held": self.held}


class Console:
    """Somebody in front of the console of a place.

    Args:
        place: server and database.
        rounds: how often each page is asked for at most.
    """

    def __init__(self, place: Place, rounds: int = _ROUNDS) -> None:
        self.place = place
        self.rounds = rounds
        self.visitor = Visitor(place.server)
        self.visitor.log_in()

    def page(self, page: Page) -> Timing:
        """Ask for a page again and again."""
        timing = Timing(page.label, PAGE_LIMIT_S)
        timing.first_s = self._asked(page, timing).first_byte_s
        began = time.perf_counter()
        with self._cpu(timing) as times:
            while len(timing.walls) < self.rounds:
                timing.walls.append(self._asked(page, timing).first_byte_s)
                if len(timing.walls) >= 3 and time.perf_counter() - began > _SECONDS_A_PAGE:
                    break
            times.append(len(timing.walls))
        return timing

    def _asked(self, page: Page, timing: Timing) -> Answer:
        answer = self.visitor.get(page.path)
        assert answer.status == 200, f"{page.path}: {answer.status}\n{answer.text[:2000]}"
        if page.stream:
            timing.whole_s = answer.whole_s
            return answer
        # A page counts when it is all there.
        return Answer(answer.status, answer.body, answer.whole_s, answer.whole_s)

    def deeds(self, times: int = 3) -> Iterator[Timing]:
        """Assign a package to every computer, and delete it with all of that."""
        count = self.place.sizes.computers
        assigned = Timing(f"assign to {count:,} computers", DEED_LIMIT_S)
        previewed = Timing(f"preview of {count:,} computers", PAGE_LIMIT_S)
        deleted = Timing(f"delete a package with {count:,} assignments", DEED_LIMIT_S)
        for number in range(times):
            package = self.place.publish(f"for everybody {number} {time.time()}")
            activation = self.place.activation_of(package)
            order = {"activation": activation, "target": "all"}
            form = self._timed(previewed, lambda order=order: self.visitor.form("/deploy", order))
            form |= {**order, "do": "assign"}
            self._timed(assigned, lambda form=form: self.visitor.post("/deploy", form))
            total = self.place.server.json("stats", package)["total"]
            assert total == count, f"assigned to {total} of {count}"
            gone = {"package": package}
            self._timed(deleted, lambda gone=gone: self.visitor.post("/packages/delete", gone))
            assert self.place.server.json("stats", package)["total"] == 0
        yield from (previewed, assigned, deleted)

    def _timed(self, timing: Timing, do: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        with self._cpu(timing) as times:
            done = do()
            timing.walls.append(time.perf_counter() - began)
            times.append(1)
        return done

    @contextmanager
    def _cpu(self, timing: Timing) -> Iterator[list[int]]:
        """The CPU of what happens within, for each of the times that are put into the list."""
        times: list[int] = []
        before = self.place.cpu_s()
        yield times
        after = self.place.cpu_s()
        timing.server_s = max(timing.server_s, (after[0] - before[0]) / sum(times))
        timing.database_s = max(timing.database_s, (after[1] - before[1]) / sum(times))


def lines(timings: list[Timing]) -> list[str]:
    """The table."""
    head = f"{'page':<72} {'median':>7} {'p95':>7} {'CPU':>7} {'db CPU':>7}  {'limit':>5}"
    found = [head, "-" * len(head)]
    for each in timings:
        limit = "" if each.limit_s is None else f"{each.limit_s:.1f}"
        numbers = (each.median_s, each.p95_s, each.server_s, each.database_s)
        row = f"{each.label[:72]:<72} " + " ".join(f"{number:7.3f}" for number in numbers)
        whole = "" if each.whole_s is None else f"  whole {each.whole_s:.1f} s"
        found.append(f"{row}  {limit:>5}{'' if each.held else '  MISSED'}{whole}")
    return found


def main(arguments: list[str]) -> int:
    """Measure, print; 0 when every limit held."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks console", description=__doc__)
    parser.add_argument("--computers", type=int, default=100_000)
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--only", default="", help="pages whose label has this in it")
    parser.add_argument("--keep", type=Path, help="leave the databases there; used if they are")
    parser.add_argument("--json", type=Path, default=Path("tests/.artifacts/console.json"))
    options = parser.parse_args(arguments)
    chosen = DATABASES if options.database == "both" else (options.database,)
    document: dict[str, Any] = {}
    held = True
    for database in chosen:
        with (
            tempfile.TemporaryDirectory(prefix="console-") as folder,
            Place.made(
                Path(folder), database, Sizes(options.computers), keep=options.keep
            ) as place,
        ):
            timings = list(_measured(Console(place, options.rounds), options.only))
            document[database] = {"filled_s": place.filled_s, **place.about()}
        document[database]["pages"] = [each.as_json() for each in timings]
        held = held and all(each.held for each in timings)
        sys.stdout.write(f"\n{database}, {options.computers:,} computers\n\n")
        sys.stdout.write("\n".join([*lines(timings), "", *summary(timings)]) + "\n")
    report(options.json, document)
    return 0 if held else 1


def _measured(console: Console, only: str) -> Iterator[Timing]:
    for page in pages(console.place.sizes):
        if only in page.label:
            timing = console.page(page)
            sys.stderr.write(lines([timing])[-1] + "\n")
            yield timing
    if only in "deeds":
        yield from console.deeds()
    console.visitor.close()


def summary(timings: list[Timing]) -> list[str]:
    """How many held, by the clock and, where others use the machine, by CPU alone."""
    limited = [each for each in timings if each.limit_s is not None]
    dear = [each for each in limited if each.cpu_s >= (each.limit_s or 0)]
    by_clock = sum(not each.held for each in limited)
    slowest = sorted(each.cpu_s for each in limited)
    return [
        f"{len(limited)} measured; over their limit: {by_clock} by the clock,"
        f" {len(dear)} by CPU alone",
        f"CPU of one, server and database: median {slowest[len(slowest) // 2]:.3f} s,"
        f" highest {slowest[-1]:.3f} s",
    ]
