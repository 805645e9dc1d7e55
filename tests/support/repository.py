"""The repository itself as the subject of tests."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("deploy_agent", "deploy_server")


def tracked_files() -> list[Path]:
    """Every file that git knows, relative to the root, as long as it exists."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def source_files() -> list[Path]:
    """The Python files of both packages, without migrations: those follow Alembic's template."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(path for path in found if "versions" not in path.parts)
