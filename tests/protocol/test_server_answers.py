"""Our server answers the recorded requests with the recorded replies, compared as trees.

Each case puts the database into the state that the README of the recordings describes.
"""

import gzip
import zlib
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.replies import InventoryReply
from deploy_server.services.settings import set_setting
from deploy_server.storage.models import Assignment, Computer, DownloadHistory
from tests.support import factories as make
from tests.support.apps import OURS, Site
from tests.support.clock import START
from tests.support.vectors import CONSTRUCTED, Exchange, constructed, exchanges, posts, tree

HOST_A = "host-a-2026-11-21-10-24-07"
HOST_B = "host-b-2026-01-02-03-04-05"
LOCATIONS = {
    "info_url": "127.0.0.1:8590/download",
    "fragment_url": "127.0.0.1:8190/download",
}
FAST = {"FRAG": 0, "CYCLE": 0, "PERIOD": 0}
SLOW = {"FRAG": 1, "CYCLE": 1, "PERIOD": 1}


def settings(session: Session, latencies: dict[str, int], **others: str) -> None:
    values = {f"DOWNLOAD_{name}_LATENCY": str(value) for name, value in latencies.items()}
    # The recorded server asked for an inventory at every contact.
    for name, value in {"FREQUENCY": "0", **values, **others}.items():
        set_setting(session, name, value, actor="test", now=START)


def known(session: Session) -> Computer:
    return make.make_computer(session, device_id=HOST_A, name="host-a")


def assigned(session: Session, *package_ids: int, **values: object) -> None:
    computer = known(session)
    for package_id in package_ids:
        package = make.make_package(session, id=package_id)
        activation = make.make_activation(session, package, **LOCATIONS)
        make.make_assignment(session, computer, activation, **values)


def in_history(session: Session) -> None:
    assigned(session, 1_800_000_009)
    computer = session.scalars(select(Computer)).one()
    session.add(DownloadHistory(computer_id=computer.id, package_id=1_800_000_009))


State = Callable[[Session], object]
PROLOGS: dict[str, list[State]] = {
    "agent-01-prolog-new-device": [lambda s: settings(s, SLOW)],
    "agent-03-prolog-one-package": [
        lambda s: settings(s, SLOW),
        lambda s: assigned(s, 1_800_000_001),
    ],
    "agent-24-prolog-already-in-history": [lambda s: settings(s, FAST), in_history],
    "agent-26-prolog-forced-package": [
        lambda s: settings(s, FAST),
        lambda s: assigned(s, 1_800_000_009, force=True),
        lambda s: s.add(
            DownloadHistory(
                computer_id=s.scalars(select(Computer.id)).one(), package_id=1_800_000_009
            )
        ),
    ],
    "probe-prolog-3-packages": [
        lambda s: settings(s, FAST),
        lambda s: assigned(s, 1_800_000_001, 1_800_000_002, 1_800_000_003),
    ],
    "probe-prolog-download-off": [lambda s: settings(s, FAST, DOWNLOAD="0"), known],
    "probe-prolog-frequency-minus1": [
        lambda s: settings(s, FAST, FREQUENCY="-1"),
        lambda s: assigned(s, 1_800_000_001),
    ],
    "probe-prolog-known": [lambda s: settings(s, FAST), known],
    "probe-prolog-windows-agent": [lambda s: settings(s, FAST), known],
}


def prepare(site: Site, states: list[State]) -> None:
    with site.sessions() as session, session.begin():
        for state in states:
            state(session)


def test_every_recorded_prolog_is_answered_here() -> None:
    assert {each.name for each in posts() if "-prolog-" in each.name} == set(PROLOGS)


