"""The agent's configuration: a TOML file, then the environment, then options; later wins.

Every value remembers where it comes from. This module reads and renders; it opens no connection
and checks no certificate. What the *server* sends about pace is `DownloadSettings`, not this.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import platformdirs

from deploy_agent.domain.errors import ConfigError

PREFIX = "DEPLOY_AGENT_"
DEFAULT_PATH = "/ocsinventory"
DEFAULT_STATE = Path("/var/lib/deploy-agent")

_SYSTEM_FILE = Path("/etc/deploy-agent/agent.toml")
_UNITS = {"": 1, "k": 1000, "ki": 1024, "m": 1000**2, "mi": 1024**2, "g": 1000**3, "gi": 1024**3}
_RATE = re.compile(r"([0-9]{1,15})\s*([a-z]*?)(?:b)?(?:/s)?\Z", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What an administrator says about this agent.

    Attributes:
        server: URL that messages go to, with its path.
        ca_file: PEM file of who may speak for the server; the only thing that is trusted.
        tag: TAG of the inventory until the server has one of its own.
        proxy: URL for every request; '' for none, None to ask the environment.
        basic_auth_file: file with `user:password` for the web server's own authentication.
        log_file: where log lines go besides standard error; None for nowhere.
        max_rate: bytes a second that downloads may take; None for no limit.
        max_exec_tries: how often an action may be begun when nobody knows how it ended.
        contact_interval_min: minutes between contacts until the server has said how many.
    """

    server: str
    ca_file: Path
    tag: str = ""
    proxy: str | None = None
    basic_auth_file: Path | None = None
    log_file: Path | None = None
    max_rate: int | None = None
    max_exec_tries: int = 1
    contact_interval_min: int = 60


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where each value comes from.

    Attributes:
        config: the values.
        origins: by key: a file, a variable, `option` or `default`.
    """

    config: AgentConfig
    origins: Mapping[str, str]


def default_file() -> Path:
    """Return the configuration file that counts when no other is named."""
    if _SYSTEM_FILE.exists() or (hasattr(os, "geteuid") and os.geteuid() == 0):
        return _SYSTEM_FILE
    return Path(platformdirs.user_config_dir("deploy-agent", appauthor=False)) / "agent.toml"


def load(
    file: Path,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Loaded:
    """Read the configuration.

    Args:
        file: TOML; it may be missing when the environment says everything.
        environ: `DEPLOY_AGENT_*`; the process's own by default.
        options: what the command line says; None values are not said.

    Raises:
        ConfigError: a key nobody knows, a wrong value, or a missing one.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value, origin in (
        *_from_file(file),
        *_from_environ(os.environ if environ is None else environ),
        *((key, value, "option") for key, value in (options or {}).items() if value is not None),
    ):
        values[key] = _convert(key, value, origin)
        origins[key] = origin
    for key in ("server", "ca_file"):
        if key not in values:
            raise ConfigError(
                f"{key} is not configured: there is none in {file}",
                "Run: deploy-agent configure --server URL --ca FILE",
            )
    known = [each.name for each in fields(AgentConfig)]
    return Loaded(AgentConfig(**values), {key: origins.get(key, "default") for key in known})


def render(values: Mapping[str, object]) -> str:
    """Return the TOML text of `values`; None ones are left out.

    Shape:
        server = "https://deploy.example.org:8443/ocsinventory"
        ca_file = "/etc/deploy-agent/cacert.pem"
    """
    lines = ["# Configuration of deploy-agent; `deploy-agent config show` explains it."]
    for key, value in values.items():
        if value is not None:
            converted = _convert(key, value, "option")
            plain = str(converted) if isinstance(converted, Path) else converted
            # JSON's texts and numbers are TOML's.
            lines.append(f"{key} = {json.dumps(plain, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def server_url(text: str) -> str:
    """Return the URL that messages go to; an empty path means /ocsinventory.

    Raises:
        ValueError: it is no http or https URL; the message says why.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https"):
        raise ValueError("begin it with https://")
    if not parts.hostname:
        raise ValueError("it names no host")
    _ = parts.port  # raises ValueError where it is none
    if parts.username or parts.password:
        raise ValueError("put user and password into a file and name it as basic_auth_file")
    if parts.query or parts.fragment:
        raise ValueError("leave out what follows ? or #")
    path = parts.path if parts.path.strip("/") else DEFAULT_PATH
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _from_file(file: Path) -> list[tuple[str, object, str]]:
    try:
        text = file.read_text(encoding="utf-8")
        return [(key, value, str(file)) for key, value in tomllib.loads(text).items()]
    except FileNotFoundError:
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}", "Correct that line") from error
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}", "Run this as root, or correct its rights"
        ) from error


def _from_environ(environ: Mapping[str, str]) -> list[tuple[str, object, str]]:
    return [
        (name.removeprefix(PREFIX).lower(), value, name)
        for name, value in sorted(environ.items())
        if name.startswith(PREFIX)
    ]


def _convert(key: str, value: object, origin: str) -> Any:
    if key not in _READERS:
        close = difflib.get_close_matches(key, _READERS, 1)
        hint = f"Did you mean {close[0]}?" if close else f"The keys are {', '.join(_READERS)}"
        raise ConfigError(f"{origin}: there is no key {key}", hint)
    try:
        return _READERS[key](value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: {key} cannot be {value!r}: {error}", "Correct it") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("write a text in quotes")
    return value


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value.absolute()
    if not _text(value):
        raise ValueError("it names no file")
    return Path(_text(value)).absolute()


def _positive(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("write a whole number")
    number = int(value)
    if number < 1:
        raise ValueError("it has to be 1 or more")
    return number


def _rate(value: object) -> int:
    if isinstance(value, int):
        return _positive(value)
    match = _RATE.match(_text(value).strip())
    unit = match.group(2).lower() if match else "?"
    if match is None or unit not in _UNITS:
        raise ValueError("write bytes a second, such as 500000 or '500 KiB/s'")
    return _positive(int(match.group(1)) * _UNITS[unit])


_READERS: dict[str, Callable[[object], Any]] = {
    "server": lambda value: server_url(_text(value)),
    "ca_file": _path,
    "tag": _text,
    "proxy": _text,
    "basic_auth_file": _path,
    "log_file": _path,
    "max_rate": _rate,
    "max_exec_tries": _positive,
    "contact_interval_min": _positive,
}
