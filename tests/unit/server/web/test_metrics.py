"""/metrics: who may read it, and that it counts what happened, in a form Prometheus reads."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from deploy_agent.wire.envelope import Envelope, pack
from deploy_agent.wire.messages import DownloadReport, Prolog
from deploy_server.config import ServerConfig
from deploy_server.storage.database import session_factory
from deploy_server.web.app import create_app
from deploy_server.web.board import ROWS, Board
from deploy_server.web.database import db
from tests.support import factories as make
from tests.support.apps import OCS, Site, make_site
from tests.support.console import BASE


@pytest.fixture
def site(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Site]:
    with make_site(tmp_path / "data", database_url, session_factory(engine)) as site:
        yield site


@pytest.fixture
def app() -> Iterator[Callable[..., Flask]]:
    """More applications; their connections go with the test."""
    made: list[Flask] = []

    def make_app(config: ServerConfig, **options: Any) -> Flask:
        made.append(create_app(config, **options))
        return made[-1]

    yield make_app
    for each in made:
        with each.app_context():
            db.engine.dispose()


def samples(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    answer = client.get("/metrics", base_url=BASE)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_kind_and_status(site: Site) -> None:
    device = "pc-2026-01-02-03-04-05"
    prolog = pack(Prolog(device).to_bytes(), Envelope.ZLIB)
    report = pack(DownloadReport(device, "1800000001", "SUCCESS").to_bytes(), Envelope.ZLIB)
    for body in (prolog, prolog, report):
        assert site.post(body).status_code == 200
    assert site.post(b"nonsense").status_code == 400
    assert site.client.get("/download/1800000001/1800000001-1", base_url=BASE).status_code == 404
    assert site.client.get("/healthz", base_url=BASE).status_code == 200
    found = samples(site.client)
    assert found["tranche_requests_total", "prolog", "200"] == 2
    assert found["tranche_requests_total", "report", "200"] == 1
    assert found["tranche_requests_total", "refused", "400"] == 1
    assert found["tranche_requests_total", "fragment", "404"] == 1
    assert found["tranche_requests_total", "health", "200"] == 1
    assert found["tranche_request_seconds_count", "prolog"] == 2
    assert found["tranche_request_seconds_bucket", "prolog", "+Inf"] == 2
    assert found["tranche_request_seconds_sum", "prolog"] > 0
    assert found["tranche_sent_bytes_total", "prolog"] > 100
    assert found["tranche_contacts_waiting",] == 0


def test_rows_are_counted(site: Site) -> None:
    with site.sessions() as session, session.begin():
        now = site.clock.now()
        make.make_computer(session, last_contact=None)
        for status in ("SUCCESS", "ERR_BAD_DIGEST", "ERR_EXIT_CODE_77", "made up by an agent"):
            make.make_assignment(session, status=status, since=now)
    found = samples(site.client)
    assert found["tranche_database_up",] == 1
    assert found["tranche_computers", "never"] == 1
    assert found["tranche_assignments", "success"] == 1
    assert found["tranche_assignments", "error"] == 3
    assert found["tranche_assignments", "waiting"] == 0
    codes = {name[1]: value for name, value in found.items() if name[0] == "tranche_failures"}
    assert codes == {"ERR_BAD_DIGEST": 1, "ERR_EXIT_CODE": 1, "other": 1}
    assert found["tranche_packages",] == 4
    assert found["tranche_last_backup_timestamp_seconds",] == 0
    assert found["tranche_database_size_bytes",] > 10_000
    assert found["tranche_disk_free_bytes",] > 0
    assert found["tranche_disk_reserved_bytes",] <= 1024**3


def ask(site: Site, address: str, **headers: str) -> int:
    return site.client.get(
        "/metrics", base_url=BASE, headers=headers, environ_base={"REMOTE_ADDR": address}
    ).status_code


def test_strangers_learn_nothing(site: Site) -> None:
    assert ask(site, "::1") == 200
    assert ask(site, "192.0.2.1") == 403
    # A proxy on this machine that nobody told us to trust: everybody comes from its address.
    assert ask(site, "127.0.0.1", **{"X-Forwarded-For": "127.0.0.1"}) == 403
    assert ask(site, "192.0.2.1", Authorization="Bearer ") == 403
    assert ask(site, "192.0.2.1", Authorization="Bearer guess") == 403
    site.config.metrics_token_file.write_text("only Prometheus knows this\n")
    assert ask(site, "192.0.2.1", Authorization="Bearer guess") == 403
    assert ask(site, "192.0.2.1", Authorization="Bearer only Prometheus knows this") == 200


def test_plain_http_has_none_of_it(site: Site, app: Callable[..., Flask]) -> None:
    client = app(site.config, scheme="http").test_client()
    for path in ("/metrics", "/readyz", "/healthz"):
        assert client.get(path).status_code == 404


def test_the_database_may_be_away(site: Site, app: Callable[..., Flask]) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/x"
    client = app(replace(site.config, database_url=url)).test_client()
    found = samples(client)
    assert found["tranche_database_up",] == 0
    assert ("tranche_packages",) not in found
    answer = client.get("/readyz", base_url=BASE)
    assert (answer.status_code, "database: not ready" in answer.text) == (503, True)
    assert "127.0.0.1" not in answer.text
    assert client.get("/healthz", base_url=BASE).status_code == 200
    only = client.get("/readyz?face=files", base_url=BASE)
    assert (only.status_code, only.text) == (200, "packages: ok\n")


def test_each_face_is_ready_by_itself(site: Site, app: Callable[..., Flask]) -> None:
    client = site.client
    assert client.get("/readyz", base_url=BASE).text == "database: ok\npackages: ok\nstorage: ok\n"
    site.config.download.rmdir()
    assert client.get("/readyz?face=comm", base_url=BASE).status_code == 200
    assert client.get("/readyz?face=files", base_url=BASE).status_code == 503
    assert client.get("/readyz?face=nose", base_url=BASE).status_code == 400
    alone = app(site.config, faces=("comm",)).test_client()
    assert alone.get("/readyz", base_url=BASE).text == "database: ok\n"
    assert alone.get("/readyz?face=admin", base_url=BASE).status_code == 404


def test_several_processes_count_together() -> None:
    board = Board()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            row = board.claim()
            for _ in range(1000):
                row.count("prolog", 200, 0.002, 10)
            row.wait(5)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    (prolog,) = (each for each in board.counted() if each.kind == "prolog")
    assert prolog.statuses == {200: 3000}
    assert prolog.sent == 30_000
    assert prolog.seconds == pytest.approx(6)
    assert sum(prolog.classes) == prolog.classes[2] == 3000
    # What a process had to write that has ended is not waiting any more.
    assert board.waiting() == 0
    board.claim().wait(7)
    assert board.waiting() == 7


def test_more_processes_than_rows_lose_nothing() -> None:
    board = Board()
    for _ in range(ROWS + 3):
        board.claim().count("info", 200, 100, 1)
    (info,) = (each for each in board.counted() if each.kind == "info")
    assert info.statuses == {200: ROWS + 3}
    assert info.classes[-1] == ROWS + 3


def test_a_trusted_proxy_names_who_asks(site: Site, app: Callable[..., Flask]) -> None:
    config = replace(
        site.config, trusted_proxies=("127.0.0.1", "10.0.0.0/8"), metrics_allow=("192.0.2.0/24",)
    )
    client = app(config).test_client()

    def ask(address: str, said: str) -> int:
        headers = {"X-Forwarded-For": said, "User-Agent": OCS}
        place = {"REMOTE_ADDR": address}
        return client.get(
            "/metrics", base_url=BASE, headers=headers, environ_base=place
        ).status_code

    assert ask("127.0.0.1", "192.0.2.7") == 200
    assert ask("127.0.0.1", "192.0.2.7, 10.1.2.3") == 200
    # Whoever writes the header himself stands before those who are trusted.
    assert ask("127.0.0.1", "192.0.2.7, 198.51.100.1") == 403
    assert ask("198.51.100.1", "192.0.2.7") == 403
    assert ask("127.0.0.1", "") == 403
    assert ask("127.0.0.1", "nonsense") == 403
