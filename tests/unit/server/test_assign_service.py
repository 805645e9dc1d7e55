"""Assigning and unassigning on both databases: rows, reasons, perimeters, groups, and speed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from deploy_server.domain.assigning import ALREADY_THERE, UNDER_WAY, WAITS_ALREADY, why_not
from deploy_server.domain.errors import Conflict, Forbidden, NotFound, SpecError
from deploy_server.services import assigning
from deploy_server.services.assigning import Selection
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    Package,
)
from deploy_server.storage.suitability import suits
from tests.support import factories as make
from tests.support.clock import START

LATER = START + timedelta(hours=1)
AGENTS = ["OCS-NG_unified_unix_agent_v2.10.0", "OCS-NG_WINDOWS_AGENT_v2.11.0.1", "GLPI-Agent_v1",
          "OCS-NG_unified_unix_agent_v2.0 Tranche/0.1", ""]  # fmt: skip


@dataclass
class Site:
    """A database with one package for Linux."""

    session: Session
    activation: Activation

    @property
    def package(self) -> Package:
        return self.activation.package

    @property
    def target(self) -> str:
        return str(self.package.id)

    def assign(self, selection: Selection, **options: object) -> assigning.AssignResult:
        arguments = {"actor": "admin", "now": LATER, **options}
        return assigning.assign(self.session, self.target, selection, **arguments)

    def unassign(self, selection: Selection | None = None, **options: object) -> int:
        arguments = {"actor": "admin", "now": LATER, **options}
        return assigning.unassign(self.session, self.target, selection, **arguments)

    def rows(self) -> dict[str, Assignment]:
        self.session.expire_all()
        found = self.session.execute(
            select(Computer.name, Assignment).join(Computer, Computer.id == Assignment.computer_id)
        )
        return {row[0]: row[1] for row in found}

    def open(self) -> dict[str, str]:
        return {name: row.status for name, row in self.rows().items() if row.cleared_at is None}


@pytest.fixture
def site(session: Session) -> Site:
    return Site(session, make.make_activation(session))


def computers(*names: str) -> Callable[[Site], list[Computer]]:
    return lambda site: [make.make_computer(site.session, name=name) for name in names]


def by_id(*chosen: Computer) -> Selection:
    return Selection(device_ids=[each.device_id for each in chosen])


def test_an_assignment_starts_waiting_with_its_options(site: Site) -> None:
    pc, _ = computers("pc", "other")(site)
    done = site.assign(by_id(pc), force=True, schedule="2026/12/24 18:00", postcmd="reboot")
    assert done == assigning.AssignResult(1, ())
    (row,) = site.rows().values()
    assert (row.computer_id, row.package_id, row.activation_id) == (
        pc.id, site.package.id, site.activation.id,
    )  # fmt: skip
    assert (row.status, row.status_class, row.since) == ("WAITING", 0, LATER)
    assert (row.force, row.schedule, row.postcmd) == (True, "2026/12/24 18:00", "REBOOT")
    assert (row.assigned_at, row.assigned_by, row.group_id) == (LATER, "admin", None)
    assert row.attempt == int(LATER.timestamp())


def test_assigning_again_starts_again_with_a_new_attempt(site: Site) -> None:
    (pc,) = computers("pc")(site)
    make.make_assignment(
        site.session, pc, site.activation, status="ERR_TIMEOUT", notified_at=START,
        offered_revision=1, cleared_at=START, force=True, postcmd="REBOOT",
    )  # fmt: skip
    first = site.assign(by_id(pc)) and site.rows()["pc"].attempt
    assert site.open() == {"pc": "WAITING"}
    row = site.rows()["pc"]
    assert (row.notified_at, row.offered_revision, row.force, row.postcmd) == (
        None,
        None,
        False,
        "",
    )
    site.assign(by_id(pc))
    assert site.rows()["pc"].attempt > first


def test_what_does_not_suit_is_skipped_with_its_reason(site: Site) -> None:
    _, windows, unknown = computers("linux", "windows", "unknown")(site)
    windows.os_family, unknown.os_family = "windows", ""
    done = site.assign(Selection(expression=""))
    assert done.assigned == 2
    (skipped,) = done.skipped
    assert skipped.device_id == windows.device_id
    assert "this computer runs Windows" in skipped.reason
    assert site.open() == {"linux": "WAITING", "unknown": "WAITING"}


def test_sql_and_python_agree_about_whom_a_package_suits(session: Session) -> None:
    for agent in AGENTS:
        for family in ("", "linux", "windows", "macos", "other"):
            make.make_computer(session, agent=agent, os_family=family)
    all_computers = session.scalars(select(Computer)).all()
    for os in ("any", "linux", "windows", "macos"):
        for algorithm in ("", "MD5", "SHA1", "SHA256"):
            for encoding in ("Hexa", "Base64"):
                package = make.make_package(
                    session, os=os, digest_algorithm=algorithm, digest_encoding=encoding
                )
                by_sql = set(session.scalars(select(Computer.id).where(suits(package))))
                by_python = {
                    each.id
                    for each in all_computers
                    if why_not(os, algorithm, encoding, each.os_family, each.agent) is None
                }
                assert by_sql == by_python, (os, algorithm, encoding)


def test_a_search_is_assigned_inside_the_perimeter_only(site: Site) -> None:
    for name, tag in (("a", "Lyon"), ("b", "Paris"), ("c", "LYON")):
        make.make_computer(site.session, name=name, tag=tag)
    assert (
        site.assign(Selection(expression="name ~ ."), perimeter=frozenset({"lyon"})).assigned == 0
    )
    assert site.assign(Selection(expression=""), perimeter=frozenset({"lyon"})).assigned == 2
    assert set(site.open()) == {"a", "c"}


def test_computers_outside_the_perimeter_do_not_exist(site: Site) -> None:
    pc = make.make_computer(site.session, tag="Paris")
    for selection in (by_id(pc), Selection(computer_ids=[pc.id])):
        with pytest.raises(NotFound):
            site.assign(selection, perimeter=frozenset({"Lyon"}))
    with pytest.raises(NotFound):
        site.assign(Selection(device_ids=["nobody-2026-01-01-00-00-00"]))
    assert site.open() == {}


def test_computers_may_be_named_by_their_rows(site: Site) -> None:
    one, two, _ = computers("one", "two", "three")(site)
    assert site.assign(Selection(computer_ids=[one.id, two.id, one.id])).assigned == 2


@pytest.mark.parametrize(
    "selection",
    [Selection(), Selection(expression="", group="x"), Selection(device_ids=[], computer_ids=[])],
)
def test_a_selection_says_one_thing(site: Site, selection: Selection) -> None:
    with pytest.raises(SpecError) as caught:
        site.assign(selection)
    assert caught.value.field == "selection"


@pytest.mark.parametrize("target", ["A999", "1799999999", "x", "", "99999999999999999999", "A"])
def test_a_target_that_is_not_there(site: Site, target: str) -> None:
    with pytest.raises(NotFound):
        assigning.find_activation(site.session, target)


def test_a_package_stands_for_its_only_activation(site: Site) -> None:
    first = site.activation
    assert assigning.find_activation(site.session, site.target) is first
    second = make.make_activation(site.session, site.package, info_url="b.example/download")
    with pytest.raises(Conflict, match=f"A{first.id}.*A{second.id}"):
        assigning.find_activation(site.session, site.target)
    assert assigning.find_activation(site.session, f"a{second.id}") is second
    first.ended_at = START
    assert assigning.find_activation(site.session, site.target) is second
    with pytest.raises(NotFound):
        assigning.find_activation(site.session, f"A{first.id}")
    second.ended_at = START
    with pytest.raises(Conflict, match="not activated"):
        assigning.find_activation(site.session, site.target)


def test_a_preview_says_the_same_and_changes_nothing(site: Site) -> None:
    _, windows = computers("linux", "windows")(site)
    windows.os_family = "windows"
    site.session.flush()
    foreseen = assigning.preview(site.session, site.target, Selection(expression=""), now=LATER)
    assert site.open() == {}
    assert foreseen == site.assign(Selection(expression=""))


# Groups


def group_of(site: Site, *members: Computer) -> Group:
    return make.make_group(site.session, *members, name="Servers")


TO_GROUP = Selection(group="servers")


def test_a_group_assignment_is_one_row(site: Site) -> None:
    one, two, windows = computers("one", "two", "windows")(site)
    windows.os_family = "windows"
    group = group_of(site, one, two, windows)
    done = site.assign(TO_GROUP, force=True, postcmd="SHUTDOWN")
    assert done.assigned == 2
    assert [each.device_id for each in done.skipped] == [windows.device_id]
    assert site.rows() == {}
    (row,) = site.session.scalars(select(GroupAssignment))
    assert (row.group_id, row.activation_id, row.force, row.postcmd) == (
        group.id, site.activation.id, True, "SHUTDOWN",
    )  # fmt: skip


def test_assigning_to_a_group_again_starts_failures_and_keeps_the_rest(site: Site) -> None:
    names = ["failed", "validated", "done", "outdated", "under_way", "waiting", "outside"]
    pcs = dict(zip(names, computers(*names)(site), strict=True))
    site.package.revision = 2
    group = group_of(site, *(each for name, each in pcs.items() if name != "outside"))
    statuses = {
        "failed": ("ERR_TIMEOUT", {}),
        "validated": ("ERR_TIMEOUT", {"cleared_at": START}),
        "done": ("SUCCESS", {"offered_revision": 2}),
        "outdated": ("SUCCESS", {"offered_revision": 1}),
        "under_way": ("NOTIFIED", {"offered_revision": 2}),
        "waiting": ("WAITING", {"group_id": group.id}),
        "outside": ("ERR_TIMEOUT", {}),
    }
    for name, (status, values) in statuses.items():
        make.make_assignment(site.session, pcs[name], site.activation, status=status, **values)
    foreseen = assigning.preview(site.session, site.target, TO_GROUP, now=LATER)
    done = site.assign(TO_GROUP)
    assert done == foreseen
    assert {(each.device_id, each.reason) for each in done.skipped} == {
        (pcs["done"].device_id, ALREADY_THERE), (pcs["under_way"].device_id, UNDER_WAY),
    }  # fmt: skip
    restarted = {name for name, row in site.rows().items() if row.assigned_at == LATER}
    assert restarted == {"failed", "validated", "outdated", "waiting"}
    assert {site.open()[name] for name in restarted} == {"WAITING"}
    assert site.open()["outside"] == "ERR_TIMEOUT"
    site.assign(TO_GROUP, force=True)
    assert site.open()["done"] == "WAITING"
    assert site.open()["under_way"] == "NOTIFIED"
    assert len(site.session.scalars(select(GroupAssignment)).all()) == 1


def test_members_who_have_the_package_by_another_way_are_skipped(site: Site) -> None:
    _, waiting, told, cleared = pcs = computers("free", "waiting", "told", "cleared")(site)
    group = group_of(site, *pcs)
    make.make_assignment(site.session, waiting, site.activation)
    make.make_assignment(site.session, told, site.activation, status="NOTIFIED")
    make.make_assignment(site.session, cleared, site.activation, cleared_at=START)
    foreseen = assigning.preview(site.session, site.target, TO_GROUP, now=LATER)
    done = site.assign(TO_GROUP)
    assert done == foreseen
    assert done.assigned == 2
    assert {each.device_id: each.reason for each in done.skipped} == {
        waiting.device_id: WAITS_ALREADY, told.device_id: UNDER_WAY,
    }  # fmt: skip
    assert {name: row.group_id for name, row in site.rows().items()} == {
        "waiting": None, "told": None, "cleared": group.id,
    }  # fmt: skip
    again = site.assign(TO_GROUP, force=True)
    assert (again.assigned, len(again.skipped)) == (2, 2)


def test_people_with_tags_do_not_assign_to_groups(site: Site) -> None:
    group_of(site)
    with pytest.raises(Forbidden):
        site.assign(TO_GROUP, perimeter=frozenset({"Lyon"}))
    with pytest.raises(Forbidden):
        site.unassign(TO_GROUP, perimeter=frozenset({"Lyon"}))
    with pytest.raises(NotFound):
        site.assign(Selection(group="nobody"))


# Taking back


def test_taking_back_from_one_computer_changes_exactly_one_row(site: Site) -> None:
    one, two = computers("one", "two")(site)
    for pc in (one, two):
        make.make_assignment(site.session, pc, site.activation, status="ERR_TIMEOUT")
    assert site.unassign(by_id(one)) == 1
    assert site.open() == {"two": "ERR_TIMEOUT"}
    assert site.unassign(by_id(one)) == 0


def test_a_package_is_taken_back_through_all_its_activations(site: Site) -> None:
    one, two = computers("one", "two")(site)
    other = make.make_activation(site.session, site.package, info_url="b.example/download")
    make.make_assignment(site.session, one, site.activation)
    make.make_assignment(site.session, two, other, status="NOTIFIED")
    everybody = Selection(expression="")
    number = assigning.unassign(site.session, f"A{other.id}", everybody, actor="admin", now=LATER)
    assert number == 1
    assert site.open() == {"one": "WAITING"}
    assert site.unassign(everybody) == 1


def test_not_notified_takes_back_what_waits(site: Site) -> None:
    pcs = computers("waiting", "notified", "done", "pending", "outside")(site)
    for pc, status in zip(pcs, ("WAITING", "NOTIFIED", "SUCCESS"), strict=False):
        make.make_assignment(site.session, pc, site.activation, status=status)
    group = group_of(site, *pcs[:4])
    make.make_group_assignment(site.session, group, site.activation)
    assert site.unassign(not_notified=True) == 2
    assert site.open() == {"notified": "NOTIFIED", "done": "SUCCESS"}
    assert site.rows()["pending"].cleared_at == LATER
    assert "outside" not in site.rows()


def test_a_member_of_a_group_may_be_left_out(site: Site) -> None:
    one, two = computers("one", "two")(site)
    make.make_group_assignment(site.session, group_of(site, one, two), site.activation)
    assert site.unassign(by_id(one)) == 1
    assert set(site.rows()) == {"one"}
    assert site.open() == {}


def test_a_group_loses_its_assignment_and_members_who_know_go_on(site: Site) -> None:
    pcs = computers("waiting", "notified", "pending")(site)
    group = group_of(site, *pcs)
    make.make_group_assignment(site.session, group, site.activation)
    for pc, status in zip(pcs, ("WAITING", "NOTIFIED"), strict=False):
        make.make_assignment(site.session, pc, site.activation, status=status, group_id=group.id)
    assert site.unassign(TO_GROUP) == 2
    assert site.open() == {"notified": "NOTIFIED"}
    assert site.session.scalars(select(GroupAssignment)).all() == []
    with pytest.raises(NotFound, match="has no assignment"):
        site.unassign(TO_GROUP)


def test_only_one_way_to_say_whom(site: Site) -> None:
    with pytest.raises(SpecError):
        site.unassign()
    with pytest.raises(SpecError):
        site.unassign(Selection(expression=""), not_notified=True)


def test_failed_ones_run_again_with_their_own_options(site: Site) -> None:
    failed, done, ended = computers("failed", "done", "ended")(site)
    make.make_assignment(
        site.session, failed, site.activation, status="EXIT_CODE_3", force=True, postcmd="REBOOT"
    )
    make.make_assignment(site.session, done, site.activation, status="SUCCESS")
    gone = make.make_activation(site.session, site.package, info_url="x/y", ended_at=START)
    make.make_assignment(site.session, ended, gone, status="ERR_TIMEOUT")
    number = assigning.assign_again(
        site.session, site.package.id, [failed.id, done.id, ended.id], actor="me", now=LATER
    )
    assert number == 1
    row = site.rows()["failed"]
    assert (row.status, row.force, row.postcmd, row.assigned_by) == (
        "WAITING",
        True,
        "REBOOT",
        "me",
    )
    assert row.attempt == int(LATER.timestamp())
    assert site.open()["ended"] == "ERR_TIMEOUT"


def test_the_number_of_statements_does_not_grow_with_the_computers(site: Site) -> None:
    counts = []
    engine = site.session.get_bind()
    for number in (1, 3, 300):  # the first time nobody has the package, which is another way
        for _ in range(number):
            make.make_computer(site.session)
        site.session.flush()
        statements: list[str] = []
        count = lambda *arguments: statements.append(arguments[2])  # noqa: E731, B023
        event.listen(engine, "before_cursor_execute", count)
        site.assign(Selection(expression="name ~ pc"))
        site.unassign(Selection(expression="name ~ pc"))
        event.remove(engine, "before_cursor_execute", count)
        counts.append(len(statements))
    assert counts[1] == counts[2]
    assert max(counts) < 20  # a few of them enter it in the audit log
