"""Where agents find package files: host[:port]/path, without a scheme. Pure.

The scheme is not theirs to choose: info files come over HTTPS, fragments by their package's
protocol. Source: features.md 5.3, contract.md 4.
"""

import ipaddress
import re
from dataclasses import dataclass

from deploy_server.domain.errors import SpecError

LOCATION_MAX = 1000  # characters
_ALLOWED = re.compile(r"[A-Za-z0-9._\-/:\[\]]+\Z", re.ASCII)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::([0-9]*))?\Z", re.ASCII)
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?\Z")
_EXAMPLE = "Give it as deploy.example.org:8443/download"
_STANDARD_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Location:
    """A place where package folders are.

    Attributes:
        host: a name, or an address without brackets.
        port: None is the scheme's own.
        path: '' or one that begins with `/` and does not end with it.
    """

    host: str
    port: int | None = None
    path: str = ""

    def __str__(self) -> str:
        """Return host[:port]/path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}{'' if self.port is None else f':{self.port}'}{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether agents that take it would look on themselves."""
        if self.host.rstrip(".") == "localhost" or self.host.rstrip(".").endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return address.is_loopback or address.is_unspecified

    def port_for(self, scheme: str) -> int:
        """Return the port that is meant."""
        return _STANDARD_PORTS[scheme] if self.port is None else self.port


def read_location(text: str, field: str, scheme: str) -> Location:
    """Return the place that `text` names; a scheme in front that is the right one is left out.

    Args:
        text: what a person typed or pasted.
        field: its name, for the error.
        scheme: `http` or `https`, how agents will fetch from there.

    Raises:
        SpecError: it is no such place, or begins with another scheme.
    """
    given, separator, rest = text.strip().partition("://")
    if separator and given.lower() != scheme:
        raise _wrong_scheme(field, given, scheme)
    bare = (rest if separator else text.strip()).rstrip("/")
    _check_characters(bare, field)
    host_and_port, slash, path = bare.partition("/")
    found = _HOST.match(host_and_port)
    if found is None:
        raise SpecError(field, f"{host_and_port[:80]!r} is no host", _EXAMPLE)
    host = found.group(1).strip("[]").lower()
    if not _is_host(host, found.group(1).startswith("[")):
        raise SpecError(field, f"{host[:80]!r} is no name and no address of a host", _EXAMPLE)
    if slash and any(part in ("", ".", "..") for part in path.split("/")):
        raise SpecError(field, f"the path /{path[:80]} has an empty part or dots", _EXAMPLE)
    return Location(host, _port(found.group(2), field), slash + path)


def is_local(text: str) -> bool:
    """Whether agents that take the location `text` would look on themselves; never fails."""
    try:
        scheme, separator, _ = text.strip().partition("://")
        return read_location(text, "", scheme if separator else "https").is_local
    except SpecError:
        return False


def _wrong_scheme(field: str, given: str, scheme: str) -> SpecError:
    if field == "info_url":
        return SpecError(
            field,
            f"info files are never fetched by {given[:20]}, only over HTTPS",
            "Give the place without http://, with the port of HTTPS",
        )
    return SpecError(
        field,
        f"the fragments of this package are fetched by {scheme}, not {given[:20]}",
        f"Give the place without a scheme and with the port of {scheme.upper()}, or build the"
        f" package with another protocol",
    )


def _check_characters(bare: str, field: str) -> None:
    if not bare:
        raise SpecError(field, "the place is missing", _EXAMPLE)
    if len(bare) > LOCATION_MAX:
        raise SpecError(field, f"the place is longer than {LOCATION_MAX} characters", "Shorten it")
    if not _ALLOWED.match(bare):
        strange = next(c for c in bare if not _ALLOWED.match(c))
        raise SpecError(
            field,
            f"the place contains {strange!r}; agents take letters, digits and . _ - / : only",
            _EXAMPLE,
        )


def _is_host(host: str, in_brackets: bool) -> bool:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        # What ends in a number is meant as an address, and is none.
        digits = host.rstrip(".").rpartition(".")[2].isdigit()
        return not in_brackets and not digits and len(host) <= 253 and bool(_NAME.match(host))
    return (version == 6) == in_brackets


def _port(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    if not text or len(text) > 5 or not 1 <= int(text) <= 65535:
        raise SpecError(field, f"{text[:20]!r} is no port", "Give one from 1 to 65535, or none")
    return int(text)
