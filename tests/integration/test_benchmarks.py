"""The command that measures everything, with numbers so small that it takes seconds."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks.__main__ import ROWS, listed
from tests.benchmarks.measure import Result
from tests.benchmarks.report import Figure, Sample, collected, table
from tests.support.processes import kill_tree, tree
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]

#: What takes longest and has tests of its own, or measures on another database what is here.
LEFT_OUT = {"agent", "build", "postgresql", "fragments"}


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    words = ["-m", "tests.benchmarks", "--quick", "--runs", "1", *map(str, arguments)]
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            kill_tree(process)


def test_every_row_yields_numbers(tmp_path: Path) -> None:
    names = [name for name, row in ROWS.items() if not row.is_full and not row.by_name_only]
    names = [name for name in names if name not in LEFT_OUT]
    file = tmp_path / "figures.json"
    with started("--rows", ",".join(names), "--json", file) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    document = json.loads(file.read_text())
    assert document["broken"] == {}
    assert set(Counter(each["row"] for each in document["figures"])) == set(names)
    for each in document["figures"]:
        assert each["figure"] >= 0, each
        assert each["values"] == [each["figure"]], each
        assert f"| {each['measure']} " in out
        if each["is_target"]:
            assert each["held"] in (True, False), each
        if "CPU" in each["unit"]:
            assert each["at_reference_speed"] <= each["figure"] * 2
    assert document["machine"]["cores"] == os.cpu_count()


def test_ctrl_c_leaves_no_process_and_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    family: list[psutil.Process] = []
    with started("--rows", "machine,reports", "--json", file) as process:
        # When the first row is done, the server is there for the second one.
        wait_until(file.exists, "the first row is done", seconds=300)
        family += tree(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 1, out + err
    assert "Traceback" not in err
    assert "| machine " in out
    assert len(family) > 2
    assert not [each for each in family if each.is_running()]


def test_a_row_that_is_not_there_is_named() -> None:
    assert listed("tls, prolog") == ["tls", "prolog"]
    with pytest.raises(argparse.ArgumentTypeError, match="prologue; there are machine, prolog"):
        listed("prolog,prologue")


def figure(*values: float, **more: Any) -> Figure:
    """A figure of runs on a machine that is twice as slow as the reference."""
    result = {"measure": "PROLOG", "unit": "ms CPU", "limit": 1.0, **more}
    [found] = collected("row", [Sample(Result(value=each, **result), 2.0, 0.5) for each in values])
    return found


def test_the_median_is_what_counts() -> None:
    found = figure(0.9, 4.0, 1.5)
    assert (found.median, found.held, found.missed_by) == (1.5, False, 1.5)
    assert (found.scaled, found.held_there) == (0.75, True)
    assert found.spread == pytest.approx((4.0 - 0.9) / 1.5)
    assert "no, by 1.50" in table([found])


def test_more_may_be_better() -> None:
    found = figure(0.5, unit="of nginx", better="higher", wall=True)
    assert (found.held, found.missed_by, found.scaled) == (False, 2.0, None)
    assert "~0.5 of nginx" in table([found])
    assert figure(1.0, unit="of nginx", better="higher").held is True


def test_none_may_be_the_target() -> None:
    assert (figure(0, limit=0).held, figure(0, limit=0).missed_by) == (True, None)
    assert (figure(3, limit=0).held, figure(3, limit=0).missed_by) == (False, None)


def test_what_others_do_is_no_target() -> None:
    found = figure(2.0, limit_is="OCS's server", why="no reason is asked for")
    assert (found.held, found.missed_by, found.factor) == (None, None, 2.0)
    assert "(1 OCS's server)" in table([found])
    assert "no reason" not in table([found])


def test_a_generator_that_was_busy_is_told() -> None:
    busy = {"generator_cores": 0.95}
    assert "^" in table([figure(1.0, unit="/s", wall=True, details=busy)])
    assert "^" not in table([figure(1.0, details=busy)])
