"""What this agent has and has not ended, as it names it to our server.

A state folder that was restored from a backup, or copied, may hold what ended long ago. Only the
server can know, so it is asked before the agent acts on what its disk had when it started.
"""

from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import BEFORE_ACTION, State
from deploy_agent.services.packages import Packages
from deploy_agent.wire.terms import HELD_MAX

Place = tuple[str, int]

# Whoever may act soonest is asked about first. An action that ran may have to run again.
_NEAREST = (State.RUNNING, *reversed(BEFORE_ACTION))


class Held:
    """The packages on this computer that may act, of which our server named an attempt."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._answered: set[Place] = set()

    def name(self) -> tuple[Place, ...]:
        """Return (package id, attempt) of as many as fit; first what nobody has asked about."""
        places = {_place(each): each.state for each in self._records()}
        turn = sorted(
            places,
            key=lambda each: (each in self._answered, _NEAREST.index(places[each]), each),
        )
        return tuple(turn[:HELD_MAX])

    def answered(self, named: tuple[Place, ...]) -> None:
        """Note that the server has said which of those that were named are over."""
        self._answered.update(named)

    def is_unasked(self) -> bool:
        """Whether there is one that the server was not asked about in the life of this process."""
        return any(_place(each) not in self._answered for each in self._records())

    def _records(self) -> list[PackageRecord]:
        records = (package.record for package in self._packages)
        return [
            each for each in records if each.state in _NEAREST and each.offer.attempt is not None
        ]


def _place(record: PackageRecord) -> Place:
    assert record.offer.attempt is not None
    return record.package_id, record.offer.attempt
