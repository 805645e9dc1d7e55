"""What a PROLOG is answered, and what it changes."""

from datetime import timedelta

import pytest
from lxml import etree
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Prolog
from deploy_server.services.activity import Caller
from deploy_server.services.contact.prolog import look_at_prolog
from deploy_server.services.settings import Scope
from deploy_server.storage.models import Computer
from tests.support import factories as make
from tests.support.clock import START
from tests.support.contact import OURS, UNIX, WINDOWS, Wire
from tests.support.statements import recorded

STRANGER = "stranger-2026-01-02-03-04-05"


@pytest.fixture
def wire(session: Session) -> Wire:
    return Wire(session)


@pytest.mark.parametrize(
    ("frequency", "days", "sends"),
    [
        ("0", 0, True),
        ("1", 0, False),
        ("1", 0.9, False),
        ("1", 1, True),
        ("7", 6.9, False),
        ("7", 8, True),
        ("7", None, True),
    ],
)
def test_an_inventory_is_asked_for_when_it_is_too_old(
    wire: Wire, frequency: str, days: float | None, sends: bool
) -> None:
    last = None if days is None else START - timedelta(days=days)
    pc = make.make_computer(wire.session, last_inventory=last)
    wire.set(FREQUENCY=frequency)
    assert wire.prolog(pc).send_inventory is sends


def test_a_stranger_is_asked_for_an_inventory_and_gets_no_row(wire: Wire) -> None:
    reply = wire.prolog(STRANGER)
    assert reply.send_inventory
    assert reply.settings is not None
    assert wire.session.query(Computer).count() == 0


@pytest.mark.parametrize("known", [True, False])
def test_without_inventories_there_is_no_option_at_all(wire: Wire, known: bool) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, activation)
    wire.set(FREQUENCY="-1")
    reply = wire.prolog(pc if known else STRANGER)
    assert (reply.send_inventory, reply.settings, reply.offers) == (False, None, ())
    assert wire.status(pc, activation) == "WAITING"
    assert wire.prolog(pc, OURS).tranche is not None


def test_a_contact_is_remembered(wire: Wire) -> None:
    pc = make.make_computer(wire.session, last_contact=None, agent="")
    wire.clock.advance(hours=1)
    wire.prolog(pc, WINDOWS)
    assert (pc.last_contact, pc.agent) == (wire.clock(), WINDOWS)
    assert pc.last_inventory == START


