"""/api/v1/agent over the wire: who may speak, what is taken, how refusals read; never 500."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from deploy_agent.wire.events import EVENTS_BYTES_MAX, EVENTS_MAX, EVENTS_PATH, RETRY_PATH
from deploy_server.storage.database import session_factory
from deploy_server.storage.models import AgentEvent, Assignment
from deploy_server.web.app import create_app
from deploy_server.web.database import db
from tests.support import factories as make
from tests.support.apps import OCS, OURS, Site, make_site

PC = "pc-2026-01-02-03-04-05"
PACKAGE = "1799999999"
ATTEMPT = 1_795_000_000


@pytest.fixture
def site(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Site]:
    with make_site(tmp_path / "data", database_url, session_factory(engine)) as made:
        with made.sessions() as session, session.begin():
            package = make.make_package(session, id=int(PACKAGE))
            computer = make.make_computer(session, device_id=PC, agent=OURS)
            make.make_assignment(
                session,
                computer,
                make.make_activation(session, package),
                status="NOTIFIED",
                attempt=ATTEMPT,
            )
        yield made


def post(site: Site, path: str, body: Any, user_agent: str = OURS) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"User-Agent": user_agent, "Content-Type": "application/json"}
    return site.client.post(path, data=data, headers=headers)


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": str(UUID(int=number)),
        "package": PACKAGE,
        "attempt": ATTEMPT,
        "at": "2026-11-21T10:15:01Z",
        "state": "DONE",
        "reason": "ended with ERR_EXIT_CODE_3",
        "done": 3,
        "total": 3,
        "exit_code": 3,
        "output": "no room\n",
        "truncated": False,
        **changes,
    }


def events(*sent: Any, device_id: Any = PC) -> dict[str, Any]:
    return {"device_id": device_id, "events": list(sent)}


def fail(site: Site, status: str = "ERR_EXIT_CODE_3", status_class: int = 3) -> None:
    with site.sessions() as session, session.begin():
        row = session.scalars(select(Assignment)).one()
        row.status, row.status_class = status, status_class


def row(site: Site) -> Assignment:
    with site.sessions() as session:
        return session.scalars(select(Assignment)).one()


# Events.


def test_events_are_taken_and_named(site: Site) -> None:
    answer = post(site, EVENTS_PATH, events(event(1), event(2)))
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json == {"accepted": [str(UUID(int=1)), str(UUID(int=2))]}
    with site.sessions() as session:
        assert [each.output for each in session.scalars(select(AgentEvent))] == ["no room\n"] * 2
    assert row(site).status == "NOTIFIED"


def test_events_again_are_taken_again(site: Site) -> None:
    for _ in range(2):
        answer = post(site, EVENTS_PATH, events(event(1)))
        assert answer.json == {"accepted": [str(UUID(int=1))]}
    with site.sessions() as session:
        assert len(session.scalars(select(AgentEvent)).all()) == 1


def test_nothing_is_a_message_too(site: Site) -> None:
    assert post(site, EVENTS_PATH, events()).json == {"accepted": []}


@pytest.mark.parametrize("path", [EVENTS_PATH, RETRY_PATH])
@pytest.mark.parametrize("user_agent", ["", "curl/8", "Mozilla/5.0 OCS-NG_"])
def test_others_than_agents_are_refused(site: Site, path: str, user_agent: str) -> None:
    answer = post(site, path, events(event(1)), user_agent)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"] == "BadMessage"
    assert "AGENTS_ALLOWED" in answer.json["hint"]


@pytest.mark.parametrize("path", [EVENTS_PATH, RETRY_PATH])
def test_plain_http_has_no_such_place(site: Site, path: str) -> None:
    app = create_app(site.config, scheme="http", clock=site.clock)
    headers = {"User-Agent": OURS}
    answer = app.test_client().post(path, json=events(event(1)), headers=headers)
    assert answer.status_code == 404
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [EVENTS_PATH, RETRY_PATH])
def test_other_methods_are_405_as_json(site: Site, path: str, method: str) -> None:
    answer = site.client.open(path, method=method, headers={"User-Agent": OURS})
    assert answer.status_code == 405
    assert answer.json is not None


HOSTILE: list[Any] = [
    b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b"7", b"[" * 100_000, b'{"a":' * 50_000,
    b"9" * 100_000, b"NaN", b"<REQUEST/>", b"x\x9c" + b"\0" * 100,
    {}, {"events": []}, {"device_id": PC}, {"device_id": PC, "events": None},
    events(device_id=None), events(device_id=[PC]), events(device_id="x" * 5000),
    events(device_id="a\nb-2026-01-02-03-04-05"), events(device_id="\ud800-2026-01-02-03-04-05"),
    events(None), events([]), events("x"), events({}),
    events(event(state="x" * 10_000)), events(event(state={"a": 1})),
    events(event(attempt=2**63)), events(event(attempt=1e300)), events(event(done=-1)),
    events(event(exit_code="3")), events(event(at="0000-00-00")), events(event(at="9" * 5000)),
    events(event(package="1; DROP TABLE agent_event")), events(event(event_id="\0" * 36)),
    events(event(output={"x": "y"})), events(event(reason=["x"])),
    events(event(1), event(2, state=None)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
@pytest.mark.parametrize("path", [EVENTS_PATH, RETRY_PATH])
def test_what_makes_no_sense_is_refused_with_its_reason(site: Site, path: str, number: int) -> None:
    answer = post(site, path, HOSTILE[number])
    if path == RETRY_PATH:
        assert answer.status_code in (400, 413)
    else:
        assert answer.status_code == 400
    assert answer.json is not None
    assert set(answer.json) == {"error", "message", "hint"}
    assert all(answer.json.values())
    with site.sessions() as session:
        assert session.scalars(select(AgentEvent)).all() == []


@pytest.mark.parametrize(
    "odd",
    [
        {"reason": "a\0b", "output": "\0\x1b[2J\ud800\u202e"},
        {"reason": "r" * 100_000, "output": "o" * 500_000},
        {"attempt": None},
        {"package": "9" * 20},
        {"done": 2**53, "total": 0, "exit_code": -(2**31)},
        {"at": "1970-01-01T00:00:00+00:00"},
        {"at": "9998-12-31T23:59:59.999999-23:59"},
        {"more": {"x": [1, 2, {"y": None}]}},
    ],
)
def test_what_is_odd_but_well_formed_is_taken(site: Site, odd: dict[str, Any]) -> None:
    assert post(site, EVENTS_PATH, events(event(1, **odd))).status_code == 200


def test_too_much_is_413(site: Site) -> None:
    many = events(*(event(number) for number in range(EVENTS_MAX + 1)))
    answer = post(site, EVENTS_PATH, many)
    assert answer.status_code == 413
    assert answer.json is not None
    assert str(EVENTS_MAX) in answer.json["message"]
    answer = post(site, EVENTS_PATH, b" " * (EVENTS_BYTES_MAX + 1))
    assert answer.status_code == 413
    assert answer.json is not None
    assert str(EVENTS_BYTES_MAX) in answer.json["message"]


def test_as_many_as_may_be_are_taken(site: Site) -> None:
    many = events(*(event(number) for number in range(EVENTS_MAX)))
    assert post(site, EVENTS_PATH, many).status_code == 200


# Another attempt.


def test_what_failed_waits_again(site: Site) -> None:
    fail(site)
    answer = post(site, RETRY_PATH, {"device_id": PC, "package": PACKAGE})
    assert answer.status_code == 200
    found = row(site)
    assert answer.json == {"attempt": found.attempt}
    assert found.attempt > ATTEMPT
    assert (found.status, found.assigned_by) == ("WAITING", f"its computer {PC}")


@pytest.mark.parametrize(("status", "status_class"), [("NOTIFIED", 1), ("SUCCESS", 2)])
def test_what_did_not_fail_is_409(site: Site, status: str, status_class: int) -> None:
    fail(site, status, status_class)
    answer = post(site, RETRY_PATH, {"device_id": PC, "package": PACKAGE})
    assert answer.status_code == 409
    assert answer.json is not None
    assert status in answer.json["message"]
    assert row(site).attempt == ATTEMPT


def test_an_ended_activation_is_409(site: Site) -> None:
    fail(site)
    with site.sessions() as session, session.begin():
        session.scalars(select(Assignment)).one().activation.ended_at = site.clock()
    answer = post(site, RETRY_PATH, {"device_id": PC, "package": PACKAGE})
    assert answer.status_code == 409
    assert row(site).status == "ERR_EXIT_CODE_3"


def test_what_was_taken_back_is_404(site: Site) -> None:
    fail(site)
    with site.sessions() as session, session.begin():
        session.scalars(select(Assignment)).one().cleared_at = site.clock()
    answer = post(site, RETRY_PATH, {"device_id": PC, "package": PACKAGE})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("device_id", "package"),
    [(PC, "1799999998"), (PC, "9" * 20), (PC, "0"), ("other-2026-01-02-03-04-05", PACKAGE)],
)
def test_what_is_not_assigned_is_404(site: Site, device_id: str, package: str) -> None:
    answer = post(site, RETRY_PATH, {"device_id": device_id, "package": package})
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["error"] == "NotFound"


def test_an_agent_of_ocs_s_may_speak_here_as_there(site: Site) -> None:
    assert post(site, EVENTS_PATH, events(event(1)), OCS).status_code == 200
