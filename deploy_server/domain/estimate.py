"""How long a package takes on a computer: OCS's estimate, for forms and pages. Pure.

Source: features.md 5.4; but as contract.md 4 has it, priority 0 waits for no cycle.
"""

from dataclasses import replace

from deploy_agent.wire.replies import DownloadSettings

#: What OCS takes for the speed of a line, in bytes a second.
LINE_BYTES_PER_S = 25_000


def estimate_s(fragments: int, size: int, priority: int, settings: DownloadSettings) -> int | None:
    """Return the seconds from the first fragment to the last one; None where it never ends.

    Args:
        fragments: 0 means that there is no file.
        size: bytes of the file.
        priority: above the period's length nothing is ever fetched.
        settings: what the computer is told.
    """
    moves = settings.period_length // max(priority, 1)
    if moves == 0:
        return None
    periods = -(-fragments // moves)
    cycles_s = settings.cycle_latency_s * settings.period_length if priority else 0
    period_s = cycles_s + moves * settings.frag_latency_s + settings.period_latency_s
    return periods * period_s + size // LINE_BYTES_PER_S


def shares_s(
    fragments: int, size: int, priority: int, settings: DownloadSettings
) -> dict[str, int]:
    """Return how much of that each latency is to blame for, by the option's name; as `estimate_s`.

    Empty where it never ends.
    """
    whole = estimate_s(fragments, size, priority, settings)
    if whole is None:
        return {}
    without = {
        "DOWNLOAD_FRAG_LATENCY": replace(settings, frag_latency_s=0),
        "DOWNLOAD_CYCLE_LATENCY": replace(settings, cycle_latency_s=0),
        "DOWNLOAD_PERIOD_LATENCY": replace(settings, period_latency_s=0),
    }
    return {
        name: whole - (estimate_s(fragments, size, priority, each) or 0)
        for name, each in without.items()
    }
