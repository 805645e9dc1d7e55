"""/metrics: what an operator watches, in the form of Prometheus.

Requests come from the board that all workers share. Counts of rows are asked of the database, once
in half a minute and process, because they cost as much as hundreds of contacts. Who may read it:
addresses of `metrics_allow`, and whoever has the token of `<data>/metrics_token`. A request that
came through a proxy which is not in `trusted_proxies` has no address that means anything.
"""

import hmac
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from deploy_agent import __version__
from deploy_server.config import networks
from deploy_server.domain.errors import DeployError, Forbidden
from deploy_server.services import certificates, figures
from deploy_server.services.certificates import CertificateStore
from deploy_server.storage.disk import reserve_of
from deploy_server.web.board import SECONDS, Board
from deploy_server.web.database import reading_session
from deploy_server.web.observing import FORWARDED, contains
from deploy_server.web.replica import replica_of
from deploy_server.web.services import services

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

#: For how long a count of rows is good enough, in seconds.
_FRESH_S = 30

_PROXY_HEADERS = ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP")


@dataclass
class _Facts:
    """What the database said last."""

    found: figures.Figures | None = None
    at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


def init_metrics(app: Flask, board: Board) -> None:
    """Add the address."""
    app.extensions["tranche.board"] = board
    app.extensions["tranche.facts"] = _Facts()
    app.add_url_rule("/metrics", "metrics", metrics)


def metrics() -> Response:
    """Answer with everything that is measured.

    Raises:
        Forbidden: not to them.
    """
    if not _is_allowed():
        raise Forbidden(
            "the measurements are not for everybody",
            "Allow this address with metrics_allow in server.toml, or send the token of the file"
            " metrics_token in the data directory (Authorization: Bearer ...)",
        )
    # Only who asks needs the library.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    collected = CollectorRegistry(auto_describe=False)
    collected.register(_Collector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encode(collected), content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    return response


def _is_allowed() -> bool:
    given = request.headers.get("Authorization", "")
    if given.startswith("Bearer "):
        token = _token()
        return bool(token) and hmac.compare_digest(given[7:].strip().encode(), token)
    if not request.environ.get(FORWARDED) and any(map(request.headers.get, _PROXY_HEADERS)):
        return False
    return contains(networks(services().config.metrics_allow), request.remote_addr or "")


def _token() -> bytes:
    try:
        return services().config.metrics_token_file.read_bytes().strip()
    except FileNotFoundError:
        return b""


class _Collector:
    """What prometheus_client asks for the numbers."""

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        def gauge(name: str, text: str, value: float) -> "Metric":
            return GaugeMetricFamily(f"tranche_{name}", text, value)

        board: Board = current_app.extensions["tranche.board"]
        yield InfoMetricFamily("tranche", "The program", {"version": __version__})
        yield from _requests(board)
        yield gauge("contacts_waiting", "Contacts that are not written down yet", board.waiting())
        yield from _replica(board, gauge)
        yield from _disk(gauge)
        yield from _certificates(gauge)
        found = _figures()
        yield gauge("database_up", "Whether the database answers", float(found is not None))
        if found is not None:
            yield from _rows(found, gauge)


Gauge = Callable[[str, str, float], "Metric"]


def _requests(board: Board) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    requests = CounterMetricFamily(
        "tranche_requests", "Requests that were answered", labels=["kind", "status"]
    )
    sent = CounterMetricFamily("tranche_sent_bytes", "Bytes of answers", labels=["kind"])
    seconds = HistogramMetricFamily(
        "tranche_request_seconds", "From the request to the answer's beginning", labels=["kind"]
    )
    ends = [*(str(each) for each in SECONDS), "+Inf"]
    for counted in board.counted():
        if not counted.statuses:
            continue
        for status, count in counted.statuses.items():
            requests.add_metric([counted.kind, str(status or "other")], count)
        sent.add_metric([counted.kind], counted.sent)
        classes = list(zip(ends, map(float, accumulate(counted.classes)), strict=True))
        seconds.add_metric([counted.kind], classes, counted.seconds)
    yield from (requests, sent, seconds)


def _replica(board: Board, gauge: Gauge) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily

    replica = replica_of(current_app)
    if replica is None:
        return
    state = replica.state()
    yield gauge("replica_up", "Whether lists are read from the replica", float(not state.trouble))
    if state.lag is not None:
        text = "How far the replica is behind"
        yield gauge("replica_lag_seconds", text, state.lag.total_seconds())
    lists = CounterMetricFamily(
        "tranche_lists", "Lists by the database they were read from", labels=["database"]
    )
    for name, count in zip(("primary", "replica"), board.lists(), strict=True):
        lists.add_metric([name], count)
    yield lists


def _disk(gauge: Gauge) -> "Iterator[Metric]":
    config = services().config
    usage = shutil.disk_usage(config.data)
    yield gauge("disk_size_bytes", "The disk of the data directory", usage.total)
    yield gauge("disk_free_bytes", "What is free on it", usage.free)
    reserve = reserve_of(config.data, config.min_free_bytes)
    yield gauge("disk_reserved_bytes", "Where less is free, nothing is built", reserve)


def _certificates(gauge: Gauge) -> "Iterator[Metric]":
    store = CertificateStore(services().config.certs)
    for name, read in (("certificate", store.chain), ("ca", store.roots)):
        try:
            end = certificates.describe(read()[0]).not_after
        except (DeployError, OSError) as error:
            log.warning("no end of the %s to measure: %s", name, error)
            continue
        days = (end - services().now()).total_seconds() / 86400
        yield gauge(f"{name}_days_left", f"Days until the {name} ends", days)


def _figures() -> figures.Figures | None:
    facts: _Facts = current_app.extensions["tranche.facts"]
    with facts.lock:
        if facts.found is None or time.monotonic() - facts.at > _FRESH_S:
            facts.found, facts.at = _ask(), time.monotonic()
        return facts.found


def _ask() -> figures.Figures | None:
    try:
        with reading_session() as session:
            return _count(session)
    except (DBAPIError, DeployError) as error:
        log.warning("the database cannot be measured: %s", error)
        return None


def _count(session: Session) -> figures.Figures:
    return figures.count(session, now=services().now())


def _rows(found: figures.Figures, gauge: Gauge) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    def labelled(name: str, text: str, label: str, values: dict[str, int]) -> "Metric":
        family = GaugeMetricFamily(f"tranche_{name}", text, labels=[label])
        for value, count in values.items():
            family.add_metric([value], count)
        return family

    yield labelled("computers", "Computers by how they keep in touch", "state", found.computers)
    yield labelled("assignments", "Packages on computers", "state", found.assignments)
    failures: Counter[str] = Counter(found.failures)
    text = f"Failures of the last {figures.RECENT.days} days that stand"
    yield labelled("failures", text, "code", failures)
    yield gauge("packages", "Packages that are not deleted", found.packages)
    when = found.last_backup.timestamp() if found.last_backup else 0
    yield gauge("last_backup_timestamp_seconds", "When the last one was made, 0 for never", when)
    yield gauge("database_size_bytes", "The database", found.database_bytes)
