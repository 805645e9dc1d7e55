"""Packages taken back from many computers, on both databases: what was where, what stays."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound
from deploy_server.services import audit, fleet, status, withdrawing
from deploy_server.services.assigning import Selection
from deploy_server.services.fleet import Held
from deploy_server.storage.models import Activation
from tests.support import factories as make
from tests.support.clock import START

WHO: dict[str, Any] = {"actor": "marie", "now": START}
OURS = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}
LYON = Selection(expression="tag = LYON")
EVERYBODY = Selection(expression="")


@pytest.fixture
def site(session: Session) -> Activation:
    """A package in every state, in two towns; a member of a group in each waits without a row."""
    tool = make.make_activation(session, make.make_package(session, name="Tool", os="any"))
    gone = make.make_activation(session, make.make_package(session, deleted_at=START))
    members = []
    for tag in ("LYON", "PARIS"):
        for code in ("WAITING", "SUCCESS", "ERR_X", "NOTIFIED"):
            make.make_assignment(session, make.make_computer(session, tag=tag), tool, status=code)
        ours = make.make_computer(session, tag=tag, **OURS)
        make.make_assignment(session, ours, tool, status="NOTIFIED")
        make.make_assignment(session, ours, gone, status="SUCCESS")
        members.append(make.make_computer(session, tag=tag))
    make.make_group_assignment(session, make.make_group(session, *members), tool)
    return tool


def counts(session: Session, activation: Activation) -> dict[str, int]:
    return status.package_status(session, activation.package_id, now=START).by_status


def held(session: Session, selection: Selection, **more: Any) -> list[Held]:
    return fleet.packages_held(session, selection, now=START, **more)


def test_what_computers_have(session: Session, site: Activation) -> None:
    of_lyon = Held(site.package_id, "Tool", waiting=2, told=1, beyond=1, succeeded=1, failed=1)
    assert held(session, LYON) == [of_lyon]
    assert held(session, EVERYBODY, perimeter=frozenset({"lyon"})) == [of_lyon]
    assert held(session, LYON, only=[1]) == []
    assert held(session, Selection(expression="tag = NICE")) == []
    (all_of_it,) = held(session, EVERYBODY)
    numbers = status.package_status(session, site.package_id, now=START)
    assert all_of_it.open + all_of_it.ended == numbers.total
    assert all_of_it.waiting == numbers.by_status["WAITING"]
    with pytest.raises(NotFound):
        held(session, Selection(computer_ids=[999]))


def test_what_has_not_ended_is_taken_back(session: Session, site: Activation) -> None:
    packages = [site.package_id, 999]
    (taken,) = fleet.take_back(session, LYON, packages, results_too=False, **WHO)
    assert (taken.waiting, taken.told, taken.beyond) == (2, 1, 1)
    assert counts(session, site) == {"WAITING": 2, "NOTIFIED": 2, "SUCCESS": 2, "ERR_X": 2}
    assert withdrawing.words(session, site.package_id) == {withdrawing.UNSAID: 1}
    (entry,) = audit.each_entry(session, audit.Filter(action="package.unassign"))
    assert "tag = LYON" in entry.after
    assert fleet.take_back(session, LYON, packages, results_too=False, **WHO) == []


def test_results_too_leave_the_counts(session: Session, site: Activation) -> None:
    tags = {"perimeter": frozenset({"PARIS"})}
    fleet.take_back(session, EVERYBODY, [site.package_id], results_too=True, **WHO, **tags)
    assert counts(session, site) == {"WAITING": 2, "NOTIFIED": 2, "SUCCESS": 1, "ERR_X": 1}
    assert held(session, EVERYBODY, **tags) == []
