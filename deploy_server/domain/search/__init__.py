"""The language of the search box, of dynamic groups and of the command line (contract.md 2, EXPR).

expr   = term { "or" term } ; term = factor { "and" factor }
factor = [ "not" ] ( "(" expr ")" | field op value | field "is" [ "not" ] "empty" )

Text becomes a tree here; storage/search.py makes SQL of the tree. Pure.
"""

from deploy_server.domain.search.errors import SearchError
from deploy_server.domain.search.parser import parse
from deploy_server.domain.search.values import read_since, read_until

__all__ = ["SearchError", "parse", "read_since", "read_until"]
