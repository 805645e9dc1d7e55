"""LAUNCH and EXECUTE as command lines. Source: contract.md 4, Actions."""

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from deploy_agent.domain.errors import ActionFailed, BadInfo, NoCommand
from deploy_agent.machine.runner.expand import expand
from deploy_agent.machine.runner.job import Job

_SHOWN_FILES = 5


def launch_command(job: Job, variables: Mapping[str, str], *, windows: bool) -> list[str]:
    """Return NAME as a program of the tree, made executable, with its arguments.

    NAME is split first and expanded then, so that a value never becomes two arguments.

    Raises:
        NoCommand: NAME is empty.
        BadInfo: NAME cannot be split, or has a path.
        ActionFailed: the tree has no such file.
    """
    words = split(job.target, windows=windows)
    if not words or not words[0]:
        raise NoCommand("the package says LAUNCH and has no NAME", "Build it again with a file")
    name = words[0]
    if "/" in name or (windows and "\\" in name):
        raise BadInfo(
            f"NAME is '{name}', but LAUNCH takes a file at the top of the archive",
            field="NAME",
            hint="Build the package again without a path in NAME",
        )
    program = _program(job.tree, name)
    return [str(program), *(expand(word, variables, windows=windows) for word in words[1:])]


def execute_command(job: Job, *, windows: bool) -> list[str] | str:
    """Return what has the system's command processor run COMMAND.

    Raises:
        NoCommand: COMMAND is empty.
    """
    if not job.target.strip():
        raise NoCommand("the package says EXECUTE and has no COMMAND", "Build it again with one")
    if windows:  # one string: the rules by which it splits are its own
        return f'{os.environ.get("COMSPEC", "cmd.exe")} /d /s /c "{job.target}"'
    return ["/bin/sh", "-c", job.target]


def split(text: str, *, windows: bool) -> list[str]:
    r"""Return the words of `text` as a POSIX shell splits it; on Windows \ is no escape.

    Raises:
        BadInfo: a quotation has no end.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if windows:
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise BadInfo(
            f"NAME is '{text}', which cannot be split into arguments: {error}",
            field="NAME",
            hint="Close the quotation marks and build the package again",
        ) from error


def _program(tree: Path, name: str) -> Path:
    program = tree / name
    try:
        status = program.stat()
    except (OSError, ValueError) as error:
        raise ActionFailed(
            f"the archive has no file '{name}'", f"At its top it has {_listing(tree)}"
        ) from error
    if not stat.S_ISREG(status.st_mode) or not program.resolve().is_relative_to(tree.resolve()):
        raise ActionFailed(f"'{name}' in the archive is no file", "Launch a file of the archive")
    program.chmod(0o755)
    return program


def _listing(tree: Path) -> str:
    names = sorted(path.name for path in tree.iterdir()) if tree.is_dir() else []
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return (", ".join(names[:_SHOWN_FILES]) or "nothing") + more
