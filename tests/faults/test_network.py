"""What a network can do to a download, each thing by its name: no hang, no false success.

Transient faults make the agent wait and never end a package; definite ones are counted per file,
in a row, and the fifth ends it with the result that contract.md 4 names.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Protocol
from tests.support.certificates import Issued, issue
from tests.support.fault_proxy import Exchange, Fault, FaultProxy, answer
from tests.support.faults import (
    DRIPS,
    changed,
    compressed,
    cut,
    drip,
    flipped,
    length,
    page,
    says,
    stall,
    status,
)
from tests.support.networked import IMPATIENT, PACKAGE, Network, simulated
from tests.support.ports import free_port
from tests.support.simulator import QUICK
from tests.support.talking import LOCAL

FILES = {"info": f"/{PACKAGE}/info", "fragment": f"/{PACKAGE}/{PACKAGE}-2"}
MORE_THAN_FIVE = 7

TRANSIENT: dict[str, Fault] = {
    "closed without a word": cut("nothing", politely=True),
    "cut before the first byte": cut("nothing"),
    "cut in the status line": cut("status"),
    "cut in the headers": cut("headers"),
    "cut after the first byte": cut("first"),
    "cut in the body": cut("body"),
    "cut before the last byte": cut("last"),
    "ended in the body": cut("body", politely=True),
    "a length that is too long": length(+7),
    "a length far too long": length(10**15),
    "garbage": says(b"\x00\x01\xfe garbage\r\n" * 20, keep=False),
    "an SSH server": says(b"SSH-2.0-OpenSSH_9.2\r\n", keep=False),
    "407": status(407),
    "408": status(408),
    "429": status(429),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
}
SILENT: dict[str, Fault] = {
    "silence before the answer": stall("nothing"),
    "silence in the headers": stall("headers"),
    "silence after the first byte": stall("first"),
    "silence in the body": stall("body"),
    "silence before the last byte": stall("last"),
    **{f"drips: {where}": drip(where) for where in DRIPS},
}
REFUSED: dict[str, Fault] = {
    "404": status(404),
    "410": status(410),
    "403": status(403),
    "401": status(401),
    "304": status(304),
    "206": status(206),
    "a redirect in a circle": lambda exchange: status(302, Location=exchange.target)(exchange),
    "a redirect to nowhere": status(302),
    "a redirect to a file": status(301, Location="file:///etc/passwd"),
}
WRONG: dict[str, Fault] = {
    "a page": page(),
    "a page that says it is the file": page("application/octet-stream"),
    "nothing at all": changed(lambda body: b""),
    "compressed": changed(compressed, Content_Encoding="gzip"),
    "compressed without a word": changed(compressed),
    "a length that is too short": length(-7),
}


def over(network: Network) -> Callable[[], bool]:
    return lambda: network.server.status() not in ("WAITING", "NOTIFIED")


def fail(network: Network, file: str, *faults: Fault | None) -> FaultProxy:
    proxy = network.central if file == "info" else network.site
    proxy.fail(FILES[file], *faults)
    return proxy


def check_success(network: Network) -> None:
    assert network.server.codes == ["SUCCESS"]
    assert len(network.pc.runner.started) == 1
    assert network.pc.files() == set()


def check_failure(network: Network, code: str) -> None:
    assert network.server.codes == [code]
    assert network.pc.runner.started == []
    assert network.pc.files() == set()


# Transient: the agent waits, and never gives up.


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", TRANSIENT)
def test_waits(network: Network, name: str, file: str) -> None:
    network.offer()
    proxy = fail(network, file, *[TRANSIENT[name]] * MORE_THAN_FIVE, None)
    network.live(until=over(network))
    check_success(network)
    assert proxy.asked(FILES[file]) == MORE_THAN_FIVE + 1
    assert network.site.asked(f"{PACKAGE}-1") == 1, "what had come was fetched again"


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", SILENT)
def test_does_not_hang(network: Network, name: str, file: str) -> None:
    network.offer()
    network.limits = IMPATIENT
    fail(network, file, SILENT[name], None)
    network.live(until=over(network))
    check_success(network)


@pytest.mark.parametrize("file", FILES)
def test_a_package_that_nobody_answers_for_stays_and_rests(network: Network, file: str) -> None:
    network.offer()
    proxy = fail(network, file, TRANSIENT["503"])
    life = network.live(hours=12)
    assert network.server.codes == []
    assert proxy.asked(FILES[file]) < 12 * 4 + 20  # each quarter of an hour, sooner at first
    assert len(life.wakes) < 12 * 60 + 100


@pytest.mark.parametrize("file", FILES)
def test_no_connection_waits(network: Network, file: str) -> None:
    nobody = f"127.0.0.1:{free_port()}/download"
    place = {"info_loc": nobody} if file == "info" else {"pack_loc": nobody}
    network.offer(**place)
    network.live(hours=3)
    assert network.server.codes == []
    record = network.pc.store.read(PACKAGE)
    assert record is not None
    assert "connection refused" in record.problem
    assert record.faults == {}


@pytest.mark.parametrize("file", FILES)
def test_an_unknown_host_waits(network: Network, file: str) -> None:
    nobody = "no-such-host.invalid/download"
    network.offer(**({"info_loc": nobody} if file == "info" else {"pack_loc": nobody}))
    network.live(hours=1)
    assert network.server.codes == []
    record = network.pc.store.read(PACKAGE)
    assert record is not None
    assert "no such host name" in record.problem


@pytest.mark.parametrize("text", ["7200", "Sat, 21 Nov 2026 12:00:00 GMT"])
@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_kept_to_by_every_package(network: Network, code: int, text: str) -> None:
    for package_id in (PACKAGE, "1800000002"):
        network.offer(package_id)
    network.site.fail(f"{PACKAGE}-1", status(code, Retry_After=text))
    network.live(hours=1.9)
    assert network.site.asked(f"{PACKAGE}-1") == 1
    assert network.site.asked("1800000002-1") == 0
    network.site.faults.clear()
    network.live(hours=3, until=lambda: len(network.server.codes) == 2)
    assert network.server.codes == ["SUCCESS", "SUCCESS"]


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_kept_to_by_contacts(network: Network, code: int) -> None:
    network.offer()
    network.central.fail("/ocsinventory", status(code, Retry_After="10000"), None)
    network.live(hours=2.7)
    assert network.central.asked("/ocsinventory") == 1
    network.pc.clock.advance(hours=1)
    network.live(until=over(network))
    check_success(network)


@pytest.mark.parametrize("file", FILES)
def test_a_kept_connection_that_died_is_no_fault(
    network: Network, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The computer slept for a moment, or has another address: whoever is new is answered."""

    def dead(exchange: Exchange) -> bool:
        if exchange.number > 1:
            exchange.hold()
            return False
        exchange.send(exchange.honest)
        return True

    network.offer()
    network.limits = IMPATIENT
    proxy = fail(network, file, dead)
    network.live(until=over(network))
    check_success(network)
    assert proxy.asked(FILES[file]) == 2
    assert "tried again" not in caplog.text


