"""/metrics of a real server with several processes for each port, its log, and its probes."""

import json
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.server import RunningServer


def test_all_processes_count_together(tmp_path: Path) -> None:
    server = RunningServer(tmp_path).without_latencies()
    server.start("--workers", "2", "--log-format", "json")
    try:
        agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
        agent.once()
        tree = tar_gz(tmp_path / "tree.tar.gz", {"setup.sh": "#!/bin/sh\nexit 3\n"})
        options = ["--action", "launch", "--command", "setup.sh", "--file", tree]
        package = server.publish("p", *options, "--fragments", "3")
        server.assign(package, agent.device_id)
        agent.once()
        for _ in range(20):
            fragment = f"{server.http}/download/{package}/{package}-1"
            with urllib.request.urlopen(fragment) as answer:
                assert len(answer.read()) > 10
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(server.get("/metrics").read().decode())
            for sample in family.samples
        }
        # The agent's, the activation's own look, and ours.
        assert found["tranche_requests_total", "fragment", "200"] == 3 + 1 + 20
        assert found["tranche_requests_total", "info", "200"] == 1 + 1
        assert found["tranche_requests_total", "report", "200"] == 1
        assert found["tranche_requests_total", "inventory", "200"] >= 1
        assert found["tranche_requests_total", "prolog", "200"] >= 2
        assert found["tranche_failures", "ERR_EXIT_CODE"] == 1
        assert found["tranche_assignments", "error"] == 1
        assert found["tranche_computers", "in_contact"] == 1
        assert 800 < found["tranche_certificate_days_left",] < 826
        assert server.get("/readyz").read() == b"database: ok\npackages: ok\nstorage: ok\n"
        with pytest.raises(HTTPError) as refused:
            server.get("/nothing-here")
        with refused.value:
            assert refused.value.headers["X-Request-Id"]
    finally:
        server.stop()
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert json.loads(lines[-1])["message"] == "Stopped"
