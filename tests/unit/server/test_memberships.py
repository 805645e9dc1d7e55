"""Why a computer is in a group."""

from sqlalchemy.orm import Session

from deploy_server.services.memberships import memberships_of
from tests.support.clock import START
from tests.support.factories import make_computer, make_group


def test_memberships_say_why(session: Session) -> None:
    computer = make_computer(session, name="pc-7")
    make_group(session, computer, name="by hand")
    make_group(session, excluded=(computer,), name="kept out", kind="dynamic", expression="os = *")
    make_group(session, name="matches", kind="dynamic", expression="name = pc-7")
    make_group(session, name="does not", kind="dynamic", expression="name = pc-8")
    found = memberships_of(session, computer.id, now=START)
    assert [(each.name, each.member) for each in found] == [
        ("by hand", True),
        ("kept out", False),
        ("matches", True),
    ]
    assert found[2].reason == "it matches name = pc-7"
    assert found[1].reason.startswith("kept out by")
