"""Events of our agents: taken once, never a status; and what was taken back from them."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.events import PackageEvent
from deploy_agent.wire.messages import Prolog
from deploy_server.domain.telling import Told
from deploy_server.services import assigning, status, withdrawing
from deploy_server.services.activation import deactivate
from deploy_server.services.activity import Caller
from deploy_server.services.assigning import Selection
from deploy_server.services.computers import delete_computers
from deploy_server.services.events import (
    last_of_computer,
    last_of_rows,
    retention,
    sweep_events,
    take_events,
)
from deploy_server.services.events.intake import KEPT
from deploy_server.services.packages import delete_packages
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.models import (
    Activation,
    AgentEvent,
    Withdrawal,
)
from tests.support import factories as make
from tests.support.clock import START
from tests.support.contact import OURS, UNIX, Wire

ATTEMPT = 1_795_000_000


def event(activation: Activation, number: int = 1, **changes: object) -> PackageEvent:
    fields: dict[str, object] = {
        "event_id": str(UUID(int=number)),
        "package": f"{activation.package_id:010d}",
        "attempt": ATTEMPT,
        "at": START,
        "state": "DOWNLOADING",
        **changes,
    }
    return PackageEvent(**fields)  # type: ignore[arg-type]


class Site:
    """A computer with our agent that was told of a package."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.wire = Wire(session)
        self.pc = make.make_computer(session, agent=OURS)
        self.activation = make.make_activation(session)
        self.row = make.make_assignment(
            session, self.pc, self.activation, status="NOTIFIED", attempt=ATTEMPT
        )
        session.commit()

    def take(self, *events: PackageEvent, pc: str | None = None) -> list[str]:
        caller = Caller("", "", OURS)
        taken = take_events(
            self.session, pc or self.pc.device_id, events, now=self.wire.clock(), caller=caller
        )
        self.session.commit()
        self.session.expire_all()
        return taken

    def event(self, number: int = 1, **changes: object) -> PackageEvent:
        return event(self.activation, number, **changes)

    @property
    def rows(self) -> Sequence[AgentEvent]:
        return self.session.scalars(select(AgentEvent).order_by(AgentEvent.id)).all()

    @property
    def told(self) -> Told | None:
        return last_of_computer(self.session, self.pc.id).get((self.activation.package_id, ATTEMPT))

    def cancels(self) -> tuple[tuple[str, int], ...]:
        tranche = self.wire.prolog(self.pc, OURS).tranche
        assert tranche is not None
        return tranche.cancels

    def word(self) -> str:
        self.session.expire_all()
        return self.session.scalars(select(Withdrawal)).one().word

    def unassign(self) -> int:
        chosen = Selection(device_ids=[self.pc.device_id])
        target = str(self.activation.package_id)
        number = assigning.unassign(
            self.session, target, chosen, actor="admin", now=self.wire.clock()
        )
        self.session.commit()
        return number


@pytest.fixture
def site(session: Session) -> Site:
    return Site(session)


def reason(site: Site) -> str:
    (found,) = status.computer_deployments(site.session, site.pc.id, now=site.wire.clock())
    return found.reason


# Taking events.


def test_the_last_event_of_an_attempt_is_what_people_see(site: Site) -> None:
    site.take(site.event(1, done=3, total=40), site.event(2, done=12, total=40, reason="slow"))
    assert site.told == Told("DOWNLOADING", START, "slow", 12, 40)
    site.take(site.event(3, state="DONE", exit_code=3, output="no\nroom", truncated=True))
    site.take(site.event(4, state="REPORTED"))
    assert site.told is not None
    assert (site.told.state, site.told.exit_code) == ("REPORTED", 3)
    assert (site.told.output, site.told.truncated) == ("no\nroom", True)
    found = last_of_rows(site.session, site.activation.package_id, [site.pc.id])
    assert found == {(site.pc.id, ATTEMPT): site.told}


def test_an_event_is_never_a_status(site: Site) -> None:
    for number, state in enumerate(["RUNNING", "DONE", "CANCELLED"]):
        site.take(site.event(number, state=state, reason="ended with SUCCESS"))
        assert site.row.status == "NOTIFIED"
        assert site.row.since == START


def test_the_same_event_is_taken_once_and_accepted_always(site: Site) -> None:
    one, two = site.event(1, state="OFFERED"), site.event(2)
    assert site.take(one, two) == [one.event_id, two.event_id]
    assert site.take(one, two, one) == [one.event_id, two.event_id]
    assert [each.event_id for each in site.rows] == [one.event_id, two.event_id]


