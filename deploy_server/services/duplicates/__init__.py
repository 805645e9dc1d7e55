"""Computers that look alike: listed for administrators, who alone merge them (contract.md 5)."""

from deploy_server.services.duplicates.finding import (
    BLACKLISTS,
    LookalikePage,
    Lookalikes,
    lookalikes,
    traits_of,
)
from deploy_server.services.duplicates.merging import merge

__all__ = ["BLACKLISTS", "LookalikePage", "Lookalikes", "lookalikes", "merge", "traits_of"]
