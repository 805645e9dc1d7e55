"""Every benchmark:  python -m tests.benchmarks [--quick] [--json FILE] [NAME...]

One package of five GiB:  python -m tests.benchmarks huge

Nothing here passes or fails. The table goes to standard output, everything to the JSON file.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.agent import agent
from tests.benchmarks.build import build
from tests.benchmarks.files import fragments
from tests.benchmarks.fleet import fleet
from tests.benchmarks.frugal import huge, thousand
from tests.benchmarks.measure import Result, machine, table
from tests.benchmarks.wire import Wire
from tests.support.server import RunningServer

Benchmark = Callable[..., Iterator[Result]]


def wire(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    return Wire(server, folder, quick=quick).run()


BENCHMARKS: dict[str, Benchmark] = {
    "wire": wire,
    "fragments": fragments,
    "build": build,
    "agent": agent,
    "thousand": thousand,
    "fleet": fleet,
}

#: Only by name: it takes many minutes, and 25 GiB of disk.
LONG: dict[str, Benchmark] = {"huge": huge}


def run(names: list[str], *, quick: bool) -> list[Result]:
    """Each benchmark on a server of its own, so that none inherits another's load."""
    results: list[Result] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            folder = Path(place)
            with RunningServer(folder) as server:
                for result in {**BENCHMARKS, **LONG}[name](server, folder, quick=quick):
                    sys.stderr.write(f"{result.measure}: {result.value:.4g} {result.unit}\n")
                    results.append(result)
    return results


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, *LONG, []], default=[])
    parser.add_argument("--quick", action="store_true", help="small sizes, for trying it out")
    parser.add_argument(
        "--json", type=Path, default=Path("tests/.artifacts/benchmarks.json"), metavar="FILE"
    )
    options = parser.parse_args()
    about = machine()
    results = run(options.names or list(BENCHMARKS), quick=options.quick)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": about, "results": [each.as_json() for each in results]}
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(table(results) + f"\n\nJSON: {options.json}\n")


if __name__ == "__main__":
    main()
