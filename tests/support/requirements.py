"""What an extra of this distribution brings along, followed through the installed metadata."""

from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def distributions_of(extra: str) -> set[str]:
    """The canonical names of every distribution that ``tranche[extra]`` needs, itself left out."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [("tranche", frozenset({extra}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for line in requires(name) or []:
            needed = Requirement(line)
            wanted = [{"extra": each} for each in extras] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(each) for each in wanted):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return found - {"tranche"}


def modules_of(extra: str) -> set[str]:
    """The top-level names that can be imported where only ``tranche[extra]`` is installed."""
    brought = distributions_of(extra)
    return {
        module
        for module, owners in packages_distributions().items()
        if any(canonicalize_name(owner) in brought for owner in owners)
    }
