"""Command lines from words, quoted by the standard library, and what may not be in them. Pure."""

import re
import shlex
import subprocess
from collections.abc import Sequence

from deploy_server.domain.errors import SpecError

#: What the command line of Windows reads as signs of its own, also inside many quotes.
_CMD_SIGNS = frozenset('&|<>^"')
_NAME_SIGNS = _CMD_SIGNS | frozenset("%:*?/\\")
_WINDOWS_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_PROPERTY = re.compile(r"[A-Za-z0-9_.]+=\Z")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:@~/=-]*\Z")


def unix(words: Sequence[str]) -> str:
    """Return words as a line for /bin/sh."""
    return shlex.join(words)


def windows(words: Sequence[str]) -> str:
    """Return words as a line for Windows; NAME=value keeps its quotes inside, as msiexec wants."""
    return " ".join(_windows_word(word) for word in words)


def _windows_word(word: str) -> str:
    name, sign, value = word.partition("=")
    if sign and _PROPERTY.match(name + sign) and " " in value:
        return name + sign + subprocess.list2cmdline([value])
    return subprocess.list2cmdline([word])


def unix_words(text: str, field: str) -> list[str]:
    """Return the words of arguments as people type them for a shell.

    Raises:
        SpecError: a quote without its end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise SpecError(field, f"the arguments cannot be read: {error}", "Close it") from error


def windows_words(text: str, field: str) -> list[str]:
    """Return the words of arguments as people type them for Windows.

    Raises:
        SpecError: a quote without its end, or a sign that the command line would act on.
    """
    if text.count('"') % 2:
        raise SpecError(field, "a quote has no end", 'Close it with another "')
    words = [each.replace('"', "") for each in _WINDOWS_WORD.findall(text)]
    found = sorted(_CMD_SIGNS & set("".join(words)))
    if found:
        raise SpecError(
            field,
            f"{' '.join(found)} would be read by Windows's command line itself",
            "Put it into a script inside the archive",
        )
    return words


def file_name(text: str, field: str, endings: tuple[str, ...] = ()) -> str:
    """Return the name of a file at the top of the archive.

    Raises:
        SpecError: no name, a path, signs that command lines read, or another ending.
    """
    name = text.strip()
    if not name or name in (".", ".."):
        raise SpecError(field, "the file has no name", "Give it as it is in the archive")
    found = sorted(_NAME_SIGNS & set(name))
    if found or not name.isprintable() or name.startswith("-"):
        signs = " ".join(found) or ("-" if name.startswith("-") else "an unseen character")
        raise SpecError(field, f"the name of the file has {signs}", "Rename the file")
    if endings and not name.lower().endswith(endings):
        raise SpecError(field, f"{name[:60]!r} is another kind of file", f"Take a {endings[0]}")
    return name


def package_names(text: str, field: str) -> list[str]:
    """Return names of packages of a system.

    Raises:
        SpecError: none, or one that is no name; an option would be taken for one.
    """
    names = text.replace(",", " ").split()
    if not names:
        raise SpecError(field, "no package is named", "Give one, such as: vlc")
    for name in names:
        if not _PACKAGE.match(name):
            raise SpecError(field, f"{name[:60]!r} is no name of a package", "Correct it")
    return names
