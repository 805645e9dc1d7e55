"""Suggestions on both databases: real values, inside the reader's tags only."""

from sqlalchemy.orm import Session

from deploy_server.domain.search import parse
from deploy_server.services.searching import complete
from deploy_server.storage.models import (
    ComputerAddress,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)
from tests.support import factories as make

LYON = frozenset({"Lyon"})


def labels(session: Session, text: str, **options: object) -> list[str]:
    found = complete(session, text, len(text), **options)  # type: ignore[arg-type]
    return [each.label for each in found.suggestions]


def install(session: Session, number: int, name: str, version: str) -> int:
    """A set of one software."""
    digest = bytes([number]) * 4
    item = SoftwareItem(digest=digest, name=name, name_key=name.lower(), version=version,
                        version_key=version, version_sort=version, publisher="")  # fmt: skip
    found = SoftwareSet(digest=digest, size=1)
    session.add_all([item, found])
    session.flush()
    session.add(SoftwareSetItem(set_id=found.id, item_id=item.id))
    session.flush()
    return found.id


def fill(session: Session) -> None:
    fire, libre = install(session, 1, "Firefox", "115"), install(session, 2, "Libre Office", "7")
    mine = make.make_computer(session, name="pc-1", tag="LYON", model="ThinkPad T14",
                              memory=8192, software_set_id=fire)  # fmt: skip
    other = make.make_computer(session, name="PC-2", tag="PARIS", model="OptiPlex",
                               memory=4096, software_set_id=libre)  # fmt: skip
    for each, ip in ((mine, "10.0.0.1"), (other, "10.0.0.2")):
        session.add(ComputerAddress(computer_id=each.id, kind="ip", value_key=ip, value=ip))
    make.make_group(session, name="Seen", visible=True)
    make.make_group(session, name="Secret")
    package = make.make_package(session, name="My tool", id=1_800_000_001)
    activation = make.make_activation(session, package)
    make.make_assignment(session, mine, activation, status="SUCCESS")
    make.make_assignment(session, other, activation, status="ERR_BAD_DIGEST")


def test_fields_operators_and_joins(session: Session) -> None:
    assert labels(session, "soft") == ["software", "software:"]
    assert "package" not in labels(session, "pack")
    assert labels(session, "last_contact ")[:2] == ["=", "!="]
    assert labels(session, "name is n") == []
    assert labels(session, "name i") == ["in", "is empty", "is not empty"]
    assert labels(session, "name = x ") == ["and", "or"]
    assert labels(session, "last_contact > 7") == ["7d"]


def test_values_of_everybody(session: Session) -> None:
    fill(session)
    assert labels(session, "name = P") == ["pc-1", "PC-2"]
    assert labels(session, "model ~ pad") == ["ThinkPad T14"]
    assert labels(session, "tag in (LYON, ") == ["LYON", "PARIS"]
    assert labels(session, "ip = 10.0") == ["10.0.0.1", "10.0.0.2"]
    assert labels(session, "memory > ") == ["4096", "8192"]
    assert labels(session, "software:fi") == ["Firefox"]
    assert labels(session, "software = ") == ["Firefox", "Libre Office"]
    assert labels(session, 'software:"Libre Office" = ') == ["7"]
    assert labels(session, "package:my") == ["My tool"]
    assert labels(session, "package:1800000001 = ERR") == ["error", "ERR_BAD_DIGEST"]
    assert labels(session, "group = se") == ["Secret", "Seen"]


def test_values_inside_the_reader_s_tags(session: Session) -> None:
    fill(session)
    mine = {"perimeter": LYON, "all_groups": False}
    assert labels(session, "name = p", **mine) == ["pc-1"]
    assert labels(session, "tag = ", **mine) == ["LYON"]
    assert labels(session, "ip = 10", **mine) == ["10.0.0.1"]
    assert labels(session, "memory > ", **mine) == ["8192"]
    assert labels(session, "software:", **mine) == ["Firefox"]
    assert labels(session, 'software:"Libre Office" = ', **mine) == []
    assert labels(session, 'package:"My tool" = ERR', **mine) == ["error"]
    assert labels(session, "group = ", **mine) == ["Seen"]


def test_what_is_taken_can_be_read(session: Session) -> None:
    fill(session)
    for text in ("software:lib", "package:my", "model = Think", "name = "):
        found = complete(session, text, len(text))
        taken = text[: found.start] + found.suggestions[0].text
        parse(taken if "=" in taken else f"{taken}= x")


def test_signs_of_like_are_no_wildcards(session: Session) -> None:
    make.make_computer(session, model="100% sure", tag="a")
    make.make_computer(session, model="100 times", tag="b")
    assert labels(session, 'model ~ "0%') == ["100% sure"]
    assert labels(session, "model ~ _") == []


def test_never_more_than_a_dozen(session: Session) -> None:
    for number in range(20):
        make.make_computer(session, name=f"pc-{number:02d}", tag=f"t{number}")
    assert len(labels(session, "name = ")) == len(labels(session, "tag = ")) == 12
