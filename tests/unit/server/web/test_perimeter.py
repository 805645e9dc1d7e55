"""Tags as a perimeter: no address of the console shows, counts or touches a computer outside them.

Every route is walked, with everything that an address can ask for, by people of every role whose
tags are LYON; what belongs to PARIS has names that stand nowhere else.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from werkzeug.routing import Rule

from deploy_server.storage.models import AgentEvent, Assignment, Computer, Report, Withdrawal
from tests.support.clock import START
from tests.support.console import BASE, Browser, Console
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)

#: Names that only computers outside the tags have.
SECRET = re.compile(r"zzparis", re.IGNORECASE)
OLD = START - timedelta(days=30)
OURS = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}


@dataclass
class Fleet:
    """Rows that addresses name; `computer_id` is outside the tags."""

    package_id: int
    computer_id: int
    group_id: int
    mine_id: int
    hidden: tuple[int, ...]

    def address(self, rule: Rule) -> str:
        """An address that fits the rule."""
        known = {**self.__dict__, "upload_id": "0" * 32}
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(known.get(found[1], 1)), rule.rule)


@pytest.fixture
def fleet(console: Console) -> Fleet:
    with console.session() as session:
        activation = make_activation(session, make_package(session, os="any"))
        mine = make_computer(session, name="mine", tag="LYON")
        make_assignment(session, mine, activation, status="ERR_X", since=START)
        hidden = []
        for number, code in enumerate(("WAITING", "NOTIFIED", "SUCCESS", "ERR_ZZPARIS")):
            name = f"zzparis{number}"
            pc = make_computer(
                session, name=name, name_key=name, tag="PARIS", last_contact=OLD, **OURS
            )
            row = make_assignment(session, pc, activation, status=code, since=OLD)
            hidden.append(pc.id)
            words = {"computer_id": pc.id, "package_id": activation.package_id}
            session.add(Withdrawal(**words, attempt=row.attempt, at=START, by="x", word="stopped"))
            session.add(
                AgentEvent(**words, attempt=row.attempt, event_id=f"e{number}", received_at=START,
                           at=START, state="RUNNING", reason="zzparis", output="zzparis",
                           truncated=False)
            )  # fmt: skip
            session.add(Report(at=START, device_id=pc.device_id, computer_name=name, code=code,
                               package_id=activation.package_id, result_class=0))  # fmt: skip
        waiting = make_computer(session, name="zzparis9", name_key="zzparis9", tag="PARIS")
        group = make_group(session, waiting, mine, visible=True)
        make_group_assignment(session, group, activation)
        return Fleet(activation.package_id, hidden[3], group.id, mine.id, (*hidden, waiting.id))


QUESTIONS = (
    "",
    "q=name+~+zzpar",
    "class=error",
    "class=waiting",
    "status=ERR_ZZPARIS",
    "word=stopped",
    "kind=out-of-reach",
    "kind=lost",
    "code=ERR_ZZPARIS",
    "when=2026-10-22",
    "sort=name",
)


def rules(console: Console, method: str) -> list[tuple[str, Rule]]:
    return [
        (rule.endpoint.removeprefix("console."), rule)
        for rule in console.app.url_map.iter_rules()
        if rule.endpoint.startswith("console.")
        and method in (rule.methods or ())
        and rule.endpoint != "console.static"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_no_address_shows_a_computer_outside_the_tags(
    console: Console, fleet: Fleet, role: str
) -> None:
    browser = console.user(role, "LYON")
    shown = []
    for name, rule in rules(console, "GET"):
        for question in QUESTIONS:
            more = f"computer={fleet.computer_id}&package={fleet.package_id}&group={fleet.group_id}"
            answer = browser.get(f"{fleet.address(rule)}?{question}&{more}")
            assert answer.status_code < 500, name
            # What was asked for may stand in the form again.
            page = answer.text.replace("ERR_ZZPARIS", "") if "ERR_" in question else answer.text
            shown += [(name, question) for _ in SECRET.findall(page)[:1]]
    assert shown == []


def counts(console: Console, fleet: Fleet) -> dict[int, tuple[object, ...]]:
    """Everything that somebody could have done to the computers outside the tags."""
    with console.sessions() as session:
        rows = session.execute(
            select(Computer.id, Computer.tag, Assignment.status, Assignment.cleared_at,
                   Assignment.attempt)
            .outerjoin(Assignment, Assignment.computer_id == Computer.id)
            .where(Computer.id.in_(fleet.hidden))
        ).all()  # fmt: skip
        members = session.execute(
            text("SELECT computer_id, kind FROM group_member ORDER BY 1")
        ).all()
        settings = session.execute(text("SELECT scope_id, name FROM setting ORDER BY 1")).all()
    others = [each for each in members if each[0] in fleet.hidden]
    return {row[0]: (*row[1:], tuple(others), tuple(settings)) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["operator", "admin"])
def test_no_form_touches_a_computer_outside_the_tags(
    console: Console, fleet: Fleet, role: str
) -> None:
    browser = console.user(role, "LYON")
    browser.get("/account")
    before = counts(console, fleet)
    assert len(before) == len(fleet.hidden)
    for name, rule in rules(console, "POST"):
        if name in ("login.enter", "login.leave", "account.end_session", "account.password"):
            continue
        for form in forms(fleet):
            status = send(browser, fleet.address(rule), form)
            assert status < 500, (name, form)
        assert counts(console, fleet) == before, name


def forms(fleet: Fleet) -> list[dict[str, object]]:
    """What would do something to them if nobody looked at the tags."""
    ids = [str(each) for each in fleet.hidden]
    common: dict[str, object] = {
        "computer": ids,
        "package": str(fleet.package_id),
        "activation": "1",
        "target": "A1",
        "group": str(fleet.group_id),
        "tag": "LYON",
        "value": "1",
        "DOWNLOAD": "0",
        "what": "all",
        "everywhere": "1",
        "confirmed": "1",
        "total": str(len(ids)),
    }
    everybody = {"q": "name ~ zzpar", "expression": "name ~ zzpar", "whole": "1", "all": "1"}
    return [
        {**common, "do": do, **more} for do in ("include", "delete") for more in ({}, everybody)
    ]


def send(browser: Browser, address: str, form: dict[str, object]) -> int:
    sent = {"csrf_token": browser.token, **form}
    headers = {"Referer": f"{BASE}/"}
    return browser.client.post(address, base_url=BASE, data=sent, headers=headers).status_code
