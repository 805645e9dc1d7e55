"""Looks whether agents would find a package where somebody says it is."""

import ssl
from dataclasses import dataclass

from deploy_agent.wire.fragment import INFO_FILE, FragmentPlan, fragment_name
from deploy_agent.wire.terms import INFO_MAX
from deploy_server.config import ServerConfig
from deploy_server.domain.errors import SpecError, SpecErrors, StorageError
from deploy_server.domain.layout import package_name
from deploy_server.domain.location import Location, read_location
from deploy_server.services.looking import Answer, Unreachable, fetch
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import Package

_COMPARED_MAX = 1024 * 1024  # bytes of the first fragment that are compared


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of looking at one place as an agent would.

    Attributes:
        url: what was fetched.
        ok: agents will find there what they need.
        sentence: why, for people.
    """

    url: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file that should be somewhere.

    Attributes:
        place: where.
        scheme: how agents fetch it.
        folder: the package's id, ten digits.
        name: of the file.
        size: its bytes.
        beginning: of our own file; all of it where it is short.
    """

    place: Location
    scheme: str
    folder: str
    name: str
    size: int
    beginning: bytes

    @property
    def path(self) -> str:
        return f"/{self.folder}/{self.name}"


def check_locations(
    config: ServerConfig,
    store: FragmentStore,
    package: Package,
    info_url: str,
    fragment_url: str,
) -> list[Check]:
    """Fetch info and the first fragment as an agent would and compare them with ours.

    Takes up to half a minute and no session: commit or roll back before, so that no lock on the
    database is held meanwhile.

    Args:
        config: with the ports in use (`ServerConfig.in_use`).
        store: has our own files.
        package: whose.
        info_url: as typed.
        fragment_url: as typed.

    Raises:
        SpecErrors: field `info_url` or `fragment_url`.
        NotFound, StorageError: our own files or our CA cannot be read.
    """
    info, fragments = read_locations(package, info_url, fragment_url)
    ca = _verifier(config)
    folder = package_name(package.id)
    ours = _read(store, package, INFO_FILE, INFO_MAX)
    wanted = [_Wanted(info, "https", folder, INFO_FILE, len(ours), ours)]
    if package.fragments and package.fragment_size:
        name = fragment_name(folder, 1)
        size = FragmentPlan(package.size, package.fragment_size).length(1)
        ours = _read(store, package, name, _COMPARED_MAX)
        wanted.append(_Wanted(fragments, package.protocol.lower(), folder, name, size, ours))
    return [_look(config, each, ca) for each in wanted]


def read_locations(package: Package, info_url: str, fragment_url: str) -> tuple[Location, Location]:
    """Return the two places of an activation, read as `package` needs them.

    Raises:
        SpecErrors: field `info_url` or `fragment_url`.
    """
    errors: list[SpecError] = []
    places: list[Location] = []
    schemes = {"info_url": "https", "fragment_url": package.protocol.lower()}
    for text, (field, scheme) in zip((info_url, fragment_url), schemes.items(), strict=True):
        try:
            place = read_location(text, field, scheme)
            _refuse_id(place, field, package)
            places.append(place)
        except SpecError as error:
            errors.append(error)
    if errors:
        raise SpecErrors(errors)
    return places[0], places[1]


def _refuse_id(place: Location, field: str, package: Package) -> None:
    """Refuse the address of a file where the place above the package's folder is meant."""
    if f"/{package_name(package.id)}" in place.path:
        raise SpecError(
            field,
            f"the place contains {package.id}, and agents add /{package.id}/... themselves",
            "Give what stands before it",
        )


def _look(config: ServerConfig, wanted: _Wanted, ca: ssl.SSLContext) -> Check:
    url = f"{wanted.scheme}://{wanted.place}{wanted.path}"
    limit = len(wanted.beginning) + 1
    try:
        answer = fetch(config, wanted.place, wanted.scheme, wanted.path, limit, ca)
        wrong = _compare(wanted, answer)
    except Unreachable as error:
        wrong = str(error)
    said = wrong or f"{wanted.name} is there and the same as ours"
    return Check(url, not wrong, f"{said[0].upper()}{said[1:]}.")


def _compare(wanted: _Wanted, answer: Answer) -> str:
    """Return what is wrong with the answer, '' where nothing is."""
    if answer.status in (301, 302, 303, 307, 308):
        return (
            f"it redirects to {answer.location[:200]!r}, which not every agent follows: give that"
            " place instead"
        )
    if answer.status == 404:
        return (
            f"there is no {wanted.name} (404): copy the folder {wanted.folder} to where that"
            " server has its packages"
        )
    if answer.status != 200:
        return f"it answers {answer.status} where agents need 200"
    if answer.length is None:
        return "it does not say how long the file is (Content-Length), and agents need that"
    same = answer.body[: len(wanted.beginning)] == wanted.beginning
    if answer.length != wanted.size or not same:
        return (
            f"it has another {wanted.name} than we do, perhaps an older one: copy the folder"
            f" {wanted.folder} again"
        )
    return ""


def _read(store: FragmentStore, package: Package, name: str, limit: int) -> bytes:
    with store.open(package.id, name) as file:
        return file.read(limit)


def _verifier(config: ServerConfig) -> ssl.SSLContext:
    ca_file = config.certs / "cacert.pem"
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise StorageError(
            f"the CA in {ca_file} cannot be read: {error}", "Look at: deploy-server cert show"
        ) from error
