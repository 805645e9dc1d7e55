"""The server as a service: the unit, its user, and what systemd is told. Nothing runs systemd."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from deploy_server.services import installing
from deploy_server.services.unit import NAME, USER, Work, unit_text
from deploy_server.serving.notify import tell_systemd
from deploy_server.storage.database import make_engine, session_factory
from tests.support import factories as make
from tests.support.cli import Cli
from tests.support.processes import BIN, program

DATA = Path("/var/lib/deploy-server")


def verify(folder: Path, text: str) -> tuple[int, list[str]]:
    """What systemd says of a unit; on this machine other units may have faults."""
    unit = folder / NAME
    unit.write_text(text)
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stderr.splitlines() if NAME in line]


def text(data: Path = DATA, database: Path | None = None) -> str:
    return unit_text(Work([str(BIN / "deploy-server"), "run", "--data", str(data)], data, database))


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    assert verify(tmp_path, text()) == (0, [])
    assert verify(tmp_path, text(Path("/srv/a b%$"), Path("/srv/db/x.db"))) == (0, [])


@pytest.mark.parametrize("line", ["ProtectSystem=strict", "Type=notify", "RemoveIPC=yes"])
def test_systemd_would_find_what_is_wrong(tmp_path: Path, line: str) -> None:
    status, lines = verify(tmp_path, text().replace(line, line + "x"))
    assert (status, bool(lines)) != (0, False)


def test_the_unit_gives_little_away(tmp_path: Path) -> None:
    """systemd's own measure of exposure, from 0 to 10; 9.6 is a service that has everything."""
    unit = tmp_path / NAME
    unit.write_text(text())
    done = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=true", "--threshold=25", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_a_home_is_seen_where_something_lies_in_it() -> None:
    assert "ProtectHome=yes" in unit_text(Work(["/opt/t/bin/deploy-server"], DATA))
    inside = Work(["/home/bo/venv/bin/deploy-server"], DATA)
    assert "ProtectHome=read-only" in unit_text(inside)
    own = Path("/root/.pyenv/versions/3.11/bin/python3.11")
    linked = Work(["/opt/t/bin/deploy-server"], DATA, interpreter=own)
    assert "ProtectHome=read-only" in unit_text(linked)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A system in the making, with the users it begins with."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root


def test_install_and_uninstall_in_an_image(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("systemd-sysusers")
    given: dict[str, int] = {}  # only root can give files away
    monkeypatch.setattr(os, "chown", lambda name, user, group, **_: given.update({name: user}))
    cli = Cli(DATA)
    data = image / "var/lib/deploy-server"
    data.mkdir(parents=True)
    (data / "tranche.db").write_text("")
    said = cli.ok("install", "--root", image)
    unit = image / "etc/systemd/system" / NAME
    wanted = unit.parent / "multi-user.target.wants" / NAME
    assert f"The unit {unit} is written" in said
    assert "--http-port 80 --https-port 443" in unit.read_text()
    assert wanted.is_symlink()
    (line,) = (each for each in (image / "etc/passwd").read_text().splitlines() if USER in each)
    owner = int(line.split(":")[2])
    assert given == {data.name: owner, "tranche.db": owner}
    assert owner not in (0, os.geteuid())
    before = unit.stat().st_mtime_ns
    again = cli.ok("install", "--root", image)
    assert "is as it should be" in again
    assert unit.stat().st_mtime_ns == before
    assert (image / "etc/passwd").read_text().count(USER) == line.count(USER)
    assert "--https-port 8443" not in unit.read_text()
    cli.ok("install", "--root", image, "--https-port", "8443")
    assert "--https-port 8443" in unit.read_text()
    assert "stays" in cli.ok("uninstall", "--root", image)
    assert not unit.exists()
    assert not wanted.is_symlink()
    assert data.exists()
    assert "nothing to remove" in cli.ok("uninstall", "--root", image)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is given to somebody else, as only root can."""
    names: set[str] = set()
    monkeypatch.setattr(os, "chown", lambda name, *_, **__: names.add(name))
    return names


def install_with(image: Path, database: str) -> list[str]:
    (image / "var/lib/deploy-server").mkdir(parents=True)
    work = Work([str(BIN / "deploy-server"), "run"], DATA, Path(database))
    return list(installing.Service(image).install(work))


def test_a_database_elsewhere_is_given_with_its_folder(image: Path, given: set[str]) -> None:
    program("systemd-sysusers")
    folder = image / "srv/db"
    folder.mkdir(parents=True)
    for name in ("x.db", "x.db-wal", "x.db-shm"):
        (folder / name).write_text("")
    install_with(image, "/srv/db/x.db")
    assert given == {"db", "x.db", "x.db-wal", "x.db-shm", "deploy-server"}
    unit = (image / "etc/systemd/system" / NAME).read_text()
    assert "ReadWritePaths=/var/lib/deploy-server /srv/db\n" in unit


def test_no_folder_of_others_is_given(image: Path, given: set[str]) -> None:
    program("systemd-sysusers")
    (image / "srv").mkdir()
    for name in ("x.db", "photos"):
        (image / "srv" / name).write_text("")
    with pytest.raises(installing.Conflict, match="beside photos"):
        install_with(image, "/srv/x.db")
    assert given == set()


def test_only_root_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for command in ("install", "uninstall"):
        assert "only root may" in Cli(tmp_path).refused(command)


def test_without_systemd_the_command_to_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    message = Cli(tmp_path).refused("install")
    assert f"run --data {tmp_path} --http-port 80 --https-port 443" in message


def test_a_program_that_the_user_cannot_reach_is_no_service(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "deploy-server"
    tool.write_text("")
    tool.chmod(0o700)
    with pytest.raises(installing.Conflict, match="is closed to other users"):
        installing.check_reachable(tool)


def test_systemd_is_told_and_the_port_that_moves_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way with a systemctl that only notes down what it is asked."""
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--password-file", "-", stdin="correct horse")
    engine = make_engine(f"sqlite:///{cli.data}/tranche.db")
    with session_factory(engine).begin() as session:
        make.make_activation(session)
    engine.dispose()
    note = tmp_path / "asked"
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("systemctl", "systemd-sysusers"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {note}\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    service = installing.Service
    monkeypatch.setattr(service, "live", True)
    monkeypatch.setattr(service, "_account", lambda self: (os.getuid(), os.getgid()))
    monkeypatch.setattr(service, "unit", tmp_path / NAME)
    monkeypatch.setattr(service, "users", tmp_path / "users.conf")
    monkeypatch.setattr("deploy_server.cli.service.check_reachable", lambda path: None)
    said = cli("install")
    assert (said.status, "told of packages at port 8443" in said.err) == (0, True), said
    asked = note.read_text().splitlines()
    assert asked[-4:] == [
        "systemctl daemon-reload",
        f"systemctl enable {NAME}",
        f"systemctl is-active --quiet {NAME}",
        f"systemctl restart {NAME}",
    ]
    cli.ok("uninstall")
    assert f"systemctl disable --now {NAME}" in note.read_text()


def test_systemd_hears_when_the_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        tell_systemd("READY=1")  # nobody asked
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        tell_systemd("READY=1")
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("name", ["it's", "a b", "line\nfeed"])
def test_every_path_is_one_word_to_systemd(name: str) -> None:
    text = unit_text(Work(["/opt/t/bin/deploy-server"], Path("/srv", name)))
    (line,) = (each for each in text.splitlines() if each.startswith("ReadWritePaths="))
    assert line.endswith('"')
