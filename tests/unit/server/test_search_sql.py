"""Expressions find the same computers on SQLite, on PostgreSQL, and in plain Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.addresses import address_key
from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import SearchError, parse
from deploy_server.domain.version import version_key
from deploy_server.storage.models import (
    Computer,
    ComputerAddress,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)
from deploy_server.storage.search import search_clause
from deploy_server.storage.types import fold
from tests.support import factories as make
from tests.support.clock import START
from tests.support.search import Facts, Model

# What LIKE, SQL, regular expressions, case folding and collations stumble over.
TEXTS = ["", "a", "A", "ab", "a%b", "a_b", "axb", "a\\b", "a\\", "%", "_", "*", "a*b", "100%",
         "'; DROP TABLE computer; --", "ÉCOLE", "école", "STRASSE", "straße", "İstanbul", "ﬁn",
         "Ⅻ", "東京", "pc-17", "PC-17", "z", "Z", "ä", "a b",
         '"', "e\u0301", "\U0001f600"]  # fmt: skip
VERSIONS = ["", "115", "115.0", "9", "10", "1.0~rc1", "1.0", "1:0.5", "v115", "0115", "1.0-1"]
STATUSES = ["WAITING", "NOTIFIED", "NOTI_DELAYED", "SUCCESS", "SUCCESS_0", "SUCCESS_3",
            "ERR_BAD_DIGEST", "ERR_ALREADY_SETUP", "EXIT_CODE_3", "err_odd%", "ERR_É"]  # fmt: skip
TIMES = [
    None,
    *(START - timedelta(seconds=each) for each in (0, 59, 60, 3600, 86_400, 90_000, 604_801)),
]
IPS = ["10.0.0.1", "10.0.0.17", "192.168.1.1", "fe80::1", "FE80:0:0:0:0:0:0:2"]
MACS = ["02:00:5E:00:00:01", "02-00-5e-00-00-02"]
SOFTWARE = ["Firefox", "firefox-esr", "Größe", "a%b"]
_TEXT_FIELDS = [
    "name",
    "device_id",
    "os",
    "arch",
    "user",
    "tag",
    "workgroup",
    "serial",
    "model",
    "agent",
]


@dataclass
class World:
    """A filled database and the same facts in Python."""

    session: Session
    facts: dict[int, Facts]
    model: Model
    now: datetime = START

    def by_sql(self, expression: str) -> set[int]:
        clause = search_clause(self.session, expression, self.now)
        return set(self.session.scalars(select(Computer.id).where(clause)))

    def by_model(self, expression: str) -> set[int]:
        node = parse(expression)
        return {each for each, facts in self.facts.items() if self.model.holds(node, facts)}


def _computer(session: Session, number: int) -> tuple[Computer, Facts]:
    pick = lambda pool, step: pool[(number * step) % len(pool)]  # noqa: E731
    values = {name: pick(TEXTS, step) for step, name in enumerate(_TEXT_FIELDS, 3)}
    values["device_id"] = f"{pick(TEXTS, 3) or 'x'}-{number}-2026-01-02-03-04-05"
    values["name"] = TEXTS[number % len(TEXTS)]
    values |= {
        "os_version": pick(VERSIONS, 1),
        "memory": pick([None, 0, 512, 24105], 1),
        "last_contact": pick(TIMES, 1),
        "last_inventory": pick(TIMES, 3),
    }
    version = values["os_version"]
    computer = make.make_computer(session, **values, os_version_sort=version_key(version))
    ips = [IPS[(number + each) % len(IPS)] for each in range(number % 3)]
    macs = [pick(MACS, 1)] if number % 4 else []
    for kind, own in (("ip", ips), ("mac", macs)):
        for value in own:
            key = fold(address_key(kind, value))
            row = ComputerAddress(computer_id=computer.id, kind=kind, value=value, value_key=key)
            session.add(row)
    return computer, Facts(values, ips, macs)


def _add_software(session: Session) -> list[tuple[int | None, list[tuple[str, str]]]]:
    """Every set of software that computers have."""
    items = [(name, version) for name in SOFTWARE for version in VERSIONS]
    ids = {}
    for name, version in items:
        row = SoftwareItem(
            digest=f"{name} {version}".encode(),
            name=name,
            name_key=fold(name),
            version=version,
            version_key=fold(version),
            version_sort=version_key(version),
            publisher="",
        )
        session.add(row)
        session.flush()
        ids[name, version] = row.id
    sets: list[tuple[int | None, list[tuple[str, str]]]] = [(None, [])]
    for start in range(0, len(items), 5):
        chosen = items[start : start + 7]
        row_set = SoftwareSet(digest=str(start).encode(), size=len(chosen))
        session.add(row_set)
        session.flush()
        session.add_all(SoftwareSetItem(set_id=row_set.id, item_id=ids[each]) for each in chosen)
        sets.append((row_set.id, chosen))
    return sets


@pytest.fixture
def world(session: Session) -> Iterator[World]:
    """Computers that differ in everything an expression can ask for."""
    sets = _add_software(session)
    first = make.make_activation(
        session, make.make_package(session, id=1_800_000_001, name="Über 1")
    )
    second = make.make_activation(session, make.make_package(session, id=1_800_000_002, name="a%b"))
    dead = make.make_package(session, id=1_800_000_003, name="Über 1 old", deleted_at=START)
    third = make.make_activation(session, dead)
    facts: dict[int, Facts] = {}
    computers = []
    for number in range(66):
        computer, own = _computer(session, number)
        computer.software_set_id, own.software = sets[number % len(sets)]
        for step, activation in enumerate((first, second, third), 1):
            if number % (step + 1):
                status = STATUSES[(number * step) % len(STATUSES)]
                cleared = START if number % 7 == 0 else None
                make.make_assignment(
                    session, computer, activation, status=status, cleared_at=cleared
                )
                if cleared is None:
                    own.packages[activation.package_id] = status
        computers.append(computer)
        facts[computer.id] = own
    _add_groups(session, computers, facts)
    session.flush()
    names = {1_800_000_001: "Über 1", 1_800_000_002: "a%b"}
    yield World(session, facts, Model(START, names))
    session.rollback()


def _add_groups(session: Session, computers: list[Computer], facts: dict[int, Facts]) -> None:
    members = {
        "Servers": computers[::3],
        "a%b": computers[:20],
        "Empty": [],
    }
    for name, own in members.items():
        make.make_group(session, *own, excluded=(computers[64],), name=name)
    make.make_group(
        session,
        computers[5],
        excluded=(computers[3], computers[33]),
        name="Dynamic",
        kind="dynamic",
        expression="memory > 600 or group = a%b and not memory is empty",
    )
    by_hand = {each.id for each in members["a%b"]}
    for computer in computers:
        memory = facts[computer.id].values["memory"]
        found = memory is not None and (memory > 600 or computer.id in by_hand)
        kept_out = computer in (computers[3], computers[33])
        own_groups = [name for name, own in members.items() if computer in own]
        if (found or computer is computers[5]) and not kept_out:
            own_groups.append("Dynamic")
        facts[computer.id].groups = own_groups


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_texts = (
    st.sampled_from(TEXTS)
    | st.builds("{}*".format, st.sampled_from(TEXTS))
    | st.text("ab%_*\\éÉ", max_size=4)
)
_words = _texts.map(quoted)
_equals = st.sampled_from(["=", "!=", "~", "!~"])
_all = st.sampled_from(["=", "!=", "~", "!~", "<", "<=", ">", ">="])
_numeric = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_order = st.sampled_from(["<", "<=", ">", ">="])


def _conditions(
    field: st.SearchStrategy[str], ops: st.SearchStrategy[str], values: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    listed = st.lists(values, min_size=1, max_size=3).map(", ".join)
    return (
        st.builds("{} {} {}".format, field, ops, values)
        | st.builds("{} in ({})".format, field, listed)
        | st.builds("{} is{} empty".format, field, st.sampled_from(["", " not"]))
    )


_fields = st.sampled_from(_TEXT_FIELDS)
_versions = (st.sampled_from(VERSIONS) | st.sampled_from(["1*", "*0", "1.0*1"])).map(quoted)
_software = st.builds(
    "software:{}".format, st.sampled_from([*SOFTWARE, "fire*", "none"]).map(quoted)
)
_packages = st.builds(
    "package:{}".format,
    st.sampled_from(
        ["1800000001", "1800000003", '"Über 1"', '"ü*"', '"a%b"', "1800000009", "nobody"]
    ),
)
_statuses = st.sampled_from(
    [each.name for each in ResultClass]
    + ["none", '"success"', "SUCCESS_*", "err*", "success_3", "*"]
) | st.sampled_from(STATUSES).map(quoted)
_conditions_of_all_kinds = st.one_of(
    _conditions(_fields, _all, _words),
    _conditions(
        st.sampled_from(["ip", "mac"]),
        _equals,
        st.sampled_from([*IPS, *MACS, "10.*", "0"]).map(quoted),
    ),
    _conditions(
        st.just("group"),
        _equals,
        st.sampled_from(["servers", "a%b", "*e*", "dynamic", "x"]).map(quoted),
    ),
    _conditions(
        st.just("software"), _equals, st.sampled_from([*SOFTWARE, "fire*", "FIRE"]).map(quoted)
    ),
    _conditions(_software, _all, _versions),
    _conditions(st.just("os_version"), _all, _versions),
    _conditions(st.just("memory"), _numeric, st.sampled_from(["0", "512", "511.5", "99999"])),
    _conditions(_packages, _equals, _statuses),
    _conditions(
        st.sampled_from(["last_contact", "last_inventory"]),
        _numeric,
        st.sampled_from(["2026-11-21", "2026-11-20", "2026-11-21T10:00", "2026-11-21T09:59:01"]),
    ),
    st.builds(
        "{} {} {}".format,
        st.just("last_contact"),
        _order,
        st.sampled_from(["1m", "60s", "1h", "1d", "7d", "1w", "0s"]),
    ),
)
_expressions = st.recursive(
    _conditions_of_all_kinds,
    lambda inner: (
        st.builds("({} and {})".format, inner, inner)
        | st.builds("({} or {})".format, inner, inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=6,
)


@pytest.mark.slow
def test_sql_and_python_find_the_same_computers(world: World) -> None:
    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(_expressions)
    @example('tag = ""')
    @example('workgroup < "z"')
    @example("group = dynamic")
    @example('tag != ""')
    @example('tag ~ ""')
    @example('tag = "*"')
    @example('name = "a\\\\b"')
    @example('name = "%*"')
    def compare(expression: str) -> None:
        assert world.by_sql(expression) == world.by_model(expression), expression

    compare()


ORDINARY = (
    "name = école",
    "name = straße",
    'name = "a%b"',
    "name ~ _",
    "tag is not empty and not name = a",
    "software:firefox > 9",
    "software = fire*",
    "package:1800000001 = SUCCESS",
    'package:"Über 1" = error',
    "package:1800000001 = none",
    "group = dynamic",
    "group is empty",
    "ip = 10.*",
    "ip = fe80:0::2",
    "mac = 02-00-5E-00-00-01",
    "last_contact > 1d",
    "memory >= 512",
    "os_version < 10",
)


def test_ordinary_searches_find_some_and_not_all(world: World) -> None:
    # One test for all: the world takes longer to make than all of them to answer.
    for expression in ORDINARY:
        found = world.by_sql(expression)
        assert found == world.by_model(expression), expression
        assert 0 < len(found) < len(world.facts), expression


def test_blank_text_finds_every_computer(world: World) -> None:
    assert world.by_sql("  ") == set(world.facts)


def test_a_long_list_and_a_deep_expression_are_answered(world: World) -> None:
    names = ", ".join(f"pc-{number}" for number in range(1500))
    assert world.by_sql(f"name in ({names})") == world.by_sql("name = pc-17")
    deep = "not (" * 18 + "name = a" + ")" * 18
    assert world.by_sql(deep) == world.by_sql("name = a")
    wide = " or ".join(f"name = x{number}*" for number in range(99))
    assert world.by_sql(wide) == set()


def test_a_group_that_refers_to_itself_is_named(world: World) -> None:
    make.make_group(world.session, name="A", kind="dynamic", expression="group = B")
    make.make_group(world.session, name="B", kind="dynamic", expression="group = A")
    with pytest.raises(SpecError, match=r"refers to itself.*A → B → A"):
        world.by_sql("group = A")


def test_a_member_who_waits_through_a_group_counts_as_waiting(session: Session) -> None:
    package = make.make_package(session, id=1_800_000_001, os="linux")
    activation = make.make_activation(session, package)
    names = ["fresh", "has_row", "cleared", "windows", "unknown", "outside"]
    pcs = {name: make.make_computer(session, name=name) for name in names}
    pcs["windows"].os_family, pcs["unknown"].os_family = "windows", ""
    make.make_assignment(session, pcs["has_row"], activation, status="SUCCESS")
    make.make_assignment(session, pcs["cleared"], activation, status="SUCCESS", cleared_at=START)
    members = [computer for name, computer in pcs.items() if name != "outside"]
    make.make_group_assignment(session, make.make_group(session, *members), activation)

    def found(expression: str) -> set[str]:
        clause = search_clause(session, expression, START)
        return set(session.scalars(select(Computer.name).where(clause)))

    assert found("package:1800000001 = waiting") == {"fresh", "unknown"}
    assert found('package:1800000001 = "WAITING"') == {"fresh", "unknown"}
    assert found("package:1800000001 = none") == {"cleared", "windows", "outside"}
    assert found("package:1800000001 = success") == {"has_row"}
    assert found("package:1800000001 != waiting") == {"has_row", "cleared", "windows", "outside"}


def test_a_wrong_expression_is_an_error_and_no_statement(session: Session) -> None:
    with pytest.raises(SearchError):
        search_clause(session, "name = ", START)
