"""The server's configuration: ``server.toml`` in the data directory, then the environment.

This module finds the data directory, reads and writes ``server.toml`` and knows where things lie
below the data directory. It opens no database and makes no directory. What administrators change
in the console are settings, kept in the database; here stands what a process needs to start.
"""

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Self

import platformdirs

from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import DeployError

#: What the environment's names start with; ``DEPLOY_SERVER_HTTP_PORT`` is ``http_port``.
PREFIX = "DEPLOY_SERVER_"

#: The parts of the server that may run as processes of their own.
FACES = ("comm", "files", "admin")

#: How lines of the log look.
LOG_FORMATS = ("text", "json")

#: Names of the environment that are no keys: the directory, and what `run` tells its workers.
_OTHER_NAMES = {"DATA", "SCHEME"}

#: Kubernetes sets these in every pod beside a service that is called deploy-server.
_SERVICE_LINK = re.compile(r"SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+")

#: What `packages` is where they are not in a bucket.
ON_DISK = "disk"

GIB = 1024**3
MIB = 1024**2


class ConfigError(DeployError):
    """The configuration cannot be used; the message names the file or the variable."""


@dataclass(frozen=True)
class ServerConfig:
    """Everything a process of the server must know before it opens the database.

    Attributes:
        data: the data directory.
        hosts: names and addresses agents and people use; the first one stands in default URLs.
        database_url: SQLAlchemy's address; empty in the file means ``tranche.db`` in ``data``.
        packages: where packages are: ``disk``, which is ``download`` in ``data``, or the address of
            a bucket (domain/bucket.py). Uploads go to the same place.
        replica_url: of a PostgreSQL server that follows the database; lists are read from there.
        replica_max_lag_s: seconds; when the replica is further behind, it is not read.
        bind: the address to listen on; empty means every address, IPv4 and IPv6.
        http_port: fragments, and agents without TLS where that is allowed; 0 takes a free port.
        https_port: the console, agents and info files; 0 takes a free port.
        workers: worker processes for each of the two ports.
        threads: requests that one worker handles at the same time.
        faces: the parts this server answers with: ``comm``, ``files``, ``admin``.
        access_log: whether every request gets a line in the log.
        max_package_bytes: the largest file a package may be built from.
        max_message_bytes: the largest message of an agent, after inflating.
        min_free_bytes: what uploads and builds must leave free of the disk; a twentieth of the disk
            where that is less. Agents' reports need some room when nobody looks.
        log_format: ``text`` for people, ``json`` for programs.
        trusted_proxies: addresses and networks whose X-Forwarded-For is believed.
        metrics_allow: addresses and networks that may read /metrics without a token.
        fetch_allow: ``host`` or ``host:port`` that activation checks may fetch although they lie
            in loopback or link-local ranges.
    """

    data: Path
    hosts: tuple[str, ...] = ("localhost",)
    database_url: str = ""
    replica_url: str = ""
    replica_max_lag_s: int = 30
    packages: str = ON_DISK
    bind: str = ""
    http_port: int = 8080
    https_port: int = 8443
    workers: int = 1
    threads: int = 8
    faces: tuple[str, ...] = FACES
    access_log: bool = False
    max_package_bytes: int = 64 * GIB
    max_message_bytes: int = 16 * MIB
    min_free_bytes: int = GIB
    log_format: str = "text"
    trusted_proxies: tuple[str, ...] = ()
    metrics_allow: tuple[str, ...] = ("127.0.0.0/8", "::1")
    fetch_allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in what depends on the data directory and refuse values that cannot work."""
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data / 'tranche.db'}")
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}", hint=f"Give a number from {low} to {high}."
                )
        if self.replica_url and not _are_postgresql(self.database_url, self.replica_url):
            raise ConfigError(
                "replica_url needs PostgreSQL on both sides: SQLite has no replicas",
                hint="Remove replica_url, or give it and database_url as"
                " postgresql+psycopg://user@host/name.",
            )
        if self.log_format not in LOG_FORMATS:
            raise ConfigError(
                f"log_format is {self.log_format!r}", hint=f"Give {' or '.join(LOG_FORMATS)}."
            )
        for name in ("trusted_proxies", "metrics_allow"):
            try:
                networks(getattr(self, name))
            except ValueError as error:
                raise ConfigError(
                    f"{name}: {error}",
                    hint="Give addresses like 10.0.0.5 and networks like 10.0.0.0/8.",
                ) from None
        self._check_packages()
        if unknown := set(self.faces) - set(FACES):
            raise ConfigError(
                f"faces: {', '.join(sorted(unknown))} is no part of the server",
                hint=f"The parts are {', '.join(FACES)}.",
            )

    def _check_packages(self) -> None:
        if self.packages != ON_DISK:
            try:
                BucketAddress.parse(self.packages)
            except ValueError as error:
                raise ConfigError(f"packages: {error}") from None

    @property
    def file(self) -> Path:
        """The configuration file; a directory that has it is initialised."""
        return self.data / "server.toml"

    @property
    def bucket(self) -> BucketAddress | None:
        """Where packages are; None for ``download``."""
        return None if self.packages == ON_DISK else BucketAddress.parse(self.packages)

    @property
    def secret_key_file(self) -> Path:
        """What sessions and forms are signed with."""
        return self.data / "secret_key"

    @property
    def metrics_token_file(self) -> Path:
        """What lets a monitoring program from elsewhere read /metrics; need not be there."""
        return self.data / "metrics_token"

    @property
    def certs(self) -> Path:
        """Certificates and their keys (services/certificates)."""
        return self.data / "certs"

    @property
    def download(self) -> Path:
        """Published packages, one folder each."""
        return self.data / "download"

    @property
    def staging(self) -> Path:
        """Packages while they are built."""
        return self.data / "staging"

    @property
    def uploads(self) -> Path:
        """Uploads that may be continued."""
        return self.data / "uploads"

    @property
    def run(self) -> Path:
        """What a running server says about itself, and its lock."""
        return self.data / "run"

    def in_use(self) -> Self:
        """This configuration with the address and ports the server runs with, or ran with last.

        ``run`` takes options that the file does not know; other programs (the URLs that
        ``package activate`` fills in) need the ports that answer.
        """
        try:
            found = json.loads((self.run / "listening.json").read_text())
        except FileNotFoundError:
            return self
        return dataclasses.replace(self, **{name: found[name] for name in LISTENING_KEYS})


#: What ``run/listening.json`` holds beside the process id.
LISTENING_KEYS = ("bind", "http_port", "https_port")

_RANGES = {
    "http_port": (0, 65535),
    "https_port": (0, 65535),
    "workers": (1, 64),
    "threads": (1, 256),
    "replica_max_lag_s": (1, 3600),
    "max_package_bytes": (1, 1024 * GIB),
    "max_message_bytes": (MIB // 16, GIB),
    "min_free_bytes": (0, 1024 * GIB),
}


def _are_postgresql(*urls: str) -> bool:
    return all(url.startswith("postgresql+psycopg://") for url in urls)


def networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that these texts name; an address is a network of one.

    Raises:
        ValueError: one names none.
    """
    return tuple(ip_network(text) for text in texts)


