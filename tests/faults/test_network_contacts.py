"""Who is not trusted, contacts and results on bad lines, and outages of days."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.wire.terms import Protocol
from tests.support.certificates import Issued, issue
from tests.support.fault_proxy import Fault, FaultProxy, answer
from tests.support.faults import (
    DRIPS,
    REFUSED,
    TRANSIENT,
    WRONG,
    cut,
    drip,
    page,
    says,
    status,
)
from tests.support.networked import (
    IMPATIENT,
    PACKAGE,
    Network,
    check_failure,
    check_success,
    over,
    simulated,
)
from tests.support.simulator import QUICK
from tests.support.talking import LOCAL

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