# Definite: counted, and over at the fifth.


@pytest.mark.parametrize(("file", "code"), [("info", "INFO"), ("fragment", "PACK")])
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(network: Network, name: str, file: str, code: str) -> None:
    network.offer()
    proxy = fail(network, file, REFUSED[name])
    network.live(until=over(network))
    check_failure(network, f"ERR_DOWNLOAD_{code}")
    assert proxy.asked(FILES[file]) == (30 if "circle" in name else 5)


@pytest.mark.parametrize(
    ("file", "code"), [("info", "ERR_DOWNLOAD_INFO"), ("fragment", "ERR_BAD_DIGEST")]
)
@pytest.mark.parametrize("name", WRONG)
def test_is_not_believed(network: Network, name: str, file: str, code: str) -> None:
    network.offer()
    proxy = fail(network, file, WRONG[name])
    network.live(until=over(network))
    check_failure(network, code)
    assert proxy.asked(FILES[file]) == 5


def test_a_changed_bit_in_a_fragment_is_not_believed(network: Network) -> None:
    network.offer()
    proxy = fail(network, "fragment", changed(flipped))
    network.live(until=over(network))
    check_failure(network, "ERR_BAD_DIGEST")
    assert proxy.asked(FILES["fragment"]) == 5
    assert network.server.fresh == [network.server.url(PACKAGE, f"{PACKAGE}-2")] * 4


