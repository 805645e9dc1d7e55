"""Writes the configuration file; reading it is config.py's."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy_agent.config import read_file, to_toml
from deploy_agent.domain.errors import ConfigError
from deploy_agent.machine.disk import Disk

READABLE = 0o644  # it holds no secrets; those stand in files of their own


def write_config(file: Path, changes: Mapping[str, Any], disk: Disk | None = None) -> None:
    """Set values in the configuration file, made where it is missing; other keys stay.

    Args:
        file: the TOML file.
        changes: values by key; None leaves a key as it is.
        disk: writes.

    Raises:
        ConfigError: the file there is broken, or it cannot be written.
    """
    values = {**read_file(file), **{key: v for key, v in changes.items() if v is not None}}
    disk = disk or Disk()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.replace(file, to_toml(values).encode("utf-8"))
        with suppress(OSError):
            file.chmod(READABLE)
    except OSError as error:
        raise ConfigError(
            f"the configuration '{file}' cannot be written: {error.strerror}",
            "Run this as root, or name another file with --config",
        ) from error