def test_settings_of_everybody_groups_and_the_computer(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    group = make.make_group(wire.session, pc)
    wire.set(PROLOG_FREQ="12", PERIOD_LENGTH="20", INVENTORY_ON_STARTUP="0", CONTACT_MINUTES="30")
    wire.set(Scope("group", group.id), PERIOD_LENGTH="5", FRAG_LATENCY="99", CONTACT_MINUTES="7")
    wire.set(Scope("computer", pc.id), FRAG_LATENCY="0")
    reply = wire.prolog(pc, OURS)
    assert (reply.prolog_freq_h, reply.inventory_on_startup) == (12, False)
    assert reply.settings is not None
    assert (reply.settings.period_length, reply.settings.frag_latency_s) == (5, 0)
    assert reply.tranche is not None
    assert reply.tranche.contact_minutes == 7
    wire.set(ENABLE_GROUPS="0")
    reply = wire.prolog(pc)
    assert reply.settings is not None
    assert reply.settings.period_length == 20


#: Of everybody, of two groups, of the computer; and what a computer with both groups is told.
LEVELS = [
    ("DOWNLOAD", "1", ("1", "0"), None, 0),
    ("DOWNLOAD", "1", ("0", "0"), "1", 1),
    ("DOWNLOAD", "0", ("1", "1"), "1", 0),
    ("FRAG_LATENCY", "5", ("30", "7"), None, 30),
    ("FRAG_LATENCY", "5", ("30", "7"), "0", 0),
    ("CYCLE_LATENCY", "5", ("0", "3"), None, 3),
    ("PERIOD_LATENCY", "5", ("0", "0"), None, 0),
    ("PERIOD_LENGTH", "10", ("4", "8"), None, 4),
    ("PERIOD_LENGTH", "10", ("4", "8"), "9", 9),
    ("TIMEOUT", "30", ("40", "60"), None, 40),
    ("EXECUTION_TIMEOUT", "120", ("0", "30"), None, 30),
    ("EXECUTION_TIMEOUT", "120", ("0", "30"), "0", 0),
    ("PROLOG_FREQ", "24", ("12", "6"), None, 6),
    ("PROLOG_FREQ", "24", ("12", "6"), "48", 48),
]


@pytest.mark.parametrize(("name", "everybody", "of_groups", "own", "told"), LEVELS)
def test_levels_of_settings_meet_on_the_wire(
    wire: Wire, name: str, everybody: str, of_groups: tuple[str, str], own: str | None, told: int
) -> None:
    pc = make.make_computer(wire.session)
    wire.set(**{name: everybody})
    for value in of_groups:
        group = make.make_group(wire.session, pc)
        wire.set(Scope("group", group.id), **{name: value})
    if own is not None:
        wire.set(Scope("computer", pc.id), **{name: own})
    outsider = make.make_computer(wire.session)
    assert (sent(wire, pc)[name], sent(wire, outsider)[name]) == (told, int(everybody))


def sent(wire: Wire, pc: Computer) -> dict[str, int]:
    """PROLOG_FREQ and the attributes of CONF, as they stand in the XML."""
    root = etree.fromstring(wire.say(Prolog(pc.device_id)))
    (conf,) = root.xpath("OPTION[NAME='DOWNLOAD']/PARAM[@TYPE='CONF']")
    found = {key: int(value) for key, value in conf.attrib.items() if key != "TYPE"}
    return {**found, "DOWNLOAD": found["ON"], "PROLOG_FREQ": int(root.findtext("PROLOG_FREQ"))}


def test_settings_of_a_dynamic_group_reach_whom_it_finds(wire: Wire) -> None:
    one, two = make.make_computer(wire.session, tag="Lyon"), make.make_computer(wire.session)
    group = make.make_group(wire.session, kind="dynamic", expression="tag = lyon")
    wire.set(Scope("group", group.id), PROLOG_FREQ="3")
    assert [wire.prolog(each).prolog_freq_h for each in (one, two)] == [3, 24]


# Packages of the computer itself


def test_a_waiting_package_is_offered_and_becomes_notified(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    package = make.make_package(wire.session, revision=3)
    activation = make.make_activation(wire.session, package, info_url="i/d", fragment_url="f/d")
    make.make_assignment(
        wire.session, pc, activation, force=True, schedule="2026/12/24 18:00", postcmd="REBOOT",
        attempt=77,
    )  # fmt: skip
    wire.clock.advance(minutes=5)
    (offer,) = wire.prolog(pc).offers
    assert (offer.package_id, offer.info_loc, offer.pack_loc) == (str(package.id), "i/d", "f/d")
    assert (offer.schedule, offer.postcmd, offer.force) == ("2026/12/24 18:00", "REBOOT", True)
    assert (offer.cert_path, offer.cert_file) == ("INSTALL_PATH", "INSTALL_PATH/cacert.pem")
    assert (offer.revision, offer.attempt) == (None, None)
    row = wire.row(pc, activation)
    assert row is not None
    assert (row.status, row.status_class) == ("NOTIFIED", 1)
    assert row.since == row.notified_at == wire.clock()
    assert row.offered_revision == 3
    notified = wire.clock()
    wire.clock.advance(hours=1)
    (again,) = wire.prolog(pc, OURS).offers
    assert (again.revision, again.attempt) == (3, 77)
    assert row.since == notified


def test_an_edited_package_is_offered_with_its_new_revision(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, activation)
    wire.prolog(pc, OURS)
    activation.package.revision = 2
    wire.session.flush()
    assert wire.prolog(pc, OURS).offers[0].revision == 2
    row = wire.row(pc, activation)
    assert row is not None
    assert (row.offered_revision, row.status) == (2, "NOTIFIED")


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        ("WAITING", True),
        ("NOTIFIED", True),
        ("NOTI_DELAYED", False),
        ("SUCCESS", False),
        ("SUCCESS_ALREADY_SETUP", False),
        ("ERR_DOWNLOAD_INFO", False),
        ("EXIT_CODE_3", False),
        ("anything", False),
    ],
)
def test_only_what_is_not_done_is_offered(wire: Wire, status: str, offered: bool) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, activation, status=status)
    assert bool(wire.offered(pc)) is offered
    assert wire.status(pc, activation) == ("NOTIFIED" if offered else status)


