"""The floors of the house: imports go down only (pyproject.toml, tool.importlinter)."""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.support.processes import BIN
from tests.support.repository import PACKAGES, ROOT, source_files
from tests.support.requirements import distributions_of, modules_of


def test_imports_go_down_only() -> None:
    linter = subprocess.run(
        [BIN / "lint-imports", "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linter.returncode == 0, linter.stdout + linter.stderr


@cache
def imports() -> dict[str, set[str]]:
    """The source files of both packages by the libraries they import, also inside functions."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                found[name.split(".")[0]].add(str(path.relative_to(ROOT)))
    return found


def test_each_foreign_library_has_its_place() -> None:
    assert all(name.startswith("deploy_server/web/") for name in imports()["flask"])
    assert not [name for name in imports()["sqlalchemy"] if name.startswith("deploy_agent")]
    agents = {library: agent_files(library) for library in ("requests", "apscheduler")}
    assert all(name.startswith("deploy_agent/machine/transport") for name in agents["requests"])
    assert agents["apscheduler"] <= {"deploy_agent/daemon.py"}


def agent_files(library: str) -> set[str]:
    return {name for name in imports()[library] if name.startswith("deploy_agent")}


IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys
absent = set(sys.argv[2].split(","))
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not there", name=name)
sys.meta_path.insert(0, Blocker())
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(("__main__", ".env")) and ".versions" not in module.name:
        importlib.import_module(module.name)
print("imported")
"""


def import_all(package: str, extra: str) -> "subprocess.CompletedProcess[str]":
    """Import every module of ``package`` where only what ``tranche[extra]`` brings is there."""
    absent = set(packages_distributions()) - modules_of(extra) - set(PACKAGES)
    assert "pytest" in absent
    return subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, ",".join(sorted(absent))],
        cwd=Path("/"),
        capture_output=True,
        text=True,
        check=False,
    )


def import_with_only(package: str, extra: str) -> None:
    answer = import_all(package, extra)
    assert answer.stdout == "imported\n", answer.stderr


def test_the_agent_imports_with_what_its_extra_brings() -> None:
    import_with_only("deploy_agent", "agent")


def test_the_server_imports_with_what_its_extra_brings() -> None:
    import_with_only("deploy_server", "server")


def test_the_server_s_program_says_that_only_the_agent_is_installed() -> None:
    answer = import_all("deploy_server.cli", "agent")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert "pip install 'tranche[server]'" in answer.stderr


def test_the_agent_brings_no_web_framework_and_no_database() -> None:
    brought = distributions_of("agent")
    assert {"requests", "lxml", "cryptography"} <= brought
    assert not brought & {"flask", "werkzeug", "sqlalchemy", "granian", "jinja2", "alembic"}
