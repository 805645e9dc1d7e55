"""Hidden packages: to operators and viewers it is as if they did not exist, at every address."""

import re
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from werkzeug.routing import Rule

from deploy_server.storage.models import (
    AgentEvent,
    Assignment,
    AuditEntry,
    Computer,
    DownloadHistory,
    Package,
    Report,
    Withdrawal,
)
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

#: What is another at each request: its number, the room on the disk, the form's token.
CHANGING = re.compile(
    r"this is request <code>[^<]*|[\d.]+ [KMGT]iB|csrf.token. (?:value|content)=\S+"
)
HIDDEN = re.compile(r"zzhidden|1800999999", re.IGNORECASE)
OURS = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}

#: What can be asked, by where; every other address is asked for nothing.
QUESTIONS = {
    "packages.index": ("", "q=zz", "q=1800999", "deleted=1", "sort=error&desc=1"),
    "packages.export_list": ("", "q=zz"),
    "computers.index": (
        "",
        "q=package:zzhidden+%3D+error",
        "q=package:1800999999+%3D+ERR_ZZHIDDEN",
        "q=not+package:1800999999+%3D+none",
    ),
    "computers.export": ("q=package:1800999999+%3D+error",),
    "computers.show": ("", "tab=history", "tab=groups"),
    "searches.complete": ("text=package:zz&at=10", "q=package:zz&at=10"),
    "overview.failures": ("", "code=ERR_ZZHIDDEN"),
    "overview.stuck_list": ("", "kind=out-of-reach", "kind=lost"),
    "results.index": ("", "class=error", "class=waiting"),
}


@dataclass
class Fleet:
    """Rows that addresses name."""

    package_id: int
    computer_id: int
    group_id: int

    def address(self, rule: Rule) -> str:
        """An address that fits the rule."""
        known = {**self.__dict__, "upload_id": "0" * 32}
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(known.get(found[1], 1)), rule.rule)


@pytest.fixture
def fleet(console: Console) -> Fleet:
    """Two computers and a group with a package that everybody sees."""
    with console.session() as session:
        activation = make_activation(session, make_package(session, name="seen", os="any"))
        computers = [make_computer(session, **OURS) for _ in range(3)]
        make_assignment(session, computers[0], activation, status="ERR_SEEN")
        group = make_group(session, *computers, visible=True)
        make_group_assignment(session, group, activation)
        return Fleet(activation.package_id, computers[0].id, group.id)


def put_hidden(console: Console, fleet: Fleet, **values: object) -> int:
    """Give the fleet a hidden package with everything that one can have."""
    with console.session() as session:
        package = make_package(
            session, id=1_800_999_999, name="zzhidden", os="any", hidden_at=START, **values
        )
        activation = make_activation(session, package)
        computers = [fleet.computer_id, fleet.computer_id + 1]
        for computer_id, code in zip(computers, ("ERR_ZZHIDDEN", "NOTIFIED"), strict=True):
            computer = session.get_one(Computer, computer_id)
            row = make_assignment(session, computer, activation, status=code)
            about = {"computer_id": computer_id, "package_id": package.id}
            session.add(DownloadHistory(**about))
            session.add(Withdrawal(**about, attempt=row.attempt, at=START, by="x", word="stopped"))
            session.add(
                AgentEvent(**about, attempt=row.attempt, event_id=code, received_at=START, at=START,
                           state="RUNNING", reason="zzhidden", output="zzhidden", truncated=False)
            )  # fmt: skip
            session.add(Report(at=START, device_id="pc", computer_name="pc", code=code,
                               package_name="zzhidden", package_id=package.id,
                               result_class=3))  # fmt: skip
        session.flush()
        return package.id


def pages(console: Console, fleet: Fleet, browser: Browser) -> dict[str, str]:
    """What somebody sees at every address."""
    found = {}
    for rule in console.app.url_map.iter_rules():
        name = rule.endpoint.removeprefix("console.")
        if not rule.endpoint.startswith("console.") or "GET" not in (rule.methods or ()):
            continue
        for question in QUESTIONS.get(name, ("",)) if name != "static" else ():
            address = f"{fleet.address(rule)}?{question}"
            answer = browser.get(address)
            assert answer.status_code < 500, address
            found[address] = CHANGING.sub("", answer.text)
    return found


@pytest.mark.slow
def test_a_hidden_package_changes_nothing_at_any_address(console: Console, fleet: Fleet) -> None:
    browser = console.user("operator")
    before = pages(console, fleet, browser)
    package_id = put_hidden(console, fleet)
    after = pages(console, fleet, browser)
    differ = [each for each in after if before[each] != after[each]]
    assert differ == []
    for part in ("", "/counts", "/results", "/results/time", "/results/csv", "/stop/computers"):
        answer = browser.get(f"/packages/{package_id}{part}")
        assert answer.status_code == 404, part
        assert "zzhidden" not in answer.text
    output = f"/computers/{fleet.computer_id}/output/{package_id}"
    assert browser.get(output).status_code == 404


def test_administrators_see_it_marked(console: Console, fleet: Fleet) -> None:
    package_id = put_hidden(console, fleet)
    for browser in (console.user("superadmin"), console.user("admin", "LYON")):
        assert "zzhidden" in browser.get("/packages").text
        assert "Only administrators see it" in browser.get(f"/packages/{package_id}").text


