"""What helps people to search: completion of what they write, and searches they saved."""

from deploy_server.services.searching.completing import Completion, Suggestion, complete
from deploy_server.services.searching.saved import (
    Reader,
    SavedView,
    delete_search,
    list_searches,
    save_search,
)

__all__ = [
    "Completion",
    "Reader",
    "SavedView",
    "Suggestion",
    "complete",
    "delete_search",
    "list_searches",
    "save_search",
]
