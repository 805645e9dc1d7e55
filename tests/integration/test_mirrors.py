"""Our agent with mirrors: any web server that has a copy of the folder, sound, lying or gone."""

import signal
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.mirrors import activate_on, build
from tests.support.nginx import Nginx
from tests.support.server import RunningServer
from tests.support.waiting import wait_until
from tests.support.webfolder import PlainWebServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mirrors")]


def test_a_copied_folder_is_a_mirror(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "5")
    activate_on(server, mirror, package_id)
    mirror.requests.clear()  # the check of the activation
    server.assign(package_id, registered.device_id)
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"
    names = [f"{package_id}-{n}" for n in range(1, 6)] + ["fragments.sha256"]
    assert mirror.counts == {f"/download/{package_id}/{name}": 1 for name in names}


def test_info_and_fragments_from_a_plain_server_with_tls(
    server: RunningServer, registered: TrancheAgent, workshop: Path, tmp_path: Path
) -> None:
    """Nothing of ours serves here: the folder, a certificate of the CA, any web server."""
    folder = tmp_path / "site"
    folder.mkdir()
    with PlainWebServer(folder, certificate=server.certificate) as site:
        package_id = build(server, workshop, "--protocol", "https")
        where = site.publish(server.package_folder(package_id))
        server.json(
            "package",
            "activate",
            package_id,
            "--info-url",
            where,
            "--fragment-url",
            where,
            "--no-check",
        )
        server.assign(package_id, registered.device_id)
        registered.once()
        assert server.status(package_id, registered.device_id) == "SUCCESS"
        assert site.counts[f"/download/{package_id}/info"] == 1


def test_nginx_may_serve_everything(
    server: RunningServer, registered: TrancheAgent, workshop: Path, tmp_path: Path
) -> None:
    """Info over its TLS, fragments over its HTTP, both out of the folder that we publish to."""
    (tmp_path / "nginx").mkdir()
    with Nginx(tmp_path / "nginx", server.data, server.certificate) as nginx:
        package_id = build(server, workshop, "--fragments", "3")
        info = f"127.0.0.1:{nginx.https_port}/download"
        fragments = f"127.0.0.1:{nginx.http_port}/download"
        server.json(
            "package", "activate", package_id, "--info-url", info, "--fragment-url", fragments
        )
        server.assign(package_id, registered.device_id)
        registered.once()
        assert server.status(package_id, registered.device_id) == "SUCCESS"


def test_a_bad_fragment_is_fetched_again_alone(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "4")
    activate_on(server, mirror, package_id)
    path = f"/download/{package_id}/{package_id}-2"
    sound = (server.package_folder(package_id) / f"{package_id}-2").read_bytes()

    def lie_once(handler: BaseHTTPRequestHandler) -> None:
        mirror.faults[path] = sound
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(sound)))
        handler.end_headers()
        handler.wfile.write(bytes(len(sound)))

    mirror.faults[path] = lie_once
    mirror.requests.clear()
    server.assign(package_id, registered.device_id)
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"
    counts = mirror.counts
    assert counts.pop(path) == 2
    assert set(counts.values()) == {1}


def test_a_mirror_that_is_down_ends_nothing(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "2")
    activate_on(server, mirror, package_id)
    for number in (1, 2):
        mirror.faults[f"/download/{package_id}/{package_id}-{number}"] = 503
    server.assign(package_id, registered.device_id)
    waiting = registered.once(expect=3)
    assert package_id in waiting.stdout + waiting.stderr
    assert server.status(package_id, registered.device_id) == "NOTIFIED"
    mirror.faults.clear()
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"


def test_killed_between_fragments_it_resumes(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "8", "--priority", "1")
    activate_on(server, mirror, package_id)
    mirror.requests.clear()
    device_id = registered.device_id
    server.assign(package_id, device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "2", "--computer", device_id)
    process = registered.start("once")

    def fragments_on_disk() -> list[Path]:
        return [p for p in registered.state.rglob(f"{package_id}-*") if p.suffix != ".part"]

    try:
        wait_until(lambda: len(fragments_on_disk()) >= 3, "three fragments are there", seconds=60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = len(fragments_on_disk())
    assert before < 8
    assert server.status(package_id, device_id) == "NOTIFIED"
    registered.once()
    assert server.status(package_id, device_id) == "SUCCESS"
    # Killed in a pause: every fragment was fetched once, by the first life or by the second.
    fragments = {path: n for path, n in mirror.counts.items() if "fragments" not in path}
    assert fragments == {f"/download/{package_id}/{package_id}-{n}": 1 for n in range(1, 9)}


def expected_order(packages: dict[str, tuple[int, int]], length: int = 10) -> list[str]:
    """The fragments in the order of contract.md 4, Moves: (priority, id) within a cycle."""
    done = dict.fromkeys(packages, 0)
    order: list[str] = []
    cycle = 0
    while any(done[each] <= count for each, (_, count) in packages.items()):
        cycle = cycle % length + 1
        alive = [each for each, (_, count) in packages.items() if done[each] <= count]
        alone = [each for each in alive if packages[each][0] == 0]
        moving = alone or [each for each in alive if cycle % packages[each][0] == 0]
        for each in sorted(moving, key=lambda each: (packages[each][0], each)):
            done[each] += 1
            if done[each] <= packages[each][1]:
                order.append(f"{each}-{done[each]}")
    return order


def test_the_order_of_moves_is_the_rule(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    packages = {}
    for priority, count in ((10, 2), (5, 3), (1, 7), (0, 3), (5, 2), (0, 2)):
        options = ("--fragments", str(count), "--priority", str(priority))
        package_id = build(server, workshop, *options)
        packages[package_id] = (priority, count)
        activate_on(server, mirror, package_id)
        server.assign(package_id, registered.device_id)
    mirror.requests.clear()
    registered.once()
    asked = [path.rpartition("/")[2] for path in mirror.requests]
    assert [name for name in asked if name != "fragments.sha256"] == expected_order(packages)


def test_two_at_once_are_refused(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "4", "--priority", "1")
    activate_on(server, mirror, package_id)
    device_id = registered.device_id
    server.assign(package_id, device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "30", "--computer", device_id)
    # The activation was looked at through the mirror too.
    seen = len(mirror.requests)
    process = registered.start("once")
    try:
        wait_until(lambda: len(mirror.requests) > seen, "the first one works", seconds=60)
        registered.once(expect=75)
    finally:
        process.kill()
        process.communicate()
