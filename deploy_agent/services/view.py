"""The agent as domain/plan.py sees it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploy_agent.domain.plan import Planned
from deploy_agent.wire.replies import DownloadSettings

if TYPE_CHECKING:
    from deploy_agent.services.agent import Agent


class View:
    """The agent as the plan sees it."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    def settings(self) -> DownloadSettings:
        """Return the newest settings."""
        return self._agent.settings()

    def packages(self) -> Sequence[Planned]:
        """Return every unfinished package."""
        return [
            Planned(
                package.id,
                package.info.priority if package.info and not package.needs_info else None,
                found.readiness,
            )
            for package, found in self._agent.standings()
        ]

    def may_move(self, package_id: str) -> bool:
        """Whether a package can move now."""
        return self._agent.may_move(package_id)
