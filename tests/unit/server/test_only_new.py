"""Only where it never succeeded, on both databases: assignments, results, agents' histories."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.assigning import SUCCEEDED_BEFORE
from deploy_server.domain.errors import SpecError
from deploy_server.services import assigning
from deploy_server.services.assigning import Selection, Standing
from deploy_server.storage.models import Activation, Assignment, DownloadHistory, Report
from tests.support import factories as make
from tests.support.clock import START

ALL = Selection(expression="")
NOW: dict[str, Any] = {"now": START}
WHO: dict[str, Any] = {**NOW, "actor": "marie"}


def fill(session: Session) -> Activation:
    """Computers of every past, by name."""
    activation = make.make_activation(session, make.make_package(session, os="linux"))
    names = ("row", "told", "listed", "failed", "way", "fresh")
    by_name = {name: make.make_computer(session, name=name) for name in names}
    make.make_computer(session, name="windows", os_family="windows")
    make.make_assignment(session, by_name["row"], activation, status="SUCCESS", cleared_at=START)
    make.make_assignment(session, by_name["failed"], activation, status="ERR_BAD_DIGEST")
    make.make_assignment(session, by_name["way"], activation, status="NOTIFIED")
    session.add(
        Report(at=START, device_id=by_name["told"].device_id, package_id=activation.package_id,
               code="SUCCESS", result_class=int(ResultClass.SUCCESS))
    )  # fmt: skip
    listed = by_name["listed"].id
    session.add(DownloadHistory(computer_id=listed, package_id=activation.package_id))
    session.flush()
    return activation


def waiting(session: Session) -> set[str]:
    session.expire_all()
    rows = session.scalars(select(Assignment).where(Assignment.status == "WAITING"))
    return {row.computer.name for row in rows}


def test_whoever_has_it_is_left_out_and_named(session: Session) -> None:
    activation = fill(session)
    target = f"A{activation.id}"
    shown = assigning.preview(session, target, ALL, only_new=True, **NOW)
    done = assigning.assign(session, target, ALL, only_new=True, **WHO)
    assert shown == done
    assert waiting(session) == {"failed", "way", "fresh"}
    assert done.assigned == 3
    before = [each for each in done.skipped if each.reason == SUCCEEDED_BEFORE]
    assert len(before) == 3
    assert len(done.skipped) == 4
    assert assigning.assign(session, target, ALL, **WHO).assigned == 6


def test_how_a_package_stands(session: Session) -> None:
    target = f"A{fill(session).id}"
    found = assigning.standing(session, target, ALL, **NOW)
    assert found == Standing(succeeded=3, under_way=1, waiting=0, failed=1)
    assert found.anything
    mine = assigning.standing(session, target, ALL, perimeter=frozenset({"LYON"}), **NOW)
    assert not mine.anything


def test_a_group_says_who_is_kept_out(session: Session) -> None:
    activation = fill(session)
    inside, outside = make.make_computer(session), make.make_computer(session)
    make.make_group(session, inside, excluded=(outside,), name="Pilot")
    group = Selection(group="Pilot")
    found = assigning.standing(session, f"A{activation.id}", group, **NOW)
    assert found == Standing(0, 0, 0, 0, kept_out=1)


def test_force_and_only_new_contradict_each_other_in_a_group(session: Session) -> None:
    target = f"A{fill(session).id}"
    make.make_group(session, name="Pilot")
    with pytest.raises(SpecError, match="Choose one"):
        assigning.assign(
            session, target, Selection(group="Pilot"), force=True, only_new=True, **WHO
        )


@pytest.mark.parametrize("only_new", [False, True])
def test_the_outlook_is_the_preview_in_numbers(session: Session, only_new: bool) -> None:
    target = f"A{fill(session).id}"
    for number in range(7):
        make.make_computer(session, name=f"mac-{number}", os_family="macos")
    shown = assigning.preview(session, target, ALL, only_new=only_new, **NOW)
    found = assigning.outlook(session, target, ALL, only_new=only_new, **NOW)
    assert found.assigned == shown.assigned
    reasons = [each.reason for each in shown.skipped]
    assert {reason: number for reason, number, _ in found.skipped} == {
        reason: reasons.count(reason) for reason in reasons
    }
    named = {name for _, _, names in found.skipped for name in names}
    assert named <= {each.device_id for each in shown.skipped}
    assert found.skipped[0][1] == 7
    assert all(len(names) <= 5 for _, _, names in found.skipped)


@pytest.mark.parametrize("force", [False, True])
def test_the_outlook_of_a_group_is_its_preview_in_numbers(session: Session, force: bool) -> None:
    activation = fill(session)
    group = make.make_group(session, name="Pilot", kind="dynamic", expression="not name = way-0")
    other = {"group_id": make.make_group(session, name="Other").id}
    mine = {"group_id": group.id}
    rows = {"SUCCESS": {}, "NOTIFIED": {}, "WAITING": other, "ERR_X": {}, "mine": mine}
    for status, values in rows.items():
        for number in range(7):
            computer = make.make_computer(session, name=f"{status}-{number}")
            known = "WAITING" if status == "mine" else status
            make.make_assignment(session, computer, activation, status=known, **values)
    target, pilot = f"A{activation.id}", Selection(group="Pilot")
    shown = assigning.preview(session, target, pilot, force=force, **NOW)
    found = assigning.outlook(session, target, pilot, force=force, **NOW)
    assert found.assigned == shown.assigned
    by_reason: dict[str, list[str]] = {}
    for each in shown.skipped:
        by_reason.setdefault(each.reason, []).append(each.device_id)
    assert len(by_reason) == (3 if force else 4)
    assert {reason: (number, names) for reason, number, names in found.skipped} == {
        reason: (len(ids), tuple(ids[:5])) for reason, ids in by_reason.items()
    }
    assert assigning.assign(session, target, pilot, force=force, **WHO) == shown


def test_the_outlook_of_a_group(session: Session) -> None:
    activation = fill(session)
    windows = make.make_computer(session, os_family="windows")
    make.make_group(session, make.make_computer(session), windows, name="Pilot")
    group = Selection(group="Pilot")
    found = assigning.outlook(session, f"A{activation.id}", group, **NOW)
    assert found.assigned == 1
    assert [(number, names) for _, number, names in found.skipped] == [(1, (windows.device_id,))]