def data_dir(option: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The data directory: the option, else the environment, else the platform's place."""
    environ = os.environ if environ is None else environ
    named = option or environ.get(PREFIX + "DATA")
    if named:
        return Path(named).absolute()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/deploy-server")
    return Path(platformdirs.user_data_dir("deploy-server", appauthor=False))


def load(data: Path, environ: Mapping[str, str] | None = None) -> ServerConfig:
    """The configuration of an initialised data directory.

    Raises:
        ConfigError: not initialised, no TOML, a key nobody knows, a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    values = {**_from_file(data / "server.toml"), **from_environ(environ)}
    return ServerConfig(data=data, **values)


def from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """The keys that ``DEPLOY_SERVER_*`` variables set; lists are separated by commas."""
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or name in _OTHER_NAMES or _SERVICE_LINK.fullmatch(name):
            continue
        values[name.lower()] = _convert(name.lower(), text, variable)
    return values


def _from_file(file: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{file.parent} is not initialised: there is no server.toml in it",
            hint=f"Run: deploy-server init --data {file.parent}",
        ) from None
    except PermissionError:
        raise ConfigError(
            f"{file} cannot be read: permission denied",
            hint="Run this as the user the server belongs to.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}", hint="Correct that line.") from None
    return {name: _convert(name, value, str(file)) for name, value in raw.items()}


def _convert(name: str, value: object, source: str) -> Any:
    """The value as its field's type; the environment has only texts."""
    fields = {field.name: field.type for field in dataclasses.fields(ServerConfig)}
    del fields["data"]
    if name not in fields:
        raise ConfigError(
            f"{source}: {name} is no key of the configuration",
            hint=f"Correct or remove it. The keys are {', '.join(fields)}.",
        )
    read, wanted = _READERS[fields[name]]
    try:
        return read(value)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{source}: {name} is {value!r}", hint=f"Give {wanted}.") from None


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _read_number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _read_switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}[_read_text(value).lower()]


def _read_list(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise TypeError
    return tuple(text for text in (_read_text(item).strip() for item in items) if text)


_READERS: dict[Any, tuple[Callable[[object], Any], str]] = {
    str: (_read_text, "a text in quotes"),
    int: (_read_number, "a whole number"),
    bool: (_read_switch, "true or false"),
    tuple[str, ...]: (_read_list, 'a list of texts, like ["a", "b"]'),
}


def render(config: ServerConfig) -> str:
    """The text of ``server.toml`` that gives this configuration: the hosts, then what differs.

    Shape::

        hosts = ["deploy.example.org"]
        https_port = 9443
    """
    lines = [
        "# The configuration of deploy-server; docs/server.rst explains every key.",
        f"hosts = {json.dumps(config.hosts, ensure_ascii=False)}",
    ]
    standard = ServerConfig(data=config.data)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        # Texts, numbers, switches and lists of texts are written alike in JSON and TOML.
        if field.name not in ("data", "hosts") and value != getattr(standard, field.name):
            lines.append(f"{field.name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join([*lines, ""])
