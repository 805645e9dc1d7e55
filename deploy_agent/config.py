"""The agent's configuration: one frozen value, with the origin of everything in it.

Defaults, then the file (TOML), then the environment (DEPLOY_AGENT_*), then options; later wins.
Unknown keys are errors: a misspelt one would otherwise be believed. Secrets stand in files of
their own. Source: contract.md 3.
"""

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from deploy_agent.domain.errors import ConfigError
from deploy_agent.domain.rate import FORMS, RATE_MAX, Rate

if sys.platform == "win32":
    _DATA = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "Tranche"
    SYSTEM_FILE = _DATA / "agent.toml"
    SYSTEM_STATE = _DATA / "state"
else:
    SYSTEM_FILE = Path("/etc/deploy-agent/agent.toml")
    SYSTEM_STATE = Path("/var/lib/deploy-agent")
ENVIRONMENT = "DEPLOY_AGENT_"
SERVER_PATH = "/ocsinventory"
TRIES_MAX = 100
INTERVAL_MAX_MIN = 30 * 24 * 60  # DOWNLOAD_TIMEOUT, where nobody sets another
_SAID_MAX = 100  # characters of a value that an error repeats


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What an administrator decides on this computer; everything else is the server's.

    Attributes:
        server: URL that messages go to.
        ca_file: certificates that may speak for the server.
        tag: TAG of a new computer, None for none.
        proxy: URL of an HTTP proxy; '' for none at all, None to ask the environment.
        basic_auth_file: holds 'user:password' for the server, None for none.
        log_file: where the log goes as well, None for nowhere else.
        max_rate: what downloads may take by the hours of the day, None for as fast as it goes.
        max_exec_tries: how often an action may be started whose end nobody knows.
        contact_interval_min: minutes between contacts, until the server has said.
        state: the folder of the agent's state.
        origins: by key, where each value comes from.
    """

    server: str
    ca_file: Path
    tag: str | None = None
    proxy: str | None = None
    basic_auth_file: Path | None = None
    log_file: Path | None = None
    max_rate: Rate | None = None
    max_exec_tries: int = 1
    contact_interval_min: int = 60
    state: Path = SYSTEM_STATE
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def credentials(self) -> tuple[str, str] | None:
        """Return user and password from `basic_auth_file`.

        Raises:
            ConfigError: it cannot be read, or holds none.
        """
        if self.basic_auth_file is None:
            return None
        try:
            text = self.basic_auth_file.read_text("utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"basic_auth_file cannot be read: {error}") from error
        user, colon, password = text.partition(":")
        if not user or not colon or "\n" in text:
            raise ConfigError(
                f"basic_auth_file '{self.basic_auth_file}' holds no credentials",
                "Write one line into it: user:password",
            )
        return user, password

    def believed(self, file: Path) -> Iterator[tuple[str, Path]]:
        """Yield each file whose content this agent acts on, after what it is called.

        Args:
            file: the configuration file.
        """
        yield "the configuration", file
        yield "ca_file", self.ca_file
        if self.basic_auth_file is not None:
            yield "basic_auth_file", self.basic_auth_file


def default_file() -> Path:
    """Return where the configuration is when nobody says: the system's, else the user's."""
    named = os.environ.get(f"{ENVIRONMENT}CONFIG")
    if named:
        return Path(named)
    if SYSTEM_FILE.exists() or _may_write_system_file():
        return SYSTEM_FILE
    from platformdirs import user_config_path  # rarely needed, and it takes its time

    return user_config_path("deploy-agent") / "agent.toml"


def _may_write_system_file() -> bool:
    """Whether this is the user whose configuration is the system's."""
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.windll.shell32.IsUserAnAdmin())
    return os.geteuid() == 0


