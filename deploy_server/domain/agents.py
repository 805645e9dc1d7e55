"""Which agents are answered, by what they call themselves: names, and versions of names. Pure.

Shape of AGENTS_VERSIONS, a rule in each line:

    OCS-NG_unified_unix_agent* >= 2.4
    OCS-NG_WINDOWS_AGENT* <= 2.11
    *Tranche/* >= 0.1
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from deploy_server.domain.errors import SpecError
from deploy_server.domain.version import version_key

# Ours calls itself one of OCS's too, so its own version is looked for first.
_VERSIONS = (
    re.compile(r"Tranche/v?([0-9][\w.~+-]*)", re.ASCII),
    re.compile(r"_v([0-9][\w.~+-]*)", re.ASCII),
    re.compile(r"[/ ]v?([0-9][\w.~+-]*)", re.ASCII),
)
_RULE = re.compile(r"(\S.*?)\s*(>=|<=)\s*(v?[0-9][\w.~+-]*)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class VersionRule:
    """What version agents of a name have to have.

    Attributes:
        name: a pattern; `*` stands for anything.
        operator: `>=` or `<=`.
        version: to compare with.
    """

    name: str
    operator: str
    version: str

    def refuses(self, version: str) -> bool:
        """Whether agents of this version are refused; one that says none is older than all."""
        theirs, ours = version_key(version), version_key(self.version)
        return theirs < ours if self.operator == ">=" else theirs > ours

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.version}"


def parse_rules(text: str) -> tuple[VersionRule, ...]:
    """Return the rules of AGENTS_VERSIONS.

    Raises:
        SpecError: field `value`; names the line that is none.
    """
    rules = []
    for line in lines_of(text):
        found = _RULE.match(line)
        if found is None:
            raise SpecError(
                "value",
                f"{line[:60]!r} is no rule for versions",
                "Write a name with * and a version in each line: OCS-NG_unified_unix_agent* >= 2.4",
            )
        rules.append(VersionRule(*found.groups()))
    return tuple(rules)


def version_of(user_agent: str) -> str:
    """Return the version that an agent says it has, '' for none."""
    for pattern in _VERSIONS:
        if found := pattern.search(user_agent):
            return found.group(1)
    return ""


def fits(pattern: str, user_agent: str) -> bool:
    """Return whether a User-Agent fits a pattern with `*`; capitals count."""
    first, *others = pattern.split("*")
    if not others:
        return user_agent == pattern
    # Not with `re`: an agent may call itself so that it tries for hours where each `*` ends.
    *middle, last = others
    end = len(first)
    for piece in middle:
        found = user_agent.find(piece, end)
        if found < 0:
            return False
        end = found + len(piece)
    fits_ends = user_agent.startswith(first) and user_agent.endswith(last)
    return fits_ends and end <= len(user_agent) - len(last)


def lines_of(text: str) -> list[str]:
    """Return the lines of a setting that say something; `#` begins a remark."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@lru_cache(maxsize=1024)
def refusal(user_agent: str, *, only_listed: bool, allowed: str, versions: str) -> str:
    """Return why an agent is refused that is known by its name, as a sentence; '' is welcome.

    Args:
        user_agent: as it calls itself.
        only_listed: AGENTS_ONLY_LISTED.
        allowed: AGENTS_ALLOWED.
        versions: AGENTS_VERSIONS.
    """
    if only_listed and not any(fits(each, user_agent) for each in lines_of(allowed)):
        return "only agents that the setting AGENTS_ALLOWED names are served here"
    version = version_of(user_agent)
    for rule in parse_rules(versions):
        if fits(rule.name, user_agent) and rule.refuses(version):
            said = f"version {version}" if version else "an agent without a version"
            return f"{said} is not served here: the setting AGENTS_VERSIONS says {rule}"
    return ""
