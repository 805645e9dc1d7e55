"""The routes of all applications of a run, compiled once.

Most tests make an application of their own, and nine tenths of that is werkzeug turning the same
hundred rules into code.
"""

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule

_compile: Callable[..., Callable[..., Any]] = Rule._compile_builder
_compiled: dict[tuple[object, ...], Callable[..., Any]] = {}


def compile_routes_once() -> None:
    """Remember what a rule became; what it is made of is all in its key."""

    def remembered(self: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        kinds = sorted((name, type(each).__name__) for name, each in self._converters.items())
        key = (repr(self._trace), repr(self.defaults), repr(kinds), append_unknown)
        if key not in _compiled:
            _compiled[key] = _compile(self, append_unknown)
        return _compiled[key]

    Rule._compile_builder = remembered  # type: ignore[method-assign]
