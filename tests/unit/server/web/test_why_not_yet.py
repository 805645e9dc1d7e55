"""Why is it not done yet? Each reason stands on the computer's page, a member of a group's too."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy.orm import Session

from deploy_server.storage.models import Activation, AgentEvent, Computer, Setting
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

OURS = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}
OLD = START - timedelta(days=30)

Prepare = Callable[[Session, Computer, Activation, int], None]


def nothing(_session: Session, _computer: Computer, _activation: Activation, _n: int) -> None:
    """Nothing more."""


def setting(name: str, value: str) -> Prepare:
    def prepare(session: Session, computer: Computer, *_: object) -> None:
        session.add(Setting(scope="computer", scope_id=computer.id, name=name, value=value,
                            changed_at=START))  # fmt: skip

    return prepare


def told(state: str, **values: Any) -> Prepare:
    def prepare(session: Session, computer: Computer, activation: Activation, attempt: int) -> None:
        event = {"reason": "", "output": "", "truncated": False, **values}
        session.add(
            AgentEvent(computer_id=computer.id, package_id=activation.package_id, attempt=attempt,
                       event_id="1", received_at=START, at=START, state=state, **event)
        )  # fmt: skip

    return prepare


def priority_0(session: Session, computer: Computer, *_: object) -> None:
    first = make_activation(session, make_package(session, name="Kernel", priority=0))
    make_assignment(session, computer, first, status="NOTIFIED")


def ended(_session: Session, _computer: Computer, activation: Activation, _n: int) -> None:
    activation.ended_at = START


class Case(NamedTuple):
    """What a computer and its package are like, and what is said of them."""

    words: str
    status: str = "NOTIFIED"
    computer: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it
    package: dict[str, Any] = {}  # noqa: RUF012
    row: dict[str, Any] = {}  # noqa: RUF012
    prepare: Prepare = nothing


CASES = {
    "next contact": Case("Waits for the computer&#39;s next contact, expected by"
                         ' <time datetime="2026-11-22T10:00:00Z" data-absolute="hour">', "WAITING"),
    "never": Case("The computer has never been in contact", "WAITING", {"last_contact": None}),
    "overdue": Case("No contact for 30 days, expected every 24 hours", "WAITING",
                    {"last_contact": OLD}),
    "told, overdue": Case("No contact for 30 days, expected every 60 minutes", "NOTIFIED",
                          {"last_contact": OLD, **OURS}),
    "downloading": Case("Downloading, 12 of 40 fragments", computer=OURS,
                        prepare=told("DOWNLOADING", done=12, total=40)),
    "behind": Case("Behind Kernel, which has priority 0 and goes first", prepare=priority_0),
    "off": Case("Deployment is switched off for this computer (DOWNLOAD)", "WAITING",
                prepare=setting("DOWNLOAD", "0")),
    "priority": Case("Its priority 9 is above the period length 8", package={"priority": 9},
                     prepare=setting("DOWNLOAD_PERIOD_LENGTH", "8")),
    "scheduled": Case("it is to run at 2026/12/24 18:00, the computer&#39;s time",
                      row={"schedule": "2026/12/24 18:00"}),
    "user": Case("ready to run: waits for the user", computer=OURS,
                 prepare=told("UNPACKED", reason="waits for the user")),
    "user, OCS": Case("it asks the user before it runs", package={"options": {"notify_text": "?"}}),
    "digest": Case("OCS&#39;s Unix agent cannot verify a digest as SHA256 in Hexa", "WAITING",
                   package={"digest_algorithm": "SHA256"}),
    "ended": Case("was ended; activate the package and assign it again", "WAITING", prepare=ended),
}  # fmt: skip


def words_of(page: str) -> str:
    """The reason of the package called Tool, and the row that it stands in."""
    found = re.search(r"<tr>(?:(?!</tr>).)*?>Tool</a>.*?</tr>", page, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", found.group())


@pytest.mark.parametrize("through_group", [False, True], ids=["by itself", "through a group"])
@pytest.mark.parametrize("name", CASES)
def test_the_page_says_why(
    admin: Browser, console: Console, name: str, through_group: bool
) -> None:
    case = CASES[name]
    with console.session() as session:
        computer = make_computer(session, **case.computer)
        package = make_package(session, name="Tool", **case.package)
        activation = make_activation(session, package)
        values, attempt = {**case.row}, 7
        if through_group:
            group = make_group(session, computer, name="Room 12")
            make_group_assignment(session, group, activation, attempt=attempt)
            values["group_id"] = group.id
        # Who was not told of a group's package has no row of it.
        if case.status != "WAITING" or not through_group:
            make_assignment(session, computer, activation, status=case.status, attempt=attempt,
                            **values)  # fmt: skip
        case.prepare(session, computer, activation, attempt)
    page = admin.get(f"/computers/{computer.id}").text
    row = words_of(page)
    assert case.words in row
    assert 'datetime="2026-11-21T10:00:00Z"' in row
    assert ("Room 12" in row) == through_group
    assert "<dt>Last contact</dt>" in page
    assert "<dt>Next contact</dt>" in page