def load(
    file: Path, environment: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> AgentConfig:
    """Read the configuration.

    Args:
        file: the TOML file; it may be missing when the environment says enough.
        environment: os.environ, or a test's.
        options: what the command line said; None values count as not said.

    Raises:
        ConfigError: a key is unknown, missing or wrong; it names the key and where it stands.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, source in (
        (str(file), read_file(file)),
        ("environment", _from_environment(environment)),
        ("option", {k: v for k, v in (options or {}).items() if v is not None}),
    ):
        for key, value in source.items():
            values[key] = _checked(key, value, origin)
            origins[key] = f"{ENVIRONMENT}{key.upper()}" if origin == "environment" else origin
    for key in ("server", "ca_file"):
        if key not in values:
            raise ConfigError(
                f"'{key}' is missing in {file}",
                "Write it there with: deploy-agent configure --server URL --ca FILE",
            )
    return AgentConfig(**values, origins=origins)


def read_file(file: Path) -> dict[str, Any]:
    """Return what the TOML file holds; nothing where there is none.

    Raises:
        ConfigError: it cannot be read, is no TOML, or names a file without its whole path.
    """
    try:
        with file.open("rb") as opened:
            values = tomllib.load(opened)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"the configuration '{file}' cannot be read: {error.strerror}",
            "Run this as root, or name another file with --config",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration '{file}' is no TOML: {error}") from error
    except ValueError as error:  # Python's words would be about its own settings
        raise ConfigError(
            f"the configuration '{file}' holds a number of thousands of digits",
            "Write a smaller one; the manual has the bounds of each key",
        ) from error
    for key, value in values.items():
        # A service has another working directory than the person who wrote the file.
        if _READERS.get(key) is _path and isinstance(value, str) and not _is_absolute(value):
            raise ConfigError(f"'{key}' in {file} is {value!r}: write the whole path, from / on")
    return values


def to_toml(values: Mapping[str, Any]) -> str:
    """Return the configuration file that holds `values`; None values are left out."""
    lines = [f"{key} = {_literal(value)}" for key, value in values.items() if value is not None]
    return "\n".join(
        ["# Settings of deploy-agent; 'deploy-agent config show' explains.", *lines, ""]
    )


def server_url(text: str) -> str:
    """Return the URL that messages go to; an empty path means /ocsinventory.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("write it as https://HOST[:PORT]; credentials go into basic_auth_file")
    try:
        port = parts.port
    except ValueError:  # its own words quote what may be half of a password
        raise ValueError("its port is no number up to 65535") from None
    if port == 0:
        raise ValueError("nobody listens on port 0; leave the port out for 443")
    path = parts.path if parts.path not in ("", "/") else SERVER_PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def shown(config: AgentConfig) -> list[tuple[str, str, str]]:
    """Return each key with its value and the value's origin, for people."""
    rows = []
    for each in fields(AgentConfig):
        if each.name != "origins":
            value = getattr(config, each.name)
            text = "" if value is None else _without_password(str(value))
            rows.append((each.name, text, config.origins.get(each.name, "default")))
    return rows


def _without_password(text: str) -> str:
    """Return `text` without the password of a URL, whatever characters that has."""
    return re.sub(r"(//[^/@:\s]*):.*@", r"\1:...@", text)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    found = {
        name.removeprefix(ENVIRONMENT).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT)
    }
    found.pop("config", None)  # it says where the file is
    return found


def _checked(key: str, value: Any, origin: str) -> Any:
    reader = _READERS.get(key)
    if reader is None:
        near = difflib.get_close_matches(key, _READERS, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known keys: {', '.join(_READERS)}"
        raise ConfigError(f"unknown key '{key}' in {origin}", hint)
    try:
        return reader(value)
    except ValueError as error:
        said = _without_password(_said(value))
        raise ConfigError(f"'{key}' in {origin} is {said}: {error}") from error


def _said(value: Any) -> str:
    """Return a value of the configuration as an error repeats it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= _SAID_MAX else f"{text[:_SAID_MAX]}..."


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it has to be text, in quotation marks")
    return value


def _path(value: Any) -> Path:
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text or "\0" in text:
        raise ValueError("it has to be the path of a file")
    return Path(text).expanduser().absolute()


def _is_absolute(text: str) -> bool:
    return Path(text).expanduser().is_absolute()


def _number(most: int, why: str) -> Callable[[Any], int]:
    """Return what reads a whole number from 1 to `most`; `why` nothing above makes sense."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError("it has to be a whole number")
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            raise ValueError("it has to be a whole number")
        # Python converts no text of thousands of digits, and no such number to text either.
        if isinstance(value, str) and len(value.lstrip("0")) > len(str(most)):
            value = most + 1
        if not 1 <= int(value) <= most:
            raise ValueError(f"it has to be at least 1 and at most {most}: {why}")
        return int(value)

    return read


def _rate(value: Any) -> Rate:
    """Read bytes a second, perhaps by hours: 500000, '500k', '08:00-18:00 200K, else 2M'."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(FORMS)
    return Rate.parse(str(min(value, RATE_MAX + 1) if isinstance(value, int) else value))


def _proxy(value: Any) -> str:
    text = _text(value).strip()
    try:
        parts = urlsplit(text)
        good = not text or (parts.scheme == "http" and parts.hostname and parts.port != 0)
    except ValueError:  # it would quote the port, which is a password where a character is wrong
        good = False
    if not good:
        raise ValueError(
            "write it as http://[USER:PASSWORD@]HOST:PORT, or '' for none; other characters of the"
            " password than letters and digits as % and two hex digits, @ as %40"
        )
    return text


_READERS: dict[str, Callable[[Any], Any]] = {
    "server": lambda value: server_url(_text(value)),
    "ca_file": _path,
    "tag": _text,
    "proxy": _proxy,
    "basic_auth_file": _path,
    "log_file": _path,
    "max_rate": _rate,
    "max_exec_tries": _number(TRIES_MAX, "what never tells its end has to stop some time"),
    "contact_interval_min": _number(
        INTERVAL_MAX_MIN, "an agent that contacts nobody for 30 days misses what times out then"
    ),
    "state": _path,
}


def _literal(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m.group()):04x}", text) + '"'
