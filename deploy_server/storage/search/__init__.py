"""Expressions as SQL over Computer: expressions of SQLAlchemy and parameters only.

Every condition made here is true or false, never NULL, so that `not` means what it says; and it
gives the same answer on SQLite and PostgreSQL, because only folded columns are compared.
"""

from deploy_server.storage.search.matching import within
from deploy_server.storage.search.searcher import Searcher, search_clause

__all__ = ["Searcher", "search_clause", "within"]
