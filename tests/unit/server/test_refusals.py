"""Agents that are refused: answered as the protocol says, remembered with who and why."""

import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Prolog
from deploy_server.services import refusals
from deploy_server.services.settings import set_setting
from deploy_server.storage.database import session_factory
from deploy_server.storage.models import RefusedAgent
from tests.support import factories as make
from tests.support.apps import OCS, OURS, Site, make_site
from tests.support.clock import START

PC = "pc-2026-01-02-03-04-05"
PROLOG = zlib.compress(Prolog(PC).to_bytes())


@pytest.fixture
def site(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Site]:
    with make_site(tmp_path / "data", database_url, session_factory(engine)) as made:
        yield made


def setting(site: Site, name: str, value: str) -> None:
    with site.sessions() as session, session.begin():
        set_setting(session, name, value, actor="test", now=START)


def remembered(site: Site) -> list[tuple[str, str, int]]:
    with site.sessions() as session:
        return [(row.device_id, row.agent, row.count) for row in refusals.list_refusals(session)]


def test_an_old_agent_is_refused_and_remembered(site: Site) -> None:
    setting(site, "AGENTS_VERSIONS", "OCS-NG_unified_unix_agent* >= 99\n*Tranche/* >= 0.0.1")
    for _ in range(2):
        answer = site.post(PROLOG, OCS)
        assert answer.status_code == 400
        assert b"AGENTS_VERSIONS" in answer.data
    assert remembered(site) == [(PC, OCS, 2)]
    setting(site, "AGENTS_VERSIONS", "")
    assert site.post(PROLOG, OCS).status_code == 200


def test_a_known_computer_is_refused_too_and_its_row_stays_as_it_was(site: Site) -> None:
    with site.sessions() as session, session.begin():
        make.make_computer(session, device_id=PC, last_contact=START - timedelta(days=1))
    setting(site, "AGENTS_ONLY_LISTED", "1")
    setting(site, "AGENTS_ALLOWED", "*Tranche/*")
    assert site.post(PROLOG, OCS).status_code == 400
    with site.sessions() as session:
        found = refusals.refusal_of(session, PC)
    assert found is not None
    assert "AGENTS_ALLOWED" in found.why
    assert site.post(PROLOG, OURS).status_code == 200


def test_one_that_nobody_knows_is_remembered(site: Site) -> None:
    site.post(PROLOG, "curl/8")
    site.post(b"nothing", "curl/8")
    assert sorted(remembered(site)) == [("", "curl/8", 1), (PC, "curl/8", 1)]


def test_names_that_somebody_invents_fill_no_disk(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "ROWS_MAX", 2)
    for minute, number in enumerate((1, 2, 1, 3, 3, 3)):
        who = {"device_id": PC, "agent": f"x{number}" * 200, "remote": "", "why": "no"}
        now = START + timedelta(minutes=minute)
        refusals.remember(session, **who, now=now)  # type: ignore[arg-type]
    # And they keep nobody out who comes after them.
    found = [(row.agent[:2], row.count) for row in refusals.list_refusals(session)]
    assert found == [("x3", 3), ("x1", 2)]


def test_who_was_served_since_is_not_listed(session: Session) -> None:
    mine = make.make_computer(session, tag="LYON", last_contact=START)
    other = make.make_computer(session, tag="PARIS", last_contact=START)
    for number, device_id in enumerate((mine.device_id, other.device_id, "unknown")):
        later = START + timedelta(minutes=number)
        refusals.remember(
            session, device_id=device_id, agent="old", remote="192.0.2.7", why="no", now=later
        )
    lyon = refusals.list_refusals(session, perimeter=frozenset({"LYON"}))
    assert [row.computer_id for row in lyon] == [mine.id]
    mine.last_contact = START + timedelta(hours=1)
    session.flush()
    found = [row.device_id for row in refusals.list_refusals(session)]
    assert found == ["unknown", other.device_id]
    assert refusals.refusal_of(session, mine.device_id) is None
    session.commit()
    refusals.sweep_refusals(session, START + refusals.KEPT)
    assert session.scalar(select(func.count()).select_from(RefusedAgent)) == 3
    session.commit()
    refusals.sweep_refusals(session, START + refusals.KEPT + timedelta(minutes=1))
    assert session.scalar(select(func.count()).select_from(RefusedAgent)) == 2
