"""Every command that README and docs show exists, with its options; so do the files they name."""

import re
import shlex
from pathlib import Path

import click
import pytest

from deploy_agent.cli import main as agent
from deploy_server.cli import main as server
from tests.support.repository import ROOT

PROGRAMS: dict[str, click.Group] = {"deploy-server": server, "deploy-agent": agent}
# Those of certs/README.rst are run, not only read: tests/integration/test_certificate_ways.py.
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]

_FILE = re.compile(r"<([^<>:\s]+\.(?:rst|md|sh))>`_|image:: (\S+)")
_BLOCK = re.compile(r"::\n\n((?:(?: {4}.*)?\n)+)")
_COMMAND = re.compile(r"(?:^|[\s/(])(deploy-(?:server|agent) .*)")


def commands(page: Path) -> list[list[str]]:
    """The words of each command in the literal blocks of a page; synopses are none."""
    found = []
    for block in _BLOCK.findall(page.read_text()):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            match = _COMMAND.search(line)
            if match is not None and not re.search(r"\[|\.\.\.| \| (?!head)", match.group(1)):
                end = re.split(r" \| |   +", match.group(1))[0]
                found.append(shlex.split(end, comments=True))
    return found


ALL = [(page.name, words) for page in PAGES for words in commands(page)]


def test_the_readme_shows_every_step() -> None:
    shown = {tuple(words[:3]) for name, words in ALL if name == "README.rst"}
    assert shown >= {
        ("deploy-server", "package", "build"),
        ("deploy-server", "package", "activate"),
        ("deploy-agent", "run"),
        ("deploy-agent", "once"),
    }
    assert len(ALL) > 20


@pytest.mark.parametrize("words", [words for _, words in ALL], ids=lambda words: " ".join(words))
def test_a_shown_command_is_understood(words: list[str]) -> None:
    command: click.Command = PROGRAMS[words[0]]
    context = command.make_context(words[0], words[1:])
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context, command = found.make_context(name, rest, parent=context), found


@pytest.mark.parametrize("page", [*PAGES, ROOT / "certs/README.rst"], ids=lambda page: page.name)
def test_a_link_leads_to_a_file(page: Path) -> None:
    named = [link or image for link, image in _FILE.findall(page.read_text())]
    assert [each for each in named if not (page.parent / each).is_file()] == []
    assert named or page.name != "README.rst" or page.parent != ROOT
