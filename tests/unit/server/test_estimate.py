"""OCS's estimate of how long a package takes. Source: features.md 5.4, pains.md 24."""

import pytest

from deploy_agent.wire.replies import DownloadSettings
from deploy_server.domain.estimate import estimate_s, shares_s

SEED = DownloadSettings()


@pytest.mark.parametrize(
    ("fragments", "size", "priority", "seconds"),
    [
        (0, 0, 5, 0),
        (100, 0, 5, 31_000),  # "about 8.6 hours"
        (100, 2_500_000, 5, 31_100),
        (1, 0, 5, 620),
        (3, 0, 5, 1240),  # two periods of two moves each
        (10, 0, 1, 700),
        (10, 0, 10, 6100),
        (10, 0, 0, 100),  # alone and first: waits for no cycle
    ],
)
def test_the_formula(fragments: int, size: int, priority: int, seconds: int) -> None:
    assert estimate_s(fragments, size, priority, SEED) == seconds


def test_a_priority_beyond_the_period_never_ends() -> None:
    assert estimate_s(1, 1, 6, DownloadSettings(period_length=5)) is None


def test_each_latency_has_its_share_of_it() -> None:
    assert shares_s(100, 0, 5, SEED) == {
        "DOWNLOAD_FRAG_LATENCY": 1000,
        "DOWNLOAD_CYCLE_LATENCY": 30_000,
        "DOWNLOAD_PERIOD_LATENCY": 0,
    }
    assert shares_s(1, 1, 6, DownloadSettings(period_length=5)) == {}


def test_every_latency_counts() -> None:
    settings = DownloadSettings(
        frag_latency_s=1, cycle_latency_s=2, period_latency_s=3, period_length=4
    )
    assert estimate_s(4, 0, 2, settings) == 2 * (4 * 2 + 2 * 1 + 3)
