"""What a PROLOG is answered: whether to send an inventory, and which packages are offered. Pure.

Rules: features.md 1.3 and 1.4; contract.md 4 (Extension) and 5 (Assigning).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from deploy_agent.wire.replies import PackageOffer
from deploy_server.domain.assigning import AgentKind, kinds_that_refuse

ALWAYS, NEVER = 0, -1  # values of FREQUENCY


def wants_inventory(frequency: int, last_inventory: datetime | None, now: datetime) -> bool:
    """Return whether a computer is asked for an inventory; FREQUENCY in days, not NEVER."""
    if frequency == ALWAYS or last_inventory is None:
        return True
    return now - last_inventory >= timedelta(days=frequency)


@dataclass(frozen=True, slots=True)
class Device:
    """What an offer depends on.

    Attributes:
        agent: whose agent it has.
        os_family: '' while it is not known.
    """

    agent: AgentKind
    os_family: str

    @property
    def is_ours(self) -> bool:
        """Whether our extension is spoken."""
        return self.agent is AgentKind.OURS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that a computer may be offered.

    Attributes:
        package_id: its id.
        os: the system it is for.
        algorithm: of DIGEST, '' without a file.
        encoding: of DIGEST.
        revision: of the package.
        info_url: of the activation.
        fragment_url: of the activation.
        attempt: X_ATTEMPT; None until one is given.
        force: also where history has it.
        schedule: 'YYYY/MM/DD HH:MM' or ''.
        postcmd: as assigned.
    """

    package_id: int
    os: str
    algorithm: str
    encoding: str
    revision: int
    info_url: str
    fragment_url: str
    attempt: int | None
    force: bool
    schedule: str
    postcmd: str


class Decision(Enum):
    """What becomes of a candidate."""

    OFFER = "it is offered"
    HOLD = "it does not suit the computer, or that is not known yet"
    IN_HISTORY = "the agent's history has it"


def decide(candidate: Candidate, device: Device, history: frozenset[int]) -> Decision:
    """Return what becomes of a candidate.

    Args:
        candidate: assigned to the computer or to a group of it.
        device: the computer.
        history: ids that the agent's history has; our agents judge that themselves.
    """
    if candidate.os not in ("any", device.os_family):
        return Decision.HOLD
    if device.agent in kinds_that_refuse(candidate.algorithm, candidate.encoding):
        return Decision.HOLD
    if not device.is_ours and not candidate.force and candidate.package_id in history:
        return Decision.IN_HISTORY
    return Decision.OFFER


def offer(candidate: Candidate, device: Device) -> PackageOffer:
    """Return the PACK; what is ours only for our agents."""
    return PackageOffer(
        package_id=str(candidate.package_id),
        info_loc=candidate.info_url,
        pack_loc=candidate.fragment_url,
        schedule=candidate.schedule,
        postcmd=candidate.postcmd,
        force=candidate.force,
        revision=candidate.revision if device.is_ours else None,
        attempt=candidate.attempt if device.is_ours else None,
    )