def test_two_computers_may_have_an_event_of_the_same_id(site: Site) -> None:
    other = make.make_computer(site.session, agent=OURS)
    make.make_assignment(site.session, other, site.activation, status="NOTIFIED", attempt=ATTEMPT)
    site.take(site.event(1))
    site.take(site.event(1), pc=other.device_id)
    assert len(site.rows) == 2


def test_an_attempt_keeps_its_last_events(site: Site) -> None:
    events = [site.event(number, done=number, total=100) for number in range(30)]
    site.take(*events)
    assert [each.done for each in site.rows] == list(range(30 - KEPT, 30))
    site.take(site.event(30, done=30, total=100))
    assert [each.done for each in site.rows] == list(range(31 - KEPT, 31))


def test_what_made_room_does_not_come_back_when_it_is_sent_again(site: Site) -> None:
    events = [site.event(number, done=number, total=100) for number in range(30)]
    site.take(*events)
    site.take(*events)
    assert [each.done for each in site.rows] == list(range(30 - KEPT, 30))


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": ATTEMPT - 1},
        {"attempt": ATTEMPT + 1},
        {"attempt": None},
        {"package": "1999999999"},
        {"package": "9" * 20},
    ],
)
def test_what_is_about_nothing_here_is_accepted_and_dropped(
    site: Site, changes: dict[str, object]
) -> None:
    odd = site.event(1, **changes)
    assert site.take(odd, site.event(2)) == [odd.event_id, str(UUID(int=2))]
    assert [each.event_id for each in site.rows] == [str(UUID(int=2))]


def test_an_unknown_computer_is_not_asked_to_send_again(site: Site) -> None:
    assert site.take(site.event(1), pc="gone-2026-01-02-03-04-05") == [str(UUID(int=1))]
    assert site.rows == []


def test_an_event_is_a_contact(site: Site) -> None:
    now = site.wire.clock.advance(hours=3)
    site.take(site.event(1))
    assert site.pc.last_contact == now
    site.wire.clock.advance(hours=1)
    site.take()
    assert site.pc.last_contact == site.wire.clock()


def test_a_package_of_a_group_without_rows_keeps_its_events(site: Site) -> None:
    group = make.make_group(site.session, site.pc)
    shared = make.make_group_assignment(site.session, group, attempt=ATTEMPT + 5)
    activation = site.session.get(Activation, shared.activation_id)
    assert activation is not None
    site.take(event(activation, 1, attempt=ATTEMPT + 5))
    assert len(site.rows) == 1


def test_events_go_with_their_computer(site: Site) -> None:
    site.take(site.event(1))
    site.unassign()
    delete_computers(site.session, [site.pc.device_id], actor="admin", now=site.wire.clock())
    assert site.session.scalar(select(func.count()).select_from(AgentEvent)) == 0
    assert site.session.scalar(select(func.count()).select_from(Withdrawal)) == 0


# Why it is not done yet.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"done": 12, "total": 40}, "Downloading, 12 of 40 fragments (said 2026-11-21 10:00 UTC)"),
        (
            {"done": 1, "total": 4, "reason": "mirror\n  is\taway"},
            "Downloading, 1 of 4 fragments: mirror is away (said",
        ),
        ({"state": "OFFERED"}, "reads its info file"),
        ({"state": "UNPACKED", "reason": "waits for the user"}, "ready to run: waits for the user"),
        ({"state": "RUNNING"}, "It runs on the computer"),
        ({"state": "CANCELLED"}, "dropped it before it began"),
    ],
)
def test_the_reason_is_the_agent_s(site: Site, changes: dict[str, object], words: str) -> None:
    site.take(site.event(1, **changes))
    assert words in reason(site)


def test_without_a_word_of_the_agent_the_reason_is_what_it_was(site: Site) -> None:
    assert reason(site) == "Offered; the agent fetches it and has not reported yet"


def test_what_the_server_knows_to_be_in_the_way_goes_first(site: Site) -> None:
    site.take(site.event(1, done=1, total=4))
    site.wire.set(DOWNLOAD="0")
    assert "switched off" in reason(site)


