"""A small fleet at once: the server knows of each package what its agent told."""

import ssl
from collections import Counter
from pathlib import Path

from tests.support.archives import tar_gz
from tests.support.drive import Drive
from tests.support.fleet import Fleet
from tests.support.server import RunningServer

AGENTS = 40


def test_a_fleet_comes_to_its_end(tmp_path: Path) -> None:
    archive = tar_gz(tmp_path / "one.tar.gz", {"a": "b" * 4000})
    with RunningServer(tmp_path) as server:
        ports = server.https_port, server.http_port
        tls = ssl.create_default_context(cafile=str(server.ca_file))
        first = Drive(Fleet(AGENTS, contacts=1), *ports, tls, anew=True).run()
        assert first.asked == {"Prolog": AGENTS, "Inventory": AGENTS}
        options = ("--command", "true", "--file", archive, "--fragments", "3")
        packages = [server.publish(name, "--action", "execute", *options) for name in "ab"]
        for package in packages:
            assert server.json("assign", package, "--search", "name ~ sim-")["assigned"] == AGENTS
        fleet = Fleet(AGENTS, contacts=3, failing=0.3)
        ran = Drive(fleet, *ports, tls).run()
        assert ran.asked["Prolog"] == 3 * AGENTS
        assert ran.asked["DownloadReport"] == 2 * AGENTS  # what ended is not offered again
        assert ran.asked["fragment"] == 3 * 2 * AGENTS
        for package in packages:
            told = Counter(code for (_, each), code in fleet.ended.items() if each == package)
            assert len(told) > 1
            assert server.json("stats", package)["by_status"] == told
