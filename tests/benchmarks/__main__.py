"""Every benchmark:  python -m tests.benchmarks [--full] [--rows NAME,NAME...]

A large installation:  python -m tests.benchmarks console|growth --help

Each row of the table is run several times, each time on a server of its own; its figures are the
medians. Nothing here passes or fails. Progress goes to standard error, the table to standard
output, everything to the JSON file. CPU times are those of the server's processes, never those of
the load generator; wall times of a machine that others use are marked.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import console, growth
from tests.benchmarks.agent import agent
from tests.benchmarks.anchors import anchors
from tests.benchmarks.behind_nginx import behind_nginx
from tests.benchmarks.build import GiB, build
from tests.benchmarks.files import fragments
from tests.benchmarks.fleet import fleet
from tests.benchmarks.frugal import huge, thousand
from tests.benchmarks.inventories import database, inventory, memory_after_load
from tests.benchmarks.measure import MiB, machine
from tests.benchmarks.postgresql import postgresql
from tests.benchmarks.report import Figure, table
from tests.benchmarks.runner import Row, Runner, Served, nothing_left, to_stderr
from tests.benchmarks.storm import storm
from tests.benchmarks.tls import tls
from tests.benchmarks.wire import offers, prolog, reports
from tests.support.server import RunningServer

#: By name. What needs a server that runs is `Served`.
ROWS: dict[str, Row] = {
    "machine": Row(anchors, "how fast this machine is"),
    "prolog": Row(Served(prolog), "PROLOG of a known computer with nothing to do"),
    "offers": Row(Served(offers), "PROLOG of 1,000 computers with a package each"),
    "tls": Row(Served(tls), "PROLOG over a new TLS connection each, against nginx"),
    "reports": Row(Served(reports), "results, on the disk before they are answered"),
    "inventory": Row(Served(inventory), "inventories of 860 packages: new, same, all changed"),
    "memory": Row(Served(memory_after_load), "the server's memory after load"),
    "database": Row(Served(database), "bytes of 10,000 similar computers", runs=1),
    "fragments": Row(Served(fragments), "fragments against nginx"),
    "behind-nginx": Row(Served(behind_nginx), "fragments behind our nginx, against it alone"),
    "build": Row(Served(partial(build, size=256 * MiB)), "a package against sha256sum"),
    "agent": Row(Served(agent), "our agent: contact, inventory, download, memory"),
    "postgresql": Row(postgresql, "messages on PostgreSQL, its own processes included"),
    "storm": Row(Served(partial(storm, count=1000)), "1,000 agents switched on within 6 s"),
    "thousand": Row(
        Served(thousand), "our agent's daemon with 1,000 packages", is_full=True, runs=1
    ),
    "build-1gib": Row(Served(partial(build, size=GiB)), "a package of 1 GiB", is_full=True),
    "fleet": Row(Served(fleet), "10,000 agents on a simulated clock", is_full=True, runs=1),
    "storm-10000": Row(
        Served(partial(storm, count=10_000)), "10,000 agents within 60 s", is_full=True, runs=1
    ),
    "huge": Row(Served(huge), "5 GiB for our agent: 25 GiB of disk", runs=1, by_name_only=True),
}

#: Of a large installation; each has options of its own, and its exit status says what held.
SIZES: dict[str, Callable[[list[str]], int]] = {"console": console.main, "growth": growth.main}


def main() -> None:
    """Read the options, run, print."""
    if sys.argv[1:2] and sys.argv[1] in SIZES:
        sys.exit(SIZES[sys.argv[1]](sys.argv[2:]))
    options = _options()
    figures: list[Figure] = []
    broken: dict[str, str] = {}
    document: dict[str, Any] = {"machine": machine(), "quick": options.quick}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    try:
        with nothing_left(), ExitStack() as stack:
            shared = stack.enter_context(_one_server()) if options.quick else None
            runner = Runner(options.runs, options.quick, to_stderr, shared)
            for name in _names(options):
                found, reason = runner.run(name, ROWS[name])
                figures += found
                broken |= {name: reason} if reason else {}
                document |= {"figures": [each.as_json() for each in figures], "broken": broken}
                # After each row, so that who stops it keeps what was measured.
                options.json.write_text(json.dumps(document, indent=1) + "\n")
                if runner.is_stopped:
                    break
    except KeyboardInterrupt:
        broken["the server for all rows"] = "stopped"
    sys.stdout.write(f"{table(figures)}\n\nJSON: {options.json}\n")
    for name, reason in broken.items():
        sys.stdout.write(f"{name} broke off: {reason}\n")
    is_whole = options.full and not (options.rows or options.names or broken)
    missed = [name for name, size in SIZES.items() if is_whole and size([]) != 0]
    sys.exit(1 if broken or missed else 0)


@contextmanager
def _one_server() -> Iterator[RunningServer]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as place,
        RunningServer(Path(place)) as server,
    ):
        yield server


def _options() -> argparse.Namespace:
    rows = "\n".join(f"  {name:14}{_kind(row)}{row.about}" for name, row in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog=f"rows:\n{rows}\n* by --full or by name only; ** by name only",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], default=[], metavar="NAME")
    parser.add_argument("--rows", type=listed, default=[], metavar="NAME,NAME...")
    parser.add_argument(
        "--full", action="store_true", help="the long rows too, then console and growth"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each row (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes, for trying it out")
    parser.add_argument(
        "--json", type=Path, default=Path("tests/.artifacts/benchmarks.json"), metavar="FILE"
    )
    return parser.parse_args()


def _kind(row: Row) -> str:
    return "** " if row.by_name_only else "*  " if row.is_full else "   "


def listed(text: str) -> list[str]:
    """Return the names of rows in a list with commas.

    Raises:
        ArgumentTypeError: there is no such row.
    """
    names = [each.strip() for each in text.split(",") if each.strip()]
    unknown = [each for each in names if each not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}"
        )
    return names


def _names(options: argparse.Namespace) -> list[str]:
    named = [*options.rows, *options.names]
    if named:
        return named
    return [
        name
        for name, row in ROWS.items()
        if not row.by_name_only and (options.full or not row.is_full)
    ]


if __name__ == "__main__":
    main()
