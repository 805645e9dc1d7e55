"""A server that is saved while everybody works, and that goes on elsewhere as if nothing had been.

And restorations that are killed at every step that leaves a trace: old state or new, never a
mixture.
"""

import os
import shutil
import signal
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_server.config import load
from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.cli import Cli
from tests.support.processes import BIN
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

RUN = ["--action", "launch", "--command", "setup.sh"]
QUIET = "#!/bin/sh\nexit 0\n"


def deploy(server: RunningServer, agent: TrancheAgent, folder: Path, name: str) -> str:
    """A package that is built, assigned and run; its id."""
    file = tar_gz(folder / f"{name}.tar.gz", {"setup.sh": QUIET, "filling": os.urandom(200_000)})
    package = server.publish(name, *RUN, "--file", file, "--fragments", "4")
    server.assign(package, agent.device_id)
    agent.once()
    assert server.status(package, agent.device_id) == "SUCCESS"
    return package


@pytest.fixture
def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    with request.getfixturevalue("postgres_databases").fresh(tmp_path) as url:
        yield url


def test_a_server_goes_on_from_its_backup(database_url: str, tmp_path: Path) -> None:
    server = RunningServer(tmp_path, DEPLOY_SERVER_DATABASE_URL=database_url)
    file = tmp_path / "b.tar"
    with server.without_latencies():
        agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
        agent.once()
        first = deploy(server, agent, tmp_path, "first")
        server.cli("backup", "-o", file)
        lost = deploy(server, agent, tmp_path, "lost")
    shutil.rmtree(server.data)
    # The folder is gone; the database, which lies elsewhere, is not.
    server.cli("restore", file, "--replace")
    with server:
        assert server.status(first, agent.device_id) == "SUCCESS"
        assert not server.package_folder(lost).exists()
        again = deploy(server, agent, tmp_path, "again")
        assert again not in (first, lost)
        assert server.cli("audit").count("backup.restore") == 1


def test_a_backup_brings_a_server_to_postgresql_and_back(other_url: str, tmp_path: Path) -> None:
    server = RunningServer(tmp_path)
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    with server.without_latencies():
        agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
        agent.once()
        first = deploy(server, agent, tmp_path, "first")
        server.cli("backup", "-o", one)
    moving = Cli(server.data, {"DEPLOY_SERVER_DATABASE_URL": other_url})
    assert "is not empty" in moving.refused("restore", one)
    moving.ok("restore", one, "--replace")
    assert load(server.data, {}).database_url == other_url
    assert not list(server.data.glob("tranche.db*"))
    with (server.data / "server.toml").open("a") as file:
        file.write(f'replica_url = "{other_url}"\n')
    with server:
        assert server.status(first, agent.device_id) == "SUCCESS"
        second = deploy(server, agent, tmp_path, "second")
        server.cli("backup", "-o", two)
    back = f"sqlite:///{server.data}/tranche.db"
    Cli(server.data, {"DEPLOY_SERVER_DATABASE_URL": back}).ok("restore", two, "--replace")
    assert load(server.data, {}).replica_url == "", "what followed the other follows nobody here"
    with server:
        assert server.status(second, agent.device_id) == "SUCCESS"
        deploy(server, agent, tmp_path, "third")


