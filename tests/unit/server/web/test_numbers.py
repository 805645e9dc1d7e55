"""Every number of every page that counts is as long as the list that it leads to, for any fleet.

Fleets are made by chance, and read by somebody who sees everything and by somebody with one tag.
"""

import html
import random
import re
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from deploy_server.storage.models import Activation, Computer, GroupMember
from tests.support.clock import START
from tests.support.console import Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)

STATUSES = (
    "WAITING", "NOTIFIED", "SUCCESS", "SUCCESS_ALREADY_SETUP", "SUCCESS_3", "ERR_BAD_DIGEST",
    "ERR_EXIT_CODE_3", "something <new>",
)  # fmt: skip
OURS = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}

_COUNT = r'<a class="count[^"]*" href="([^"]+)">([\d,]+)</a>'
_TILE = r'<a class="tile" href="([^"]+)">.*?class="value">([\d,]+)<'
_CHIP = r'<a class="chip" href="([^"]+)"[^>]*>[^<]*<span class="count[^"]*">([\d,]+)</span>'


def fleet(session: Session, chance: random.Random) -> list[str]:
    """Put a fleet into the database; returns the pages that count something of it."""
    computers = [_computer(session, chance) for _ in range(16)]
    systems = ("any", "linux", "windows")
    activations = [
        make_activation(session, make_package(session, os=chance.choice(systems))) for _ in range(2)
    ]
    for activation in activations:
        for computer in chance.sample(computers, 9):
            _assign(session, chance, computer, activation)
    pages = ["/", "/packages", "/failures", "/stuck", "/groups", "/computers/unassign?whole=1"]
    for number, kind in enumerate(("static", "dynamic")):
        more = {"expression": "tag = lyon"} if kind == "dynamic" else {}
        members = chance.sample(computers, 5) if kind == "static" else []
        group = make_group(
            session, *members, name=f'"{number}" & <b>', kind=kind, visible=True, **more
        )
        make_group_assignment(session, group, chance.choice(activations))
        by_hand = chance.choice([each for each in computers if each not in members])
        session.add(
            GroupMember(group_id=group.id, computer_id=by_hand.id, kind="exclude", added_at=START)
        )
        pages.append(f"/groups/{group.id}")
    for activation in activations:
        address = f"/packages/{activation.package_id}"
        pages += [address, *(f"{address}/results{view}" for view in ("", "/time", "/groups"))]
        pages += [f"/packages/delete?package={activation.package_id}", f"{address}/stop"]
        kinds = ("success", "not_notified", "all")
        pages += [f"{address}/results/validate?what={kind}" for kind in kinds]
        pages += [f"{address}/edit"]
    return pages


def _computer(session: Session, chance: random.Random) -> Computer:
    family, tag = chance.choice(("linux", "windows", "")), chance.choice(("LYON", "PARIS", ""))
    seen = chance.choice((None, START, START - timedelta(days=30)))
    agent = chance.choice((OURS, {}))
    return make_computer(session, os_family=family, tag=tag, last_contact=seen, **agent)


def _assign(
    session: Session, chance: random.Random, computer: Computer, activation: Activation
) -> None:
    since = START - timedelta(hours=chance.choice((0, 1, 50, 300)))
    cleared = chance.choice((None, None, None, START))
    status = chance.choice(STATUSES)
    make_assignment(session, computer, activation, status=status, since=since, cleared_at=cleared)


def length(page: str) -> int:
    """How long the list of a page is, as the line below it says."""
    found = re.search(r"of ([\d,]+) (?:computer|package|failure|member)", page)
    return int(found.group(1).replace(",", "")) if found else 0


def numbers(browser: Browser, page: str) -> list[tuple[str, int]]:
    """Every number of a page, with the list that it leads to."""
    text = browser.get(page).text
    links = [each for pattern in (_COUNT, _TILE, _CHIP) for each in re.findall(pattern, text, re.S)]
    return [(html.unescape(address), int(number.replace(",", ""))) for address, number in links]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_number_is_as_long_as_its_list(console: Console, seed: int) -> None:
    with console.session() as session:
        pages = fleet(session, random.Random(seed))
    for browser in (console.user("superadmin"), console.user("admin", "LYON")):
        said = {page: numbers(browser, page) for page in pages}
        lists = {target for found in said.values() for target, _ in found}
        lengths = {target: length(browser.get(target).text) for target in lists}
        for page, found in said.items():
            assert found == [(target, lengths[target]) for target, _ in found], page
        assert len(lists) > 25
        assert sum(map(bool, said.values())) > len(pages) / 2