def test_a_silent_computer_s_last_word_is_told_with_the_silence(site: Site) -> None:
    site.take(site.event(1, done=1, total=4))
    site.wire.clock.advance(days=3)
    assert reason(site) == (
        "No contact for 3 days, expected every 60 minutes."
        " Its last word: Downloading, 1 of 4 fragments (said 2026-11-21 10:00 UTC)"
    )


def test_a_result_has_the_agent_s_words_beside_its_meaning(site: Site) -> None:
    said = "ended with ERR_DOWNLOAD_INFO: 5 times in a row: 404"
    site.take(site.event(1, state="DONE", reason=said))
    site.wire.report(site.pc, site.activation, "ERR_DOWNLOAD_INFO", ATTEMPT)
    assert reason(site).endswith("The agent says: 5 times in a row: 404")


def test_what_was_said_of_an_older_attempt_is_not_said_of_this_one(site: Site) -> None:
    site.take(site.event(1, state="RUNNING"))
    site.wire.report(site.pc, site.activation, "ERR_TIMEOUT", ATTEMPT)
    again = assigning.assign_again(
        site.session, site.activation.package_id, [site.pc.id], actor="x", now=site.wire.clock()
    )
    assert again == 1
    assert "next contact" in reason(site)


def test_results_have_what_the_agent_said(site: Site) -> None:
    site.take(site.event(1, done=1, total=4))
    page = status.results(site.session, site.activation.package_id, now=site.wire.clock())
    assert [row.told for row in page.rows] == [site.told]


# Taking back.


def test_what_the_agent_was_told_of_is_cancelled_until_it_answers(site: Site) -> None:
    assert site.cancels() == ()
    assert site.unassign() == 1
    wanted = ((f"{site.activation.package_id:010d}", ATTEMPT),)
    assert site.cancels() == site.cancels() == wanted
    site.take(site.event(1, state="DOWNLOADING"))
    assert (site.cancels(), site.word()) == (wanted, "")
    site.take(site.event(2, state="RUNNING"))
    assert (site.cancels(), site.word()) == (wanted, "running")
    site.take(site.event(3, state="DONE"))
    assert (site.cancels(), site.word()) == ((), "finished")


def test_a_dropped_package_is_stopped(site: Site) -> None:
    site.unassign()
    site.take(site.event(1, state="CANCELLED"))
    assert (site.cancels(), site.word()) == ((), "stopped")
    (row,) = withdrawing.withdrawn_from(site.session, site.pc.id)
    assert (row.package, row.by, row.word, row.word_at) == (
        site.activation.package_id, "admin", "stopped", site.wire.clock(),
    )  # fmt: skip
    assert withdrawing.words(site.session, site.activation.package_id) == {"stopped": 1}
    assert (
        withdrawing.words(site.session, site.activation.package_id, perimeter=frozenset({"LYON"}))
        == {}
    )


def test_a_late_report_ends_the_cancelling(site: Site) -> None:
    site.unassign()
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT - 1)
    assert len(site.cancels()) == 1
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    assert (site.cancels(), site.word()) == ((), "finished")


def test_nobody_cancels_what_the_agent_was_not_told_of(site: Site) -> None:
    site.row.status, site.row.status_class = "WAITING", 0
    site.session.commit()
    assert site.unassign() == 1
    assert site.cancels() == ()


def test_nobody_cancels_what_ended(site: Site) -> None:
    site.wire.report(site.pc, site.activation, "SUCCESS", ATTEMPT)
    assert site.unassign() == 1
    assert site.cancels() == ()


