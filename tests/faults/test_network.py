"""What a network can do to a download, each thing by its name: no hang, no false success.

Transient faults make the agent wait and never end a package; definite ones are counted per file,
in a row, and the fifth ends it with the result that contract.md 4 names.
"""

import pytest

from deploy_agent.wire.replies import DownloadSettings
from tests.support.fault_proxy import Exchange, Fault, FaultProxy
from tests.support.faults import (
    REFUSED,
    SILENT,
    TRANSIENT,
    WRONG,
    changed,
    flipped,
    status,
)
from tests.support.networked import (
    FILES,
    IMPATIENT,
    PACKAGE,
    Network,
    check_failure,
    check_success,
    fail,
    over,
    simulated,
)
from tests.support.ports import free_port

MORE_THAN_FIVE = 7

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