def test_the_list_and_its_file_leave_it_out(console: Console, fleet: Fleet) -> None:
    put_hidden(console, fleet)
    viewer = console.user("viewer")
    for address in ("/packages", "/packages/csv", "/packages/csv?q=zz", "/", "/overview/failures"):
        assert not HIDDEN.search(viewer.get(address).text), address
    assert "zzhidden" in console.user("superadmin").get("/packages/csv").text


@pytest.mark.parametrize(("role", "leaks"), [("viewer", False), ("admin", True)])
def test_no_expression_of_others_names_it(
    console: Console, fleet: Fleet, role: str, leaks: bool
) -> None:
    put_hidden(console, fleet)
    expression = "not package:zzhidden = pending or package:1800999999 is empty"
    sent = {"name": "theirs", "q": expression, "audience": "all"}
    superadmin = console.user("superadmin")
    superadmin.post("/searches", sent)
    form = {"name": "dynamic", "kind": "dynamic", "expression": expression}
    assert superadmin.post("/groups", form).status_code == 302
    browser = console.user(role)
    assert ("theirs" in browser.get("/computers").text) is leaks
    tab = browser.get(f"/computers/{fleet.computer_id + 2}?tab=groups").text
    assert "dynamic" in tab
    assert bool(HIDDEN.search(tab)) is leaks
    assert bool(HIDDEN.search(browser.get("/groups").text)) is leaks


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_only_who_sees_it_runs_it_again(console: Console, fleet: Fleet, role: str) -> None:
    package_id = put_hidden(console, fleet)
    browser = console.user(role)
    browser.post(f"/computers/{fleet.computer_id}/again", {"package": str(package_id)})
    browser.post(f"/packages/{package_id}/results/again", {})
    with console.sessions() as session:
        failed = select(Assignment.status).where(
            Assignment.package_id == package_id, Assignment.computer_id == fleet.computer_id
        )
        assert session.scalar(failed) == ("ERR_ZZHIDDEN" if role == "operator" else "WAITING")


def test_who_leaves_a_group_loses_its_hidden_packages_too(console: Console, fleet: Fleet) -> None:
    with console.session() as session:
        activation = make_activation(session, make_package(session, os="any", hidden_at=START))
        computer = session.get_one(Computer, fleet.computer_id)
        make_assignment(session, computer, activation, group_id=fleet.group_id)
    form = {"computer": str(fleet.computer_id), "do": "reset"}
    console.user("operator").post(f"/groups/{fleet.group_id}/members", form)
    with console.sessions() as session:
        mine = select(Assignment.id).where(Assignment.package_id == activation.package_id)
        assert session.scalars(mine).all() == []


def test_hiding_is_undone_where_it_was_done(admin: Browser, console: Console, fleet: Fleet) -> None:
    viewer = console.user("viewer")
    address = f"/packages/{fleet.package_id}"
    answer = admin.post("/packages/hide", {"package": str(fleet.package_id), "hidden": "1"})
    assert answer.location == address
    page = admin.get(address).text
    assert "Show again" in page
    assert viewer.get(address).status_code == 404
    admin.post("/packages/hide", {"package": str(fleet.package_id), "hidden": ""})
    assert viewer.get(address).status_code == 200
    assert "Show again" not in admin.get("/packages").text.split("<main", 1)[1][:2000]
    with console.sessions() as session:
        acts = session.scalars(select(AuditEntry.action).order_by(AuditEntry.number)).all()
        assert [each for each in acts if each.startswith("package.")] == [
            "package.hide",
            "package.show",
        ]
    # What was hidden before is not shown by undoing what was done to others.
    with console.session() as session:
        other = make_package(session, hidden_at=START)
    both = {"package": [str(fleet.package_id), str(other.id)], "hidden": "1"}
    page = admin.get(admin.post("/packages/hide", both).location).text
    assert "1 package hidden" in page
    undo = page.split('class="undo"', 1)[1].split("</form>", 1)[0]
    assert str(fleet.package_id) in undo
    assert str(other.id) not in undo
    assert "Nothing to do" in admin.get(admin.post("/packages/hide", both).location).text
    assert admin.post("/packages/hide", {"hidden": "1"}).status_code == 404
    assert admin.post("/packages/hide", {"package": "7", "hidden": "1"}).status_code == 404


def test_a_package_is_hidden_from_the_start(admin: Browser, console: Console) -> None:
    form = {"name": "quiet", "os": "any", "action": "EXECUTE", "target": "true", "do": "build"}
    admin.get("/packages/build")
    address = admin.post("/packages/build", {**form, "hidden": "1"}).location
    with console.sessions() as session:
        assert session.scalars(select(Package.hidden_at)).all() == [console.clock()]
    assert console.user("viewer").get(address).status_code == 404
    # A copy is what its original is, until somebody says otherwise.
    assert re.search(r'name="hidden" value="1" checked', admin.get(f"{address}/copy").text)
    admin.post(f"{address}/copy", {**form, "name": "copy", "hidden": "1"})
    admin.post(f"{address}/copy", {**form, "name": "shown"})
    assert ">shown<" in console.user("viewer").get("/packages").text
    assert ">copy<" not in console.user("viewer").get("/packages").text