def test_packages_that_change_meanwhile_fit_their_rows(database_url: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data", {"DEPLOY_SERVER_DATABASE_URL": database_url})
    cli.ok("init", "--password-file", "-", stdin="correct horse")
    file = tar_gz(tmp_path / "tree.tar.gz", {"setup.sh": os.urandom(20_000)})
    over = threading.Event()

    def work() -> None:
        number = 0
        while not over.is_set():
            number += 1
            options = ["--os", "linux", *RUN, "--file", str(file), "--fragments", "20"]
            package = cli.ok("package", "build", f"p{number}", *options).strip()
            cli.ok("package", "edit", package, "--priority", str(number % 10))
            cli.ok("package", "edit", package, "--file", str(file), "--fragments", "3")
            if number % 2:
                cli.ok("package", "delete", package)

    other = os.fork()
    if other == 0:
        work()
    try:
        for number in range(6):
            saved = tmp_path / f"{number}.tar"
            said = cli("backup", "-o", saved)
            assert said.status == 0, said
            assert "Warning" not in said.err
            there = Cli(tmp_path / str(number))
            url = f"sqlite:///{there.data}/tranche.db"
            said = Cli(there.data, {"DEPLOY_SERVER_DATABASE_URL": url})("restore", saved)
            assert said.status == 0, said
            swept = there("db", "sweep").err
            assert "gone" not in swept, swept
            assert "change" not in swept, swept
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_backup_may_be_ended_at_any_time(tmp_path: Path, number: signal.Signals) -> None:
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--password-file", "-", stdin="correct horse")
    file = tmp_path / "large.zip"
    with zipfile.ZipFile(file, "w") as archive, archive.open("a", "w") as member:
        for _ in range(100):
            member.write(os.urandom(1024**2))
    options = ["--os", "any", "--action", "store", "--path", "/tmp/x", "--file", file]
    cli.ok("package", "build", "large", *options)
    saved = tmp_path / "b.tar"
    saved.write_text("the one before")
    part = tmp_path / ".b.tar.part"
    process = subprocess.Popen(
        [BIN / "deploy-server", "backup", "-o", saved, "--data", cli.data],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: part.exists() and part.stat().st_size > 10**6, "it writes", every=0.001)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert saved.read_text() == "the one before"
    if number != signal.SIGKILL:
        assert not part.exists()
        assert list((cli.data / "staging").iterdir()) == []
    cli.ok("backup", "-o", saved)
    assert saved.stat().st_size > 10**8
    assert not part.exists()
    assert list((cli.data / "staging").iterdir()) == []


class Fuse:
    """Kills this process at the nth step that leaves a trace, before it or after it."""

    STEPS = ("rename", "replace", "mkdir", "rmdir", "sync")

    def __init__(self, left: int) -> None:
        self.left = left

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def guard(self) -> None:
        for name in self.STEPS:
            setattr(os, name, self._guarded(getattr(os, name)))

    def _guarded(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            self.burn()
            result = step(*arguments, **options)
            self.burn()
            return result

        return guarded


def restore_killed(cli: Cli, file: Path, moment: int) -> bool:
    """Restore in a process that dies at a moment; whether it died."""
    child = os.fork()
    if child == 0:
        Fuse(moment).guard()
        cli("restore", file, "--replace")
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def state(cli: Cli) -> str:
    """Which state a directory is in: database, keys and packages must agree."""
    users = cli.ok("user", "list")
    database = "old" if "only-in-the-old" in users else "new"
    key = (cli.data / "secret_key").read_text()
    named = {each.name for each in (cli.data / "download").iterdir()}
    listed = {line.split()[0] for line in cli.ok("package", "list").splitlines()[1:]}
    assert key == ("old" if database == "old" else "new")
    assert named == listed
    assert not list(cli.data.glob(".*"))
    assert (cli.data / "certs" / "server.pem").exists()
    return database


def test_a_restoration_killed_anywhere_is_all_or_nothing(database_url: str, tmp_path: Path) -> None:
    on_postgresql = "postgresql" in database_url
    environ = {"DEPLOY_SERVER_DATABASE_URL": database_url} if on_postgresql else {}
    cli = Cli(tmp_path / "data", environ)
    cli.ok("init", "--password-file", "-", stdin="correct horse")
    build = ["--os", "any", "--action", "execute", "--command", "true"]
    cli.ok("package", "build", "new", *build)
    (cli.data / "secret_key").write_text("new")
    new, old = tmp_path / "new.tar", tmp_path / "old.tar"
    cli.ok("backup", "-o", new)
    cli.ok("package", "build", "old", *build)
    cli.ok("user", "add", "only-in-the-old")
    (cli.data / "secret_key").write_text("old")
    cli.ok("backup", "-o", old)
    seen = []
    moment = 1
    while True:
        assert state(cli) == "old"
        died = restore_killed(cli, new, moment)
        seen.append(state(cli))
        if seen[-1] == "new":
            cli.ok("restore", old, "--replace")
        if not died:
            break
        moment += 3 if on_postgresql else 1
    assert len(seen) > (10 if on_postgresql else 40)
    assert seen == sorted(seen, reverse=True), "once it happened, it stays so"
    assert seen[-1] == "new"