def test_a_changed_bit_in_the_list_of_fragments_is_not_believed(network: Network) -> None:
    network.offer()
    for proxy in (network.site, network.central):
        proxy.fail("/fragments.sha256", changed(flipped))
    network.live(until=over(network))
    check_failure(network, "ERR_BAD_DIGEST")
    assert network.site.asked("/fragments.sha256") == 5
    assert network.central.asked("/fragments.sha256") == 5
    assert network.site.asked(f"{PACKAGE}-1") == 0


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("fault", [REFUSED["404"], WRONG["a page"]], ids=["404", "page"])
def test_four_times_is_not_five(network: Network, file: str, fault: Fault) -> None:
    network.offer()
    fail(network, file, *[fault] * 4, None)
    network.live(until=over(network))
    check_success(network)


@pytest.mark.parametrize("file", FILES)
def test_silence_in_between_is_not_counted(network: Network, file: str) -> None:
    network.offer()
    no, silent = REFUSED["404"], TRANSIENT["503"]
    fail(network, file, no, silent, no, silent, no, silent, no, silent, None)
    network.live(until=over(network))
    check_success(network)


@pytest.mark.parametrize("file", FILES)
def test_the_count_survives_a_restart(network: Network, file: str) -> None:
    network.server.settings = DownloadSettings(frag_latency_s=0, cycle_latency_s=60)
    network.offer()
    proxy = fail(network, file, REFUSED["404"])
    for asked in (1, 2, 3, 4):
        network.live(until=lambda: proxy.asked(FILES[file]) >= asked)  # noqa: B023 - used at once
        record = network.pc.store.read(PACKAGE)
        assert record is not None
        assert [fault.count for fault in record.faults.values()] == [asked]
    assert network.server.codes == []
    network.live(until=over(network))
    assert proxy.asked(FILES[file]) == 5
    assert network.server.codes == [f"ERR_DOWNLOAD_{'INFO' if file == 'info' else 'PACK'}"]


def test_a_redirect_to_a_mirror_is_followed(network: Network) -> None:
    network.offer()
    with FaultProxy(simulated(network.server)) as mirror:
        there = f"http://{mirror.address}{FILES['fragment']}"
        fail(network, "fragment", status(302, Location=there))
        network.live(until=over(network))
        assert mirror.requests == [FILES["fragment"]]
    check_success(network)


def test_a_redirect_of_info_to_plain_http_is_not_followed(network: Network) -> None:
    network.offer()
    fail(network, "info", status(302, Location=f"http://{network.site.address}{FILES['info']}"))
    network.live(until=over(network))
    check_failure(network, "ERR_DOWNLOAD_INFO")
    assert network.site.requests == []


# TLS: whoever cannot prove who they are is a definite answer.


def certificates(ca: Issued) -> dict[str, Issued]:
    day = timedelta(days=1)
    return {
        "expired": issue("server", by=ca, san=LOCAL, begins=-9 * day, ends=-day),
        "not yet valid": issue("server", by=ca, san=LOCAL, begins=day, ends=9 * day),
        "another name": issue("server", by=ca, san=("other.example.org",)),
        "no name but the CN": issue("127.0.0.1", by=ca),
        "an unknown CA": issue("server", by=issue("another CA", ca=True), san=LOCAL),
        "self-signed": issue("server", san=LOCAL),
    }