@pytest.mark.parametrize("name", PROLOGS)
def test_a_recorded_prolog_gets_the_recorded_reply(site: Site, name: str) -> None:
    exchange = Exchange(name)
    prepare(site, PROLOGS[name])
    answer = site.post(exchange.request.body, exchange.request.headers["user-agent"])
    assert answer.status_code == 200
    assert tree(zlib.decompress(answer.data)) == tree(exchange.response.xml)
    assert answer.headers["Content-Type"] == exchange.response.headers["content-type"]
    assert answer.headers["Cache-Control"] == exchange.response.headers["cache-control"]
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_an_offer_notifies(site: Site) -> None:
    prepare(site, PROLOGS["agent-03-prolog-one-package"])
    site.post(Exchange("agent-03-prolog-one-package").request.body)
    with site.sessions() as session:
        assert session.scalars(select(Assignment.status)).all() == ["NOTIFIED"]


def test_what_history_has_is_marked_by_the_server(site: Site) -> None:
    prepare(site, PROLOGS["agent-24-prolog-already-in-history"])
    site.post(Exchange("agent-24-prolog-already-in-history").request.body)
    with site.sessions() as session:
        rows = session.scalars(select(Assignment.status)).all()
    assert rows == ["SUCCESS_ALREADY_IN_HISTORY"]


@pytest.mark.parametrize(
    ("squeeze", "loosen"),
    [(zlib.compress, zlib.decompress), (gzip.compress, gzip.decompress), (bytes, bytes)],
    ids=["zlib", "gzip", "plain"],
)
def test_a_reply_comes_back_the_way_its_request_came(
    sqlite_site: Site,
    squeeze: Callable[[bytes], bytes],
    loosen: Callable[[bytes], bytes],
) -> None:
    request = Exchange("agent-01-prolog-new-device").request.xml
    answer = sqlite_site.post(squeeze(request))
    assert loosen(answer.data).startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert answer.headers["Content-Type"] == "application/x-compressed"


@pytest.mark.parametrize(
    "exchange", [each for each in posts() if "-inventory-" in each.name], ids=str
)
def test_a_recorded_inventory_of_a_new_computer(site: Site, exchange: Exchange) -> None:
    """A tag that the agent sent is kept; the first inventory is never answered with another."""
    answer = site.post(exchange.request.body)
    assert answer.status_code == 200
    reply = zlib.decompress(answer.data)
    assert InventoryReply.parse(reply) == InventoryReply(None)
    with site.sessions() as session:
        computer = session.scalars(select(Computer)).one()
    assert computer.last_inventory == START
    assert computer.device_id.encode() in exchange.request.xml


@pytest.mark.parametrize(
    ("first", "second", "reply"),
    [
        ("probe-inventory-tag", "probe-inventory-tag", "probe-inventory-tag"),
        ("probe-inventory-tag", "probe-inventory-tag-changed", "probe-inventory-tag-changed"),
        (
            "agent-02-inventory-first",
            "agent-05-inventory-nosoftware",
            "agent-05-inventory-nosoftware",
        ),
        (
            "agent-05-inventory-nosoftware",
            "agent-23-inventory-with-history",
            "agent-23-inventory-with-history",
        ),
    ],
)
def test_the_server_s_tag_wins(site: Site, first: str, second: str, reply: str) -> None:
    site.post(Exchange(first).request.body)
    answer = site.post(Exchange(second).request.body)
    assert tree(zlib.decompress(answer.data)) == tree(Exchange(reply).response.xml)


@pytest.mark.parametrize(
    "exchange",
    [each for each in posts() if "-download-" in each.name and "prolog" not in each.name],
    ids=str,
)
def test_a_recorded_report_is_answered_with_nothing(site: Site, exchange: Exchange) -> None:
    """Known or not: an unknown package or computer is answered the same, and logged."""
    for prepared in ([], [lambda s: assigned(s, 1_800_000_001)]):
        prepare(site, prepared)
        answer = site.post(exchange.request.body)
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["Content-Length"] == "0"


def test_a_recorded_report_becomes_the_status(site: Site) -> None:
    prepare(site, [lambda s: assigned(s, 1_800_000_001, status="NOTIFIED")])
    site.post(Exchange("agent-11-download-success-0").request.body)
    with site.sessions() as session:
        assert session.scalars(select(Assignment.status)).all() == ["SUCCESS_0"]


