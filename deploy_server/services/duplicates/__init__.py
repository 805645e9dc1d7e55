"""Computers that look alike: listed for administrators, who alone merge them (contract.md 5)."""

from deploy_server.services.duplicates.finding import LookalikePage, Lookalikes, lookalikes
from deploy_server.services.duplicates.merging import merge

__all__ = ["LookalikePage", "Lookalikes", "lookalikes", "merge"]