@pytest.mark.parametrize("name", [*certificates(issue("CA", ca=True)), "no TLS at all"])
@pytest.mark.parametrize(("file", "code"), [("info", "INFO"), ("fragment", "PACK")])
def test_is_not_trusted(
    network: Network, ca: Issued, tmp_path: Path, name: str, file: str, code: str
) -> None:
    bad = certificates(ca).get(name)
    path = None if bad is None else bad.save(tmp_path / "bad.pem")
    greeting = says(answer(400)) if bad is None else None
    with FaultProxy(simulated(network.server), path, greeting=greeting) as impostor:
        place = f"{impostor.address}/download"
        if file == "info":
            network.offer(info_loc=place)
        else:
            network.offer(pack_loc=place)
            network.server.set_info(replace(network.server.info(), protocol=Protocol.HTTPS))
        network.live(until=over(network))
        check_failure(network, f"ERR_DOWNLOAD_{code}")
        assert impostor.requests == [], "something was said before it was trusted"
        assert impostor.connections == (5 if file == "info" else 6)  # the list, once


# Messages.


@pytest.mark.parametrize(
    "fault",
    [*TRANSIENT.values(), *REFUSED.values(), *WRONG.values()],
    ids=[*TRANSIENT, *REFUSED, *WRONG],
)
def test_a_contact_that_fails_is_made_again(network: Network, fault: Fault) -> None:
    network.offer()
    network.central.fail("/ocsinventory", *[fault] * 3, None)
    network.live(until=over(network))
    check_success(network)


@pytest.mark.parametrize("where", [*DRIPS])
def test_a_contact_that_drips_is_made_again(network: Network, where: str) -> None:
    network.offer()
    network.limits = IMPATIENT
    network.central.fail("/ocsinventory", drip(where), None)
    network.live(until=over(network))
    check_success(network)


@pytest.mark.parametrize("fault", [cut("status"), status(503), page()], ids=["cut", "503", "page"])
def test_a_result_is_kept_until_it_is_acknowledged(network: Network, fault: Fault) -> None:
    network.offer()
    network.central.fail("/ocsinventory", None, *[fault] * 4, None)
    network.live(until=over(network))
    network.live(hours=2)
    assert set(network.server.codes) == {"SUCCESS"}
    assert len(network.pc.runner.started) == 1
    assert network.pc.files() == set()


# Outages.


def test_an_outage_of_two_days_in_mid_download_ends_in_success(network: Network) -> None:
    network.offer()
    network.site.fail(f"{PACKAGE}-2", lambda exchange: network.site.go_away())
    network.live(until=lambda: network.site.asked(f"{PACKAGE}-2") > 0)
    network.central.go_away()
    before = network.requests(), network.pc.clock.now()
    lives = [network.live(hours=hours) for hours in (20, 4, 24)]  # and twice it is switched off
    assert network.server.codes == []
    assert (network.pc.clock.now() - before[1]).total_seconds() >= 47 * 3600
    assert sum(len(life.wakes) for life in lives) < 48 * 60 + 1000, "a busy loop"
    network.site.faults.clear()
    network.site.come_back()
    network.central.come_back()
    network.live(until=over(network))
    check_success(network)
    assert network.requests() - before[0] < 12
    assert network.site.asked(f"{PACKAGE}-1") == 1


def test_an_outage_that_accepts_connections_is_left_alone_too(network: Network) -> None:
    network.offer()
    network.server.settings = replace(QUICK, frag_latency_s=10)
    network.live(until=lambda: network.site.asked(f"{PACKAGE}-1") > 0)
    assert network.server.codes == []
    network.site.fail("", cut("nothing"))
    network.central.fail("", cut("nothing"))
    network.live(hours=48)
    network.site.faults.clear()
    network.central.faults.clear()
    # A contact in 45 minutes, the fragment in each quarter of an hour, sooner at the beginning.
    assert network.site.connections < 48 * 4 + 20
    assert network.central.connections < 48 / 0.75 + 20
    network.live(until=over(network))
    check_success(network)
