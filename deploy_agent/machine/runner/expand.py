"""Variables in PATH and in the arguments of NAME. Pure.

COMMAND is not expanded here: the shell that runs it does so itself, in the same environment, and
knows better than we what stands in quotes.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from deploy_agent.wire.terms import INSTALL_PATH

_POSIX = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_WINDOWS = re.compile(r"%([^%=\s]+)%")
_INSTALL_WORD = re.compile(rf"(?<![A-Za-z0-9_]){INSTALL_PATH}(?![A-Za-z0-9_])")


def expand(text: str, variables: Mapping[str, str], *, windows: bool = False) -> str:
    """Return `text` with its variables replaced, once; unknown names stay as they are.

    Args:
        text: with $VAR and ${VAR}, on Windows with %VAR%.
        variables: their values; names in upper case on Windows, where case means nothing.
        windows: which of the spellings counts.
    """

    def value(found: re.Match[str]) -> str:
        name = next(group for group in found.groups() if group)
        return variables.get(name.upper() if windows else name, found.group())

    return (_WINDOWS if windows else _POSIX).sub(value, text)


def expand_path(
    text: str, variables: Mapping[str, str], install_path: Path, *, windows: bool = False
) -> str:
    """Return PATH with variables and the word INSTALL_PATH replaced. Source: features.md 2."""
    expanded = expand(text, variables, windows=windows)
    return _INSTALL_WORD.sub(lambda _: str(install_path), expanded)
