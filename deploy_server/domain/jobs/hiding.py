"""Constructions by which a command says that it succeeded whatever happened. Pure."""

import re

_HIDES = re.compile(
    r"""(?: \|\| \s* (?: true | : | exit \s+ (?:/b\s+)? 0 | ver\s*>\s*nul )
          | (?: ; | && | & ) \s* (?: true | : | exit (?: \s+ (?:/b\s+)? 0 ) | cd\s*\.  )
        ) [\s;)}"']* \Z""",
    re.VERBOSE | re.IGNORECASE,
)


def hiding_end(command: str) -> str:
    """Return the end of `command` that hides a failure, such as `|| true`; '' where none does.

    `a && true` is no such end: it fails where a fails.
    """
    found = _HIDES.search(command.strip())
    if found is None or found.group().lstrip().startswith("&&"):
        return ""
    return found.group().strip()
