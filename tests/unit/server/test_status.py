import itertools
import random
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import audit, groups, settings, status
from deploy_server.storage.models import Assignment, Computer, Package, Report
from tests.support.clock import START
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)

LYON = frozenset({"lyon"})
CODES = ["WAITING", "NOTIFIED", "SUCCESS", "SUCCESS_0", "SUCCESS_3", "ERR_ALREADY_SETUP", "ERR_X"]


def _fleet(session: Session, seed: int) -> Package:
    """A package that is assigned to computers directly and through groups, in every status."""
    chance = random.Random(seed)
    package = make_package(session, os=chance.choice(["linux", "any"]))
    activation = make_activation(session, package)
    computers = [
        make_computer(
            session,
            name=f"pc-{number}",
            tag=chance.choice(["LYON", "PARIS", ""]),
            os_family=chance.choice(["linux", "linux", "windows", ""]),
        )
        for number in range(30)
    ]
    groups = [
        make_group(session, *chance.sample(computers, 8)),
        make_group(session, *chance.sample(computers, 8)),
        make_group(session, kind="dynamic", expression="name = pc-1*"),
    ]
    for group in groups[: chance.randint(0, 3)]:
        make_group_assignment(session, group, activation)
    for computer in chance.sample(computers, 12):
        make_assignment(
            session,
            computer,
            activation,
            status=chance.choice(CODES),
            since=START + timedelta(minutes=chance.randint(0, 500)),
            group_id=chance.choice([None, groups[0].id]),
            cleared_at=chance.choice([None, None, None, START]),
        )
    return package