#: The other shapes of a report, constructed (vectors/constructed/README.md), and what they say.
SHAPES = {
    "windows-download-success": "SUCCESS",
    "windows-download-exit-code": "EXIT_CODE_1603",
    "windows-download-exit-code-negative": "EXIT_CODE_-1073741510",
    "windows-download-reboot-required": "SUCCESS_REBOOT_REQUIRED",
    "windows-download-already-setup": "ERR_ALREADY_SETUP",
    "windows-download-too-many-try": "ERR_EXECUTE_TOO_MANY_TRY",
    "all-children-download": "ERR_EXIT_CODE_3",
    "download-without-err": "UNKNOWN_CODE",
}


def test_every_constructed_report_is_answered_here() -> None:
    assert {path.stem for path in constructed() if "download" in path.stem} == set(SHAPES)


@pytest.mark.parametrize(("name", "code"), SHAPES.items())
def test_every_shape_of_a_report_becomes_the_status(site: Site, name: str, code: str) -> None:
    document = (CONSTRUCTED / f"{name}.xml").read_bytes()
    device_id = "PC-WIN-2026-01-02-03-04-05" if name.startswith("windows") else HOST_B
    with site.sessions() as session, session.begin():
        computer = make.make_computer(session, device_id=device_id)
        activation = make.make_activation(session, make.make_package(session, id=1_800_000_001))
        make.make_assignment(session, computer, activation, status="NOTIFIED")
    answer = site.post(zlib.compress(document), "OCS-NG_WINDOWS_AGENT_v2.11.0.1")
    assert (answer.status_code, answer.data) == (200, b"")
    with site.sessions() as session:
        assert session.scalars(select(Assignment.status)).all() == [code]


@pytest.mark.parametrize("where", ["old-deviceid", "misplaced-old-deviceid"])
def test_a_renamed_windows_computer_keeps_what_it_was_given(site: Site, where: str) -> None:
    with site.sessions() as session, session.begin():
        computer = make.make_computer(session, device_id="PC-WIN-2026-01-02-03-04-05")
        activation = make.make_activation(session, make.make_package(session, id=1_800_000_001))
        make.make_assignment(session, computer, activation, status="NOTIFIED")
    document = (CONSTRUCTED / f"windows-inventory-{where}.xml").read_bytes()
    assert site.post(zlib.compress(document), "OCS-NG_WINDOWS_AGENT_v2.11.0.1").status_code == 200
    with site.sessions() as session:
        named = session.execute(select(Computer.device_id, Assignment.status).join(Assignment))
        assert named.all() == [("PC-NEU-2026-02-03-04-05-06", "NOTIFIED")]
        assert session.scalars(select(DownloadHistory.package_id)).all() == [1_800_000_001]


BAD = {
    "probe-bad-deviceid-form": 400,
    "probe-bad-get": 405,
    "probe-bad-not-zlib": 400,
    "probe-bad-unknown-query": 400,
}


def test_every_recorded_refusal_is_answered_here() -> None:
    assert {each.name for each in exchanges("probe-bad")} == set(BAD)


@pytest.mark.parametrize(("name", "status"), BAD.items())
def test_a_recorded_refusal_gets_our_answer(sqlite_site: Site, name: str, status: int) -> None:
    exchange = Exchange(name)
    answer = sqlite_site.client.open(
        "/ocsinventory",
        method=exchange.method,
        data=exchange.request.body,
        headers={"User-Agent": exchange.request.headers["user-agent"]},
    )
    assert answer.status_code == status
    assert answer.status_code != 500


def test_only_our_agents_see_our_extension(site: Site) -> None:
    prepare(site, PROLOGS["agent-03-prolog-one-package"])
    body = Exchange("agent-03-prolog-one-package").request.body
    legacy, ours = (
        zlib.decompress(site.post(body).data),
        zlib.decompress(site.post(body, OURS).data),
    )
    assert b"TRANCHE" not in legacy
    assert b"X_" not in legacy
    assert b"<NAME>TRANCHE</NAME>" in ours
    assert b"X_ATTEMPT=" in ours
