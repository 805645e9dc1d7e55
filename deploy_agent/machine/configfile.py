"""Writes the configuration file, line by line; reading it is config.py's."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy_agent.config import read_file, to_toml
from deploy_agent.domain.errors import ConfigError
from deploy_agent.machine.disk import Disk
from deploy_agent.machine.owners import check_believable

READABLE = 0o644  # it holds no secrets; those stand in files of their own


def write_config(file: Path, changes: Mapping[str, Any], disk: Disk | None = None) -> bool:
    """Set values in the configuration file, made where it is missing; the rest stays as it is.

    Args:
        file: the TOML file.
        changes: values by key; None leaves a key as it is.
        disk: writes.

    Returns:
        Whether anything was changed.

    Raises:
        ConfigError: the file there is broken or not to be believed, or it cannot be written.
    """
    wanted = {key: value for key, value in changes.items() if value is not None}
    known = read_file(file)
    if known:  # what stands in it beside our changes is going to count
        check_believable(file.absolute(), "the configuration")
    if all(key in known and known[key] == value for key, value in wanted.items()):
        return False
    try:
        file = file.resolve()  # a link stays one
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        mode = file.stat().st_mode & 0o777 if file.exists() else READABLE
        (disk or Disk()).replace(file, _changed(file, known, wanted).encode("utf-8"))
        with suppress(OSError):
            file.chmod(mode)
    except OSError as error:
        raise ConfigError(
            f"the configuration '{file}' cannot be written: {error.strerror}",
            "Run this as root, or name another file with --config",
        ) from error
    return True


def _changed(file: Path, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return the file's text with the wanted values; comments and other keys are kept.

    Raises:
        ConfigError: a value does not stand in a line of its own.
    """
    if not file.exists():
        return to_toml(wanted)
    lines = file.read_text("utf-8").splitlines()
    for key, value in wanted.items():
        _set_line(lines, key, to_toml({key: value}).splitlines()[1])
    text = "\n".join([*lines, ""])
    with suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(text) == {**known, **wanted}:
            return text
    raise ConfigError(
        f"the configuration '{file}' is written in a way that cannot be changed line by line",
        f"Write these lines into it by hand: {', '.join(to_toml(wanted).splitlines()[1:])}",
    )


def _set_line(lines: list[str], key: str, line: str) -> None:
    """Put `line` where `key` stands; where it does not, behind the last line before a table."""
    pattern = re.compile(rf"\s*{re.escape(key)}\s*=")
    for number, each in enumerate(lines):
        if pattern.match(each):
            lines[number] = line
            return
    tables = (number for number, each in enumerate(lines) if each.lstrip().startswith("["))
    lines.insert(next(tables, len(lines)), line)