def test_what_is_cleared_deactivated_or_deleted_is_not_offered(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    ended = make.make_activation(wire.session, ended_at=START)
    deleted = make.make_activation(wire.session, make.make_package(wire.session, deleted_at=START))
    cleared = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, ended)
    make.make_assignment(wire.session, pc, deleted)
    make.make_assignment(wire.session, pc, cleared, cleared_at=START)
    assert wire.offered(pc) == []
    assert wire.status(pc, cleared) == "WAITING"


def test_a_package_with_two_activations_is_offered_once(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    first = make.make_activation(wire.session)
    second = make.make_activation(wire.session, first.package, info_url="other/download")
    make.make_assignment(wire.session, pc, second)
    make.make_group_assignment(wire.session, make.make_group(wire.session, pc), first)
    (offer,) = wire.prolog(pc).offers
    assert offer.info_loc == "other/download"


def test_switched_off_nothing_is_offered_and_nothing_becomes_notified(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, activation)
    wire.set(Scope("computer", pc.id), DOWNLOAD="0")
    reply = wire.prolog(pc)
    assert reply.settings is not None
    assert (reply.settings.on, reply.offers) == (False, ())
    assert wire.status(pc, activation) == "WAITING"


@pytest.mark.parametrize(
    ("values", "family", "agent", "offered"),
    [
        ({"os": "linux"}, "linux", UNIX, True),
        ({"os": "linux"}, "", UNIX, False),  # stays WAITING until the system is known
        ({"os": "any"}, "", UNIX, True),
        ({"os": "linux"}, "windows", WINDOWS, False),
        ({"digest_algorithm": "SHA256"}, "linux", UNIX, False),
        ({"digest_algorithm": "SHA256"}, "linux", OURS, True),
        ({"digest_encoding": "Base64"}, "linux", UNIX, True),
        ({"os": "any", "digest_encoding": "Base64"}, "windows", WINDOWS, False),
    ],
)
def test_what_does_not_suit_stays_waiting(
    wire: Wire, values: dict[str, str], family: str, agent: str, offered: bool
) -> None:
    pc = make.make_computer(wire.session, os_family=family)
    activation = make.make_activation(wire.session, make.make_package(wire.session, **values))
    make.make_assignment(wire.session, pc, activation)
    assert bool(wire.offered(pc, agent)) is offered
    assert wire.status(pc, activation) == ("NOTIFIED" if offered else "WAITING")


# History


@pytest.mark.parametrize(
    ("agent", "force", "status"),
    [
        (UNIX, False, "SUCCESS_ALREADY_IN_HISTORY"),
        (UNIX, True, "NOTIFIED"),
        (OURS, False, "NOTIFIED"),  # our agents judge their history themselves
    ],
)
def test_history_is_the_servers_business_for_old_agents(
    wire: Wire, agent: str, force: bool, status: str
) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    make.make_assignment(wire.session, pc, activation, force=force)
    wire.done(pc, activation.package_id)
    assert bool(wire.offered(pc, agent)) is (status == "NOTIFIED")
    assert wire.status(pc, activation) == status
    written = [(each.code, each.counted) for each in wire.reports()]
    assert written == ([(status, True)] if status.startswith("SUCCESS") else [])


# Packages of groups


def test_a_member_gets_a_row_at_its_first_contact(wire: Wire) -> None:
    member, outsider = make.make_computer(wire.session), make.make_computer(wire.session)
    group = make.make_group(wire.session, member)
    activation = make.make_activation(wire.session)
    make.make_group_assignment(
        wire.session, group, activation, attempt=5, force=True, schedule="2026/12/24 18:00",
        postcmd="SHUTDOWN", assigned_by="chief",
    )  # fmt: skip
    (offer,) = wire.prolog(member, OURS).offers
    assert wire.offered(outsider) == []
    row = wire.row(member, activation)
    assert row is not None
    assert (row.status, row.group_id, row.assigned_by) == ("NOTIFIED", group.id, "chief")
    assert (row.force, row.schedule, row.postcmd) == (True, "2026/12/24 18:00", "SHUTDOWN")
    assert (offer.force, offer.schedule, offer.postcmd) == (True, "2026/12/24 18:00", "SHUTDOWN")
    assert offer.attempt == row.attempt == int(START.timestamp())
    assert wire.row(outsider, activation) is None
    assert wire.prolog(member, OURS).offers == (offer,)


@pytest.mark.parametrize(
    "kind", [{}, {"kind": "dynamic", "expression": "name is not empty"}], ids=["static", "dynamic"]
)
def test_an_excluded_computer_gets_nothing(wire: Wire, kind: dict[str, str]) -> None:
    pc, member = make.make_computer(wire.session), make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    group = make.make_group(wire.session, member, excluded=(pc,), **kind)
    make.make_group_assignment(wire.session, group, activation)
    wire.set(Scope("group", group.id), PROLOG_FREQ="3")
    assert [wire.offered(each) for each in (pc, member)] == [[], [activation.package_id]]
    assert [wire.prolog(each).prolog_freq_h for each in (pc, member)] == [24, 3]


def test_a_dynamic_group_gives_its_packages_to_whom_it_finds(wire: Wire) -> None:
    one, two = make.make_computer(wire.session, tag="Lyon"), make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    group = make.make_group(wire.session, kind="dynamic", expression="tag = lyon")
    make.make_group_assignment(wire.session, group, activation)
    assert [wire.offered(each) for each in (one, two)] == [[activation.package_id], []]


def test_a_broken_dynamic_group_breaks_no_contact(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    for name, other in (("A", "B"), ("B", "A")):
        group = make.make_group(
            wire.session, name=name, kind="dynamic", expression=f"group = {other}"
        )
        make.make_group_assignment(wire.session, group, activation)
    assert wire.offered(pc) == []


def test_what_ended_comes_again_only_by_a_later_assignment_of_the_group(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    group = make.make_group(wire.session, pc)
    activation = make.make_activation(wire.session)
    given = make.make_group_assignment(wire.session, group, activation)
    assert wire.offered(pc)
    wire.report(pc, activation, "ERR_TIMEOUT")
    assert wire.offered(pc) == []
    row = wire.row(pc, activation)
    assert row is not None
    row.cleared_at = START
    wire.session.flush()
    assert wire.offered(pc) == []
    first = row.attempt
    given.attempt = first + 1
    wire.session.flush()
    assert wire.offered(pc) == [activation.package_id]
    row = wire.row(pc, activation)
    assert row is not None
    assert (row.status, row.cleared_at) == ("NOTIFIED", None)
    assert row.attempt > first


def test_leaving_the_group_before_being_told_withdraws(wire: Wire) -> None:
    left, told = make.make_computer(wire.session), make.make_computer(wire.session)
    group = make.make_group(wire.session)
    activation = make.make_activation(wire.session)
    make.make_group_assignment(wire.session, group, activation)
    make.make_assignment(wire.session, left, activation, group_id=group.id)
    make.make_assignment(wire.session, told, activation, group_id=group.id, status="NOTIFIED")
    assert wire.offered(left) == []
    assert wire.row(left, activation) is None
    assert wire.offered(told) == [activation.package_id]


def test_two_groups_with_one_package_make_one_row(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    first, second = make.make_group(wire.session, pc), make.make_group(wire.session, pc)
    for group in (second, first):
        make.make_group_assignment(wire.session, group, activation)
    assert wire.offered(pc) == [activation.package_id]
    row = wire.row(pc, activation)
    assert row is not None
    assert row.group_id == second.id  # it was assigned first


def test_groups_switched_off_give_nothing_and_withdraw_nothing(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    group = make.make_group(wire.session, pc)
    activation, other = make.make_activation(wire.session), make.make_activation(wire.session)
    make.make_group_assignment(wire.session, group, activation)
    make.make_assignment(wire.session, pc, other, group_id=group.id)
    wire.set(ENABLE_GROUPS="0")
    assert wire.offered(pc) == [other.package_id]
    assert wire.row(pc, activation) is None


def test_a_member_whose_history_has_it_is_settled(wire: Wire) -> None:
    pc = make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    make.make_group_assignment(wire.session, make.make_group(wire.session, pc), activation)
    wire.done(pc, activation.package_id)
    assert wire.offered(pc) == []
    assert wire.status(pc, activation) == "SUCCESS_ALREADY_IN_HISTORY"


def test_a_member_whom_it_does_not_suit_gets_no_row(wire: Wire) -> None:
    windows, unknown = (
        make.make_computer(wire.session, os_family=family) for family in ("windows", "")
    )
    activation = make.make_activation(wire.session)
    make.make_group_assignment(
        wire.session, make.make_group(wire.session, windows, unknown), activation
    )
    for pc in (windows, unknown):
        assert wire.offered(pc) == []
        assert wire.row(pc, activation) is None


def test_untraced_packages_of_groups_are_offered_without_rows(wire: Wire) -> None:
    pc, other = make.make_computer(wire.session), make.make_computer(wire.session)
    activation = make.make_activation(wire.session)
    group = make.make_group(wire.session, pc, other)
    make.make_group_assignment(wire.session, group, activation, attempt=99, assigned_at=START)
    wire.set(GROUPS_TRACE="0")
    (offer,) = wire.prolog(pc, OURS).offers
    assert offer.attempt == 99
    assert wire.row(pc, activation) is None
    wire.clock.advance(minutes=1)
    wire.report(pc, activation, "ERR_TIMEOUT", attempt=99)
    assert wire.offered(pc) == []  # not for ever, as OCS's server does
    assert wire.offered(other) == [activation.package_id]
    wire.done(other, activation.package_id)
    assert wire.offered(other) == []


# Cost


@pytest.mark.parametrize(("groups", "number"), [(0, 4), (1, 5), (20, 5)])
def test_a_contact_with_nothing_to_do_takes_few_statements(
    wire: Wire, groups: int, number: int
) -> None:
    pc = make.make_computer(wire.session)
    for _ in range(groups):
        make.make_group(wire.session, pc)
    wire.session.commit()
    caller = Caller(pc.device_id, "192.0.2.7", UNIX)
    with recorded(wire.session) as statements:
        looked = look_at_prolog(wire.session, Prolog(pc.device_id), now=START, caller=caller)
    assert looked is not None
    assert len([each for each in statements if not each.startswith("BEGIN")]) == number


@pytest.mark.parametrize("agent", [UNIX, OURS])
def test_only_what_changes_a_row_is_written(wire: Wire, agent: str) -> None:
    pc = make.make_computer(wire.session, os_family="linux")
    own = make.make_activation(wire.session)
    shared = make.make_activation(wire.session)
    make.make_group_assignment(wire.session, make.make_group(wire.session, pc), shared)
    wire.prolog(pc, agent)
    assert wire.looked is None  # the group's package gets its row
    wire.prolog(pc, agent)
    assert wire.looked is not None
    make.make_assignment(wire.session, pc, own)
    wire.prolog(pc, agent)
    assert wire.looked is None  # it is NOTIFIED now
    assert len(wire.prolog(pc, agent).offers) == 2
    assert wire.looked is not None
    wire.report(pc, own, "ERR_EXECUTE", wire.row(pc, own).attempt)  # type: ignore[union-attr]
    assert wire.looked is None
    assert wire.offered(pc, agent) == [shared.package_id]
    assert wire.looked is not None
    assert wire.prolog("unknown-2026-01-02-03-04-05", agent).send_inventory
    assert wire.looked is not None
