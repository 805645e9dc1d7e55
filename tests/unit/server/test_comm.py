"""POST /ocsinventory itself: who may speak, how refusals read, what happens when messages meet."""

import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog
from deploy_agent.wire.replies import PrologReply
from deploy_agent.wire.sections import Section
from deploy_server.services.settings import set_setting
from deploy_server.storage import turns
from deploy_server.storage.database import session_factory
from deploy_server.storage.models import Assignment, Computer, Counter, Report
from deploy_server.web import wire
from deploy_server.web.app import create_app
from deploy_server.web.database import db
from tests.support import factories as make
from tests.support.apps import OCS, OURS, Site, make_site
from tests.support.clock import START

PC = "pc-2026-01-02-03-04-05"
PROLOG = zlib.compress(Prolog(PC).to_bytes())
RESULT = zlib.compress(DownloadReport(PC, "1800000001", "SUCCESS").to_bytes())


@pytest.fixture
def site(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Site]:
    with make_site(tmp_path / "data", database_url, session_factory(engine)) as made:
        yield made


@pytest.fixture
def http(site: Site) -> Iterator[FlaskClient]:
    """The process that answers plain HTTP."""
    app = create_app(site.config, scheme="http", clock=site.clock)
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


def setting(site: Site, name: str, value: str) -> None:
    with site.sessions() as session, session.begin():
        set_setting(session, name, value, actor="test", now=START)


def is_line(text: bytes) -> bool:
    return text.endswith(b"\n") and text.count(b"\n") == 1


@pytest.mark.parametrize(
    "user_agent",
    [
        OCS,
        OURS,
        "OCS-NG_WINDOWS_AGENT_v99.0.0.0",
        "OCS-NG_Android_agent_v2",
        "FusionInventory-Agent_v2.6",
        "GLPI-Agent_v1.11",
    ],
)
def test_agents_are_known_by_their_user_agent(site: Site, user_agent: str) -> None:
    assert site.post(PROLOG, user_agent).status_code == 200


@pytest.mark.parametrize("user_agent", ["", "curl/8", "Mozilla/5.0 OCS-NG_", "x" * 5000])
def test_others_are_refused_and_told_how_to_be_let_in(site: Site, user_agent: str) -> None:
    answer = site.post(PROLOG, user_agent)
    assert answer.status_code == 400
    assert b"AGENTS_ALLOWED" in answer.data
    assert is_line(answer.data)


def test_a_setting_lets_more_agents_in(site: Site) -> None:
    setting(site, "AGENTS_ALLOWED", "# ours\nMyAgent/*\nExact 1.0\n\n")
    statuses = {
        name: site.post(PROLOG, name).status_code
        for name in ("MyAgent/3 (x)", "Exact 1.0", "myagent/3", "Exact 1.0.1", "# ours", "")
    }
    assert statuses == {
        "MyAgent/3 (x)": 200, "Exact 1.0": 200, "myagent/3": 400, "Exact 1.0.1": 400,
        "# ours": 400, "": 400,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_agents_post(site: Site, method: str) -> None:
    answer = site.client.open("/ocsinventory", method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_slash_at_the_end_is_no_other_place(site: Site) -> None:
    answer = site.client.post("/ocsinventory/", data=PROLOG, headers={"User-Agent": OCS})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"garbage", 400, b"neither zlib, gzip nor XML"),
        (b"", 400, b"empty"),
        (zlib.compress(b"<REQUEST/>"), 400, b"DEVICEID"),
        (b"<!DOCTYPE a><REQUEST/>", 400, b"DOCTYPE"),
        (zlib.compress(b"x" * (17 * 1024**2)), 413, b"longer than"),
    ],
)
def test_a_refusal_is_one_line_that_says_why(
    site: Site, body: bytes, status: int, words: bytes
) -> None:
    answer = site.post(body)
    assert answer.status_code == status
    assert words in answer.data
    assert is_line(answer.data)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_body_that_is_announced_too_long_is_not_read(site: Site) -> None:
    answer = site.client.post(
        "/ocsinventory",
        headers={"User-Agent": OCS},
        data=b"x",
        environ_overrides={"CONTENT_LENGTH": str(10**12)},
    )
    assert answer.status_code == 413


# Plain HTTP


def test_plain_http_is_refused_counted_and_says_how(site: Site, http: FlaskClient) -> None:
    for _ in range(3):
        site.clock.advance(minutes=1)
        answer = http.post("/ocsinventory", data=PROLOG, headers={"User-Agent": OCS})
        assert answer.status_code == 403
    assert b"https://" in answer.data
    assert b"AGENTS_OVER_HTTP 1" in answer.data
    with site.sessions() as session:
        counter = session.scalars(select(Counter)).one()
    assert (counter.name, counter.value) == ("agents_over_http_refused", 3)
    assert counter.last_at == site.clock()


