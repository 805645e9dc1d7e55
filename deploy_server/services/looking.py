"""Fetches one file of a package from where agents would, and says in words what is wrong.

What people type here is fetched by this server, so the rules are strict: the name is resolved once
and the connection goes to that very address; loopback and link-local addresses are refused unless
this server itself listens there or the configuration lists them; redirects are not followed;
little is read, and not for long. Source: security.md 4.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deploy_agent import __version__
from deploy_server.config import ServerConfig
from deploy_server.domain.location import Location

TIMEOUT_S = 5  # for a connection, and for each wait on it
DEADLINE_S = 15  # for all of it
_UNKNOWN_CA = (18, 19, 20, 21, 2)  # OpenSSL's numbers: self-signed, issuer not found
_EXPIRED = (9, 10)
_OTHER_NAME = (62, 64)
_USER_AGENT = f"Tranche/{__version__} (activation check)"


class Unreachable(Exception):
    """It could not be fetched; the text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP's.
        location: where it redirects to, ''.
        length: Content-Length, None where it did not say.
        body: the beginning.
    """

    status: int
    location: str
    length: int | None
    body: bytes


def fetch(
    config: ServerConfig, place: Location, scheme: str, path: str, limit: int, ca: ssl.SSLContext
) -> Answer:
    """Return the answer to one GET.

    Args:
        config: says what may be fetched; with the ports in use.
        place: where.
        scheme: `http` or `https`.
        path: below the place, beginning with `/`.
        limit: bytes of the body that are read at most.
        ca: verifies HTTPS as agents do.

    Raises:
        Unreachable: with the reason.
    """
    port = place.port_for(scheme)
    addresses = [each for each in _resolve(place.host, port) if _may_fetch(config, place, each)]
    if not addresses:
        raise Unreachable(
            f"{place.host} is this machine itself or link-local, which no agent elsewhere reaches;"
            " it is not fetched unless fetch_allow in server.toml lists it"
        )
    with _reasons(place, port), _connection(place, port, scheme, addresses, ca) as connection:
        headers = {"User-Agent": _USER_AGENT, "Connection": "close", "Accept-Encoding": "identity"}
        connection.request("GET", place.path + path, headers=headers)
        answer = connection.getresponse()
        length = answer.getheader("Content-Length") or ""
        return Answer(
            status=answer.status,
            location=answer.getheader("Location") or "",
            length=int(length) if length.isdigit() and len(length) < 19 else None,
            body=answer.read(limit),
        )


Address = tuple[socket.AddressFamily, tuple[str, int]]


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Unreachable(f"the name {host} is not known here: {error}") from error
    return [(socket.AddressFamily(each[0]), (str(each[4][0]), port)) for each in found]


def _may_fetch(config: ServerConfig, place: Location, address: Address) -> bool:
    text, port = address[1]
    ip = ipaddress.ip_address(text.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    inward = ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
    if not inward:
        return True
    listed = {place.host, f"{place.host}:{port}", f"[{place.host}]:{port}"}
    if listed & {each.lower() for each in config.fetch_allow}:
        return True
    return port in (config.http_port, config.https_port) and _is_listening(config, address)


def _is_listening(config: ServerConfig, address: Address) -> bool:
    """Whether this server listens on the address; behind 0.0.0.0, whether it is of this machine."""
    family, (text, _) = address
    if config.bind not in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return text == config.bind
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((text, 0))  # only an address of this machine can be bound
        except OSError:
            return False
    return True


@contextmanager
def _connection(
    place: Location, port: int, scheme: str, addresses: Sequence[Address], ca: ssl.SSLContext
) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to one of `addresses`, and to nothing else, that ends at the deadline."""
    connection = http.client.HTTPConnection(place.host, port, timeout=TIMEOUT_S)
    line = _connect(addresses)
    # However slowly a server drips: reading from a line that is shut down ends.
    timer = threading.Timer(DEADLINE_S, _shut, (line,))
    timer.daemon = True
    timer.start()
    try:
        if scheme == "https":
            tls = ca.wrap_socket(line, server_hostname=place.host, do_handshake_on_connect=False)
            line, timer.args = tls, (tls,)
            tls.do_handshake()
        connection.sock = line
        yield connection
    finally:
        timer.cancel()
        connection.close()
        line.close()


def _connect(addresses: Sequence[Address]) -> socket.socket:
    trouble: OSError = OSError("no address")
    for family, address in addresses:
        line = socket.socket(family, socket.SOCK_STREAM)
        line.settimeout(TIMEOUT_S)
        try:
            line.connect(address)
        except OSError as error:
            line.close()
            trouble = error
        else:
            return line
    raise trouble


def _shut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        line.close()


@contextmanager
def _reasons(place: Location, port: int) -> Iterator[None]:
    """Say in words why something could not be fetched."""
    where = f"{place.host} port {port}"
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(_about_certificate(place, error)) from error
    except ssl.SSLError as error:
        raise Unreachable(
            f"{where} does not speak TLS as agents do ({error.reason or error}): is it the port of"
            " plain HTTP?"
        ) from error
    except TimeoutError as error:
        raise Unreachable(f"{where} does not answer in time") from error
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(f"{where} does not answer: {why}") from error


def _about_certificate(place: Location, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _EXPIRED:
        return f"the certificate of {place.host} is not valid today: {error.verify_message}"
    if error.verify_code in _OTHER_NAME:
        return (
            f"the certificate at {place.host} is for other names: make one that has {place.host}"
            " among its names (SAN)"
        )
    if error.verify_code in _UNKNOWN_CA:
        return (
            f"the certificate of {place.host} does not come from this server's CA"
            f" ({error.verify_message}): only agents that pin its own CA will trust it"
        )
    return f"the certificate of {place.host} cannot be trusted: {error.verify_message}"