def _list(
    session: Session, package: Package, perimeter: frozenset[str] | None = None, **wanted: object
) -> list[status.ResultRow]:
    which = status.Wanted(**wanted)  # type: ignore[arg-type]
    about = {"now": START, "wanted": which, "perimeter": perimeter}
    page = status.results(session, package.id, page_size=1000, **about)  # type: ignore[arg-type]
    assert page.total == len(page.rows)
    exported = list(status.each_result(session, package.id, **about))  # type: ignore[arg-type]
    assert sorted(row.computer_id for row in exported) == sorted(
        row.computer_id for row in page.rows
    )
    return list(page.rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("perimeter", [None, LYON])
def test_every_count_is_the_length_of_its_list(
    session: Session, seed: int, perimeter: frozenset[str] | None
) -> None:
    package = _fleet(session, seed)
    counts = status.package_status(session, package.id, now=START, perimeter=perimeter)
    everybody = _list(session, package, perimeter)
    assert counts.total == len(everybody) == len({row.computer_id for row in everybody})
    assert sum(counts.by_status.values()) == sum(counts.by_class.values()) == counts.total
    for text, number in counts.by_status.items():
        assert number == len(_list(session, package, perimeter, status=text))
    for each in ResultClass:
        found = _list(session, package, perimeter, status_class=each)
        assert counts.by_class[each] == len(found)
        one = status.class_counts(session, [package.id], each, now=START, perimeter=perimeter)
        assert one == {package.id: len(found)}
    by_status = status.statistics(session, package.id, now=START, perimeter=perimeter)
    assert {each.key: each.total for each in by_status} == counts.by_status
    by_group = status.statistics(session, package.id, by="group", now=START, perimeter=perimeter)
    assert sum(each.total for each in by_group) == counts.total
    for line in by_group:
        assert line.total == len(_list(session, package, perimeter, group=line.key))
        for which, number in line.by_class.items():
            listed = _list(session, package, perimeter, group=line.key, status_class=which)
            assert number == len(listed)
    by_hour = status.statistics(session, package.id, by="hour", now=START, perimeter=perimeter)
    done = counts.by_class[ResultClass.SUCCESS] + counts.by_class[ResultClass.ERROR]
    assert sum(each.total for each in by_hour) == done
    assert [each.key for each in by_hour] == sorted(each.key for each in by_hour)
    for line in by_hour:
        assert line.total == len(_list(session, package, perimeter, when=line.key[:13]))
    days = {each.key[:10] for each in by_hour}
    assert done == sum(len(_list(session, package, perimeter, when=day)) for day in days)
    if perimeter is not None:
        assert {row.tag for row in everybody} <= {"LYON"}


@pytest.mark.parametrize("when", ["", "2026", "2026-11-21T1", "2026-11-2%", "yesterday"])
def test_a_time_that_is_none_is_refused(session: Session, when: str) -> None:
    with pytest.raises(SpecError, match="is no day and no hour"):
        _list(session, make_package(session), when=when)


@pytest.mark.parametrize("seed", range(2))
def test_pages_of_results_add_up(session: Session, seed: int) -> None:
    package = _fleet(session, seed)
    whole = _list(session, package)
    pages = (
        status.results(session, package.id, now=START, page=number, page_size=4).rows
        for number in itertools.count(1)
    )
    found = list(itertools.chain.from_iterable(itertools.takewhile(bool, pages)))
    assert found == whole
    assert [row.since for row in whole] == sorted((row.since for row in whole), reverse=True)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("what", ["success", "not_notified", "all"])
@pytest.mark.parametrize("perimeter", [None, LYON])
def test_validating_clears_exactly_what_it_says(
    session: Session, seed: int, what: status.Validation, perimeter: frozenset[str] | None
) -> None:
    package = _fleet(session, seed)
    classes = {
        "success": [ResultClass.SUCCESS],
        "not_notified": [ResultClass.WAITING],
        "all": list(ResultClass),
    }[what]
    before = status.package_status(session, package.id, now=START, perimeter=perimeter)
    outside = status.package_status(session, package.id, now=START).total - before.total
    expected = sum(before.by_class[each] for each in classes)
    number = status.validate(
        session, package.id, what, actor="admin", now=START, perimeter=perimeter
    )
    assert number == expected
    after = status.package_status(session, package.id, now=START, perimeter=perimeter)
    assert after.total == before.total - number
    assert all(after.by_class[each] == 0 for each in classes)
    assert status.package_status(session, package.id, now=START).total - after.total == outside
    again = status.validate(
        session, package.id, what, actor="admin", now=START, perimeter=perimeter
    )
    assert again == 0


def test_a_late_member_of_a_group_still_waits_after_validation(session: Session) -> None:
    early, late = make_computer(session), make_computer(session)
    group = make_group(session, early)
    activation = make_activation(session)
    make_group_assignment(session, group, activation)
    package_id = activation.package_id
    assert status.validate(session, package_id, "all", actor="a", now=START) == 1
    groups.include(session, group.name, [late.device_id], actor="a", now=START)
    counts = status.package_status(session, package_id, now=START)
    assert counts.by_status == {"WAITING": 1}
    row = session.scalar(select(Assignment).where(Assignment.computer_id == early.id))
    assert row is not None
    assert (row.cleared_at, row.status) == (START, "WAITING")


def test_already_is_a_success_with_a_slice_of_its_own(session: Session) -> None:
    activation = make_activation(session)
    for code in ("SUCCESS", "SUCCESS_ALREADY_SETUP", "ERR_ALREADY_SETUP"):
        make_assignment(session, activation=activation, status=code)
    counts = status.package_status(session, activation.package_id, now=START)
    assert (counts.by_class[ResultClass.SUCCESS], counts.already) == (3, 2)


def test_many_packages_at_once_are_the_same_as_one_by_one(session: Session) -> None:
    packages = [_fleet(session, seed) for seed in range(4)]
    ids = [package.id for package in packages]
    found = status.package_statuses(session, ids, now=START)
    assert found == {each: status.package_status(session, each, now=START) for each in ids}
    assert status.package_statuses(session, [], now=START) == {}


@pytest.mark.parametrize(
    "ask",
    [
        lambda session: status.package_status(session, 7, now=START),
        lambda session: status.results(session, 7, now=START),
        lambda session: status.statistics(session, 7, now=START),
        lambda session: status.validate(session, 7, "all", actor="a", now=START),
    ],
)
def test_there_is_no_such_package(session: Session, ask: object) -> None:
    with pytest.raises(NotFound, match="there is no package 7"):
        ask(session)  # type: ignore[operator]


@pytest.mark.parametrize(("page", "size"), [(0, 10), (1, 0), (1, 100_000)])
def test_there_is_no_such_page(session: Session, page: int, size: int) -> None:
    package = make_package(session)
    with pytest.raises(SpecError):
        status.results(session, package.id, now=START, page=page, page_size=size)


def test_a_computer_s_packages_say_why_they_are_not_done(session: Session) -> None:
    computer = make_computer(session)
    make_assignment(session, computer, status="SUCCESS", since=START + timedelta(hours=3))
    make_assignment(session, computer, status="NOTIFIED", since=START + timedelta(hours=1))
    make_assignment(session, computer, status="WAITING", since=START + timedelta(hours=2))
    make_assignment(session, computer, status="ERR_EXIT_CODE_3", cleared_at=START)
    group = make_group(session, computer, name="Servers")
    make_group_assignment(session, group)
    make_group_assignment(
        session, group, make_activation(session, make_package(session, os="windows"))
    )
    found = status.computer_deployments(session, computer.id, now=START)
    assert [(each.status, each.group) for each in found] == [
        ("WAITING", ""),
        ("NOTIFIED", ""),
        ("WAITING", "Servers"),
        ("SUCCESS", ""),
    ]
    assert found[0].reason.startswith("Waits for the computer's next contact")
    assert found[3].reason == "Done"
    assert status.computer_deployments(session, 999, now=START) == []


def test_the_list_of_a_package_says_what_the_computer_s_page_says(session: Session) -> None:
    package = make_package(session, name="Office", priority=5)
    first = make_package(session, name="Patch", priority=0)
    given = make_activation(session, package)
    names = {"WAITING": "a", "NOTIFIED": "b", "ERR_EXIT_CODE_3": "c", "SUCCESS": "d"}
    for code, name in names.items():
        computer = make_computer(session, name=name, last_contact=START)
        make_assignment(session, computer, given, status=code)
    behind = make_computer(session, name="e", last_contact=START)
    make_assignment(session, behind, given, status="NOTIFIED")
    make_assignment(session, behind, make_activation(session, first), status="NOTIFIED")
    silent = make_computer(session, name="f", last_contact=None)
    make_group_assignment(session, make_group(session, silent, name="Servers"), given)
    page = status.results(session, package.id, now=START)
    assert len(page.rows) == 6
    for row in page.rows:
        own = status.computer_deployments(session, row.computer_id, now=START)
        said = next(each.reason for each in own if each.package == package.id)
        assert row.reason == ("" if row.status == "SUCCESS" else said)
    reasons = {row.computer_name: row.reason for row in page.rows}
    assert reasons["c"] == "The program ended with exit code 3"
    assert reasons["e"] == "Behind Patch, which has priority 0 and goes first"
    assert reasons["f"] == "The computer has never been in contact"


def test_history_outlives_everything(session: Session) -> None:
    for number in range(3):
        session.add(
            Report(
                at=START + timedelta(minutes=number),
                device_id="gone-2026-01-02-03-04-05",
                computer_name="gone",
                package_id=1_700_000_000,
                package_name="no more",
                code=f"ERR_EXIT_CODE_{number}",
                result_class=ResultClass.ERROR,
            )
        )
    session.flush()
    assert session.scalar(select(func.count()).select_from(Computer)) == 0
    found = status.computer_history(session, "gone-2026-01-02-03-04-05", limit=2)
    assert [each.code for each in found] == ["ERR_EXIT_CODE_2", "ERR_EXIT_CODE_1"]


def test_old_results_go_when_a_setting_says_so(session: Session) -> None:
    row = make_assignment(session, status="SUCCESS", since=START - timedelta(days=40))
    package = row.package_id
    for days in (40, 31, 30, 1):
        at = START - timedelta(days=days)
        values = {"result_class": ResultClass.SUCCESS, "package_id": package, "device_id": "pc"}
        session.add(Report(at=at, code="SUCCESS", **values))
    session.commit()
    assert status.sweep_results(session, START) == []
    settings.set_setting(session, "RESULTS_DAYS", "30", now=START, actor="Marie")
    session.commit()
    assert status.sweep_results(session, START) == ["results older than 30 days: 2 removed"]
    assert session.scalar(select(func.count()).select_from(Report)) == 2
    assert status.package_status(session, package, now=START).by_status == {"SUCCESS": 1}
    (entry,) = audit.each_entry(session, audit.Filter(action="results"))
    assert entry.after == '{"removed":2,"older_than_days":30}'
    session.commit()
    assert status.sweep_results(session, START) == []