def test_plain_http_is_answered_where_a_setting_allows_it(site: Site, http: FlaskClient) -> None:
    setting(site, "agents_over_http", "on")
    answer = http.post("/ocsinventory", data=PROLOG, headers={"User-Agent": OCS})
    assert answer.status_code == 200
    assert PrologReply.parse(zlib.decompress(answer.data)).send_inventory


# Messages that meet


def at_once(number: int, do: Callable[[int], object]) -> list[object]:
    """What ``do`` returns when it is called ``number`` times at the same moment."""
    barrier = threading.Barrier(number)

    def run(index: int) -> object:
        barrier.wait()
        return do(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def inventory(device_id: str, *sections: Section, **fields: object) -> bytes:
    return zlib.compress(Inventory(device_id, tuple(sections), **fields).to_bytes())


def software(number: int) -> list[Section]:
    names = [f"tool-{each}" for each in range(number, number + 30)]
    return [Section("SOFTWARES", (("NAME", name), ("VERSION", "1"))) for name in names]


def test_inventories_of_one_new_computer_at_once_make_one_computer(site: Site) -> None:
    hardware = Section("HARDWARE", (("NAME", "pc"),))
    statuses = at_once(
        8, lambda index: site.post(inventory(PC, hardware, *software(index % 2))).status_code
    )
    assert statuses == [200] * 8
    with site.sessions() as session:
        assert session.scalars(select(Computer.name)).all() == ["pc"]


def test_inventories_of_many_computers_at_once_share_their_software(site: Site) -> None:
    def send(index: int) -> int:
        own = f"pc{index % 4}-2026-01-02-03-04-05"
        return site.post(inventory(own, *software(index % 3), history=("1800000001",))).status_code

    for _ in range(3):
        assert at_once(8, send) == [200] * 8


def test_a_rename_and_the_old_id_at_once(site: Site) -> None:
    site.post(inventory(PC, Section("HARDWARE", (("NAME", "pc"),))))
    new = "new-2026-05-06-07-08-09"

    def send(index: int) -> int:
        message = inventory(new, old_device_id=PC) if index % 2 else inventory(PC)
        return site.post(message).status_code

    assert at_once(6, send) == [200] * 6


def test_results_that_race_with_contacts_are_never_lost(site: Site) -> None:
    with site.sessions() as session, session.begin():
        pc = make.make_computer(session, device_id=PC)
        activations = [make.make_activation(session) for _ in range(4)]
        for activation in activations:
            make.make_assignment(session, pc, activation)
        group = make.make_group(session, pc)
        shared = make.make_activation(session)
        make.make_group_assignment(session, group, shared)
        ids = [activation.package_id for activation in activations]

    def send(index: int) -> int:
        if index % 2:
            return site.post(PROLOG).status_code
        report = DownloadReport(PC, str(ids[index // 2]), "SUCCESS")
        return site.post(zlib.compress(report.to_bytes())).status_code

    assert at_once(8, send) == [200] * 8
    with site.sessions() as session:
        rows = session.execute(select(Assignment.package_id, Assignment.status))
        statuses = {row[0]: row[1] for row in rows}
        assert session.scalar(select(func.count()).select_from(Report)) == 4
    assert statuses == {**dict.fromkeys(ids, "SUCCESS"), shared.package_id: "NOTIFIED"}


def test_the_same_result_at_once_is_one_result(site: Site) -> None:
    with site.sessions() as session, session.begin():
        pc = make.make_computer(session, device_id=PC)
        activation = make.make_activation(session)
        make.make_assignment(session, pc, activation, status="NOTIFIED")
    report = DownloadReport(PC, str(activation.package_id), "ERR_TIMEOUT").to_bytes()
    assert at_once(8, lambda _: site.post(zlib.compress(report)).status_code) == [200] * 8
    with site.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Report)) == 1


def failing(error: Exception, times: int) -> Callable[..., bytes]:
    left = [error] * times

    def answer(*_: object, **__: object) -> bytes:
        if left:
            raise left.pop()
        return b"<REPLY/>"

    return answer


@pytest.mark.parametrize(("times", "status"), [(turns.TRIES - 1, 200), (turns.TRIES, 503)])
def test_a_message_that_met_another_is_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, times: int, status: int
) -> None:
    error = IntegrityError("INSERT", {}, Exception("unique"))
    monkeypatch.setattr(wire, "answer", failing(error, times))
    assert site.post(RESULT).status_code == status


def test_a_database_that_is_away_is_not_asked_again_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OperationalError("SELECT", {}, Exception("database is locked"))
    monkeypatch.setattr(wire, "answer", failing(error, 1))
    answer = site.post(RESULT)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/plain")
