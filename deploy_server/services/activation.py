"""Activations: where agents find a package."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from deploy_server.config import ServerConfig
from deploy_server.services.packages import Impact
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import Activation, Package


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


def default_locations(session: Session, config: ServerConfig, package: Package) -> tuple[str, str]:
    """Return info and fragment URL for forms: the settings', else this server's own."""
    raise NotImplementedError


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

    Raises:
        SpecErrors: field `info_url` or `fragment_url`.
    """
    raise NotImplementedError


def activate(
    session: Session,
    package: Package,
    info_url: str,
    fragment_url: str,
    *,
    now: datetime,
    actor: str,
) -> Activation:
    """Say that agents find `package` there; a package may have several activations.

    Raises:
        SpecErrors: field `info_url` or `fragment_url`.
        Conflict: it is activated there already, or deleted.
    """
    raise NotImplementedError


def list_activations(session: Session, package_id: int | None = None) -> list[Activation]:
    """Return the open activations, of one package or of all, newest first."""
    raise NotImplementedError


def deactivate(
    session: Session, activation_ids: Sequence[int], *, now: datetime, actor: str
) -> Impact:
    """End activations: those who wait are withdrawn, no computer and no file is touched.

    Computers that were told keep their row and are not told again.

    Raises:
        NotFound: one of them does not exist or has ended; nothing has changed then.
    """
    raise NotImplementedError
