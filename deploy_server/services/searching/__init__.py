"""What helps people to search: saved searches."""

from deploy_server.services.searching.saved import (
    Reader,
    SavedView,
    delete_search,
    list_searches,
    save_search,
)

__all__ = ["Reader", "SavedView", "delete_search", "list_searches", "save_search"]