def test_a_deleted_package_is_cancelled(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:

    folder = tmp_path_factory.mktemp("store")
    (folder / "download").mkdir()
    (folder / "staging").mkdir()
    store = LocalFragmentStore(folder / "download", folder / "staging")
    package_id = site.activation.package_id
    delete_packages(site.session, store, [package_id], now=site.wire.clock(), actor="admin")
    assert site.cancels() == ((f"{package_id:010d}", ATTEMPT),)
    site.take(site.event(1, state="CANCELLED"))
    assert site.word() == "stopped"


def test_a_validated_row_is_not_cancelled(site: Site) -> None:
    status.validate(
        site.session, site.activation.package_id, "all", actor="a", now=site.wire.clock()
    )
    site.session.commit()
    assert site.cancels() == ()


def test_an_ended_activation_touches_no_computer(site: Site) -> None:
    deactivate(site.session, [site.activation.id], now=site.wire.clock(), actor="admin")
    site.session.commit()
    assert site.cancels() == ()


def test_who_starts_again_is_told_to_drop_the_older_attempt(site: Site) -> None:
    site.wire.clock.advance(hours=1)
    chosen = Selection(device_ids=[site.pc.device_id])
    target = str(site.activation.package_id)
    assigning.assign(site.session, target, chosen, actor="b", now=site.wire.clock())
    site.session.commit()
    reply = site.wire.prolog(site.pc, OURS)
    assert reply.tranche is not None
    assert reply.tranche.cancels == ((reply.offers[0].package_id, ATTEMPT),)
    assert (reply.offers[0].attempt or 0) > ATTEMPT
    assert withdrawing.withdrawn_from(site.session, site.pc.id) == [], "it is there again"


def test_ocs_s_agents_never_see_any_of_it(site: Site) -> None:
    site.pc.agent, site.pc.agent_key = UNIX, UNIX.casefold()
    site.session.commit()
    before = site.wire.say(Prolog(site.pc.device_id), UNIX)
    site.unassign()
    after = site.wire.say(Prolog(site.pc.device_id), UNIX)
    assert b"TRANCHE" not in before + after
    assert b"CANCEL" not in before + after
    assert b"X_" not in before + after
    assert site.session.scalar(select(func.count()).select_from(Withdrawal)) == 0
    assert len(site.wire.prolog(site.pc, UNIX).offers) == 0


def test_a_computer_whose_agent_was_replaced_by_ocs_s_is_told_nothing(site: Site) -> None:
    site.unassign()
    reply = site.wire.say(Prolog(site.pc.device_id), UNIX)
    assert b"CANCEL" not in reply
    assert len(site.cancels()) == 1


# Retention.


def test_the_sweep_keeps_what_is_young_and_what_is_under_way(site: Site) -> None:
    ended = make.make_assignment(site.session, site.pc, status="SUCCESS", attempt=ATTEMPT + 1)
    activation = site.session.get(Activation, ended.activation_id)
    assert activation is not None
    site.take(site.event(1), event(activation, 2, attempt=ATTEMPT + 1, state="DONE"))
    site.wire.set(EVENTS_DAYS="10")
    site.session.commit()
    assert sweep_events(site.session, START + timedelta(days=9)) == []
    (said,) = sweep_events(site.session, START + timedelta(days=11))
    assert said == "events of agents older than 10 days: 1 removed"
    assert [each.package_id for each in site.rows] == [site.activation.package_id]
    site.unassign()
    said_now = sweep_events(site.session, START + timedelta(days=11))
    assert len(said_now) == 2
    assert site.rows == []


def test_the_sweep_takes_any_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(10):
        row = make.make_assignment(site.session, site.pc, status="SUCCESS", attempt=number + 1)
        activation = site.session.get(Activation, row.activation_id)
        assert activation is not None
        site.take(event(activation, number, attempt=number + 1))
    assert len(site.rows) == 10
    site.session.commit()
    sweep_events(site.session, START + timedelta(days=91))
    assert site.rows == []


# X_ATTEMPT.


def test_an_attempt_is_never_given_twice(site: Site) -> None:
    chosen = Selection(device_ids=[site.pc.device_id])
    target = str(site.activation.package_id)
    device_id = site.pc.device_id
    given = [ATTEMPT]

    def assign() -> None:
        assigning.assign(site.session, target, chosen, actor="b", now=site.wire.clock())
        site.session.commit()
        attempt = site.wire.prolog(device_id, OURS).offers[0].attempt
        assert attempt is not None
        given.append(attempt)

    for _ in range(3):  # in the same second
        assign()
    site.unassign()  # cleared
    assign()
    site.session.connection().exec_driver_sql("DELETE FROM computer")  # deleted, and back
    site.session.commit()
    site.pc = make.make_computer(site.session, device_id=device_id, agent=OURS)
    assign()
    site.wire.report(site.pc, site.activation, "ERR_TIMEOUT", given[-1])
    assigning.assign_again(
        site.session, site.activation.package_id, [site.pc.id], actor="x", now=site.wire.clock()
    )
    site.session.commit()
    attempt = site.wire.prolog(site.pc, OURS).offers[0].attempt
    assert attempt is not None
    given.append(attempt)
    site.session.connection().exec_driver_sql("DELETE FROM allocation")  # an old backup
    site.session.commit()
    site.wire.clock.advance(hours=1)
    assign()
    assert given == sorted(set(given))
