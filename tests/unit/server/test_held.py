"""What our server says of packages that an agent holds and should not."""

import pytest
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Prolog
from deploy_agent.wire.replies import PrologReply
from deploy_server.services import assigning, status
from deploy_server.services.activation import deactivate
from deploy_server.services.assigning import Selection
from deploy_server.services.computers import delete_computers
from deploy_server.storage.models import Computer, Package
from tests.support import factories as make
from tests.support.clock import START
from tests.support.contact import OURS, UNIX, Wire

ATTEMPT = 1795255200


class Site:
    """A computer with our agent, which was told of one package under ATTEMPT."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.wire = Wire(session)
        self.pc = make.make_computer(session, agent=OURS)
        self.activation = make.make_activation(session)
        make.make_assignment(session, self.pc, self.activation, attempt=ATTEMPT)
        self.package = f"{self.activation.package_id:010d}"
        session.commit()
        self.wire.prolog(self.pc, OURS)

    def dropped(
        self, *held: tuple[str, int], agent: str = OURS, pc: Computer | None = None
    ) -> list[tuple[str, int]]:
        """What an agent is told to drop that says it holds `held`, or the package of the site."""
        mine = held or ((self.package, ATTEMPT),)
        answer = self.wire.say(Prolog((pc or self.pc).device_id, mine), agent)
        tranche = PrologReply.parse(answer).tranche
        return [] if tranche is None else list(tranche.cancels)

    def chosen(self) -> Selection:
        return Selection(device_ids=[self.pc.device_id])


@pytest.fixture
def site(session: Session) -> Site:
    return Site(session)


def test_what_is_under_way_goes_on_and_is_looked_up_without_writing(site: Site) -> None:
    assert site.dropped() == []
    assert site.wire.looked is not None


@pytest.mark.parametrize("code", ["SUCCESS", "ERR_EXIT_CODE_3", "ERR_TIMEOUT"])
def test_what_has_ended_is_dropped(site: Site, code: str) -> None:
    site.wire.report(site.pc, site.activation, code, ATTEMPT)
    assert site.dropped() == [(site.package, ATTEMPT)]
    assert site.wire.looked is not None
    assert site.wire.status(site.pc, site.activation) == code


def test_what_has_ended_is_dropped_when_it_is_validated_too(site: Site) -> None:
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    package_id = site.activation.package_id
    status.validate(site.session, package_id, "success", actor="a", now=site.wire.clock())
    assert site.dropped() == [(site.package, ATTEMPT)]


def test_what_was_replaced_is_dropped_and_the_new_attempt_is_not(site: Site) -> None:
    site.wire.report(site.pc, site.activation, "ERR_CLEAN", ATTEMPT)
    site.wire.clock.advance(hours=1)
    target, now = str(site.activation.package_id), site.wire.clock()
    assigning.assign(site.session, target, site.chosen(), actor="b", now=now)
    row = site.wire.row(site.pc, site.activation)
    assert row is not None
    assert row.attempt > ATTEMPT
    new = (site.package, row.attempt)
    assert site.dropped((site.package, ATTEMPT), new) == [(site.package, ATTEMPT)]
    assert site.dropped(new) == []


def test_what_was_taken_back_is_dropped_even_where_the_agent_said_so_before(site: Site) -> None:
    target = str(site.activation.package_id)
    assigning.unassign(site.session, target, site.chosen(), actor="b", now=site.wire.clock())
    assert site.dropped() == [(site.package, ATTEMPT)]
    # The report that it had ended answers the withdrawal; a restored agent does not know of it.
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    assert site.dropped() == [(site.package, ATTEMPT)]


def test_what_ended_is_known_when_the_computer_was_deleted_and_came_back(site: Site) -> None:
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    device_id = site.pc.device_id
    delete_computers(site.session, [device_id], actor="a", now=site.wire.clock())
    site.session.commit()
    again = make.make_computer(site.session, device_id=device_id, agent=OURS)
    assert site.dropped(pc=again) == [(site.package, ATTEMPT)]


def test_a_package_that_was_deleted_is_dropped_whatever_its_attempt(site: Site) -> None:
    package = site.session.get(Package, site.activation.package_id)
    assert package is not None
    package.deleted_at = START
    site.session.commit()
    assert site.dropped((site.package, ATTEMPT + 9)) == [(site.package, ATTEMPT + 9)]


def test_deactivating_and_validating_touch_no_computer(site: Site) -> None:
    now, package_id = site.wire.clock(), site.activation.package_id
    deactivate(site.session, [site.activation.id], now=now, actor="admin")
    assert site.dropped() == []
    status.validate(site.session, package_id, "all", actor="a", now=now)
    assert site.dropped() == []


def test_what_came_through_a_group_without_a_row_goes_on_until_it_ends(site: Site) -> None:
    site.wire.set(DOWNLOAD_GROUPS_TRACE_EVENTS="0")
    activation = make.make_activation(site.session)
    group = make.make_group(site.session, site.pc)
    make.make_group_assignment(site.session, group, activation, attempt=ATTEMPT + 5)
    held = (f"{activation.package_id:010d}", ATTEMPT + 5)
    assert site.dropped(held) == []
    deactivate(site.session, [activation.id], now=site.wire.clock(), actor="admin")
    assert site.dropped(held) == [], "it had begun under an activation that ended"
    site.wire.report(site.pc, activation, "SUCCESS", ATTEMPT + 5)
    assert site.dropped(held) == [held]


def test_a_server_that_was_restored_drops_nothing_that_it_does_not_know(site: Site) -> None:
    later = (site.package, ATTEMPT + 1000)
    unknown = ("1799999999", ATTEMPT)
    foreign = ("9" * 20, ATTEMPT)
    assert site.dropped(later, unknown, foreign) == []


def test_nothing_is_said_of_a_computer_that_is_not_known(site: Site) -> None:
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    stranger = Computer(device_id="stranger-2026-01-02-03-04-05")
    assert site.dropped(pc=stranger) == []


def test_another_computer_s_end_is_not_this_one_s(site: Site) -> None:
    other = make.make_computer(site.session, agent=OURS)
    make.make_assignment(site.session, other, site.activation, attempt=ATTEMPT)
    site.wire.report(other, site.activation, "SUCCESS", ATTEMPT)
    assert site.dropped() == []


def test_agents_that_are_not_ours_are_told_nothing(site: Site) -> None:
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    assert site.dropped(agent=UNIX) == []


def test_a_withdrawal_is_named_once(site: Site) -> None:
    target = str(site.activation.package_id)
    assigning.unassign(site.session, target, site.chosen(), actor="b", now=site.wire.clock())
    tranche = site.wire.prolog(site.pc, OURS).tranche
    assert tranche is not None
    assert list(tranche.cancels) == site.dropped() == [(site.package, ATTEMPT)]
