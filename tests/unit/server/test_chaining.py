"""One package after another: a group of those on which the first one succeeded (features 5.10)."""

from sqlalchemy.orm import Session

from tests.support import factories as make
from tests.support.contact import Wire


def test_the_second_package_waits_for_the_first(session: Session) -> None:
    wire = Wire(session)
    pc, other = make.make_computer(session), make.make_computer(session)
    first, second = make.make_activation(session), make.make_activation(session)
    has_first = f"package:{first.package_id} = success"
    group = make.make_group(session, kind="dynamic", expression=has_first)
    make.make_group_assignment(session, group, second)
    for computer in (pc, other):
        make.make_assignment(session, computer, first)
        assert wire.offered(computer) == [first.package_id]
    wire.report(pc, first, "SUCCESS")
    wire.report(other, first, "ERR_EXIT_CODE_1")
    assert wire.offered(pc) == [second.package_id]
    assert wire.offered(other) == []
