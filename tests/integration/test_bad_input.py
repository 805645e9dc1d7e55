"""Wrong values for every command: each says what is wrong and what to do, and changes nothing."""

import hashlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_server.domain.errors import SpecErrors
from deploy_server.domain.package import check_spec
from deploy_server.domain.spec import PackageSpec
from tests.support.archives import tar_gz, zip_file
from tests.support.server import CommandFailed, RunningServer, run_program

pytestmark = pytest.mark.slow

LAUNCH = ["package", "build", "new", "--os", "linux", "--action", "launch", "--command", "a.sh"]
STORE = ["package", "build", "new", "--os", "linux", "--action", "store", "--path", "/opt/x"]
EXECUTE = ["package", "build", "new", "--os", "linux", "--action", "execute", "--command", "true"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    """An initialised server that does not run, with one package and its activation."""
    folder = tmp_path_factory.mktemp("site")
    server = RunningServer(folder)
    archive = tar_gz(folder / "a.tar.gz", {"a.sh": "#!/bin/sh\n"})
    package_id = server.json(*LAUNCH[:2], "taken", *LAUNCH[3:], "--file", archive)["id"]
    server.json("package", "activate", package_id, "--no-check")
    server.cli("group", "add", "some")
    (folder / "id").write_text(package_id)
    return server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    tar_gz(folder / "good.tar.gz", {"a.sh": "#!/bin/sh\n"})
    zip_file(folder / "good.zip", {"a.sh": "x"})
    (folder / "empty.tar.gz").write_bytes(b"")
    (folder / "one.tar.gz").write_bytes(b"\x1f")
    (folder / "lie.tar.gz").write_bytes(b"this is no archive, whatever its name says\n" * 20)
    (folder / "cut.tar.gz").write_bytes((folder / "good.tar.gz").read_bytes()[:-30])
    (folder / "a.rar").write_bytes(b"Rar!\x1a\x07\x00" + bytes(100))
    (folder / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    (folder / "setup.msi").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(1000))
    tar_gz(folder / "outside.tar.gz", {"../../etc/passwd": "x"})
    tar_gz(folder / "absolute.tar.gz", {"/etc/passwd": "x"})
    return folder


def snapshot(server: RunningServer) -> tuple[dict[str, list[object]], set[str]]:
    """Every row of every table, and the digest of every file but the database's own."""
    with sqlite3.connect(server.data / "tranche.db") as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names}
    database.close()
    kept = {
        f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in server.data.rglob("*")
        if path.is_file() and not path.name.startswith("tranche.db") and path.parent.name != "run"
    }
    return rows, kept


@pytest.fixture
def unchanged(site: RunningServer) -> Iterator[None]:
    before = snapshot(site)
    yield
    assert snapshot(site) == before


#: Arguments and what the answer must name; {id} is the package, {files} the folder of files.
REFUSED: list[tuple[list[str], str]] = [
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--priority", "11"], "priority"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--priority", "-1"], "priority"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--priority", "high"], "priority"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--fragment-size", "0"], "fragment"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--fragment-size", "-1MiB"], "fragment"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--fragment-size", "lots"], "fragment"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--fragments", "0"], "fragment"),
    (
        [*LAUNCH, "--file", "{files}/good.tar.gz", "--fragments", "2", "--fragment-size", "1MiB"],
        "fragment",
    ),
    ([*LAUNCH[:6], "delete", *LAUNCH[7:], "--file", "{files}/good.tar.gz"], "action"),
    ([*LAUNCH[:4], "beos", *LAUNCH[5:], "--file", "{files}/good.tar.gz"], "os"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--digest", "crc32"], "digest"),
    ([*LAUNCH, "--file", "{files}/good.tar.gz", "--protocol", "ftp"], "protocol"),
    ([*LAUNCH, "--file", "{files}/a.rar"], "rar"),
    ([*LAUNCH, "--file", "{files}/a.7z"], "7z"),
    ([*LAUNCH, "--file", "{files}/good.zip"], "tar.gz"),
    ([*LAUNCH, "--file", "{files}/setup.msi"], "--wrap"),
    ([*LAUNCH, "--file", "{files}/empty.tar.gz"], "empty"),
    ([*LAUNCH, "--file", "{files}/one.tar.gz"], "one.tar.gz"),
    ([*LAUNCH, "--file", "{files}/lie.tar.gz"], "lie.tar.gz"),
    ([*LAUNCH, "--file", "{files}/cut.tar.gz"], "cut.tar.gz"),
    ([*STORE, "--file", "{files}/outside.tar.gz"], "passwd"),
    ([*STORE, "--file", "{files}/absolute.tar.gz"], "passwd"),
    ([*LAUNCH, "--file", "{files}/absent.tar.gz"], "absent.tar.gz"),
    ([*LAUNCH, "--file", "{files}"], ""),
    (LAUNCH, "file"),
    ([*LAUNCH[:-1], "/usr/bin/a.sh", "--file", "{files}/good.tar.gz"], "path"),
    ([*LAUNCH[:-1], "../a.sh", "--file", "{files}/good.tar.gz"], "path"),
    ([*LAUNCH[:-1], "'open quote", "--file", "{files}/good.tar.gz"], "quot"),
    ([*LAUNCH[:-2], "--file", "{files}/good.tar.gz"], "command"),
    ([*STORE[:-2], "--file", "{files}/good.tar.gz"], "path"),
    ([*STORE[:-1], "relative/path", "--file", "{files}/good.tar.gz"], "path"),
    ([*EXECUTE[:-2]], "command"),
    ([*EXECUTE[:-1], "  "], "command"),
    ([*EXECUTE[:2], "taken", *EXECUTE[3:]], "taken"),
    ([*EXECUTE[:2], "TAKEN", *EXECUTE[3:]], "taken"),
    ([*EXECUTE[:2], "", *EXECUTE[3:]], "name"),
    ([*EXECUTE[:2], "x" * 300, *EXECUTE[3:]], "name"),
    ([*EXECUTE[:2], "line\nbreak", *EXECUTE[3:]], "name"),
    ([*EXECUTE[:-1], "bell \x07"], "command"),
    ([*EXECUTE, "--success-code", "x"], "success"),
    ([*EXECUTE, "--execution-timeout", "-1"], "timeout"),
    (["package", "edit", "{id}", "--priority", "11"], "priority"),
    (["package", "edit", "{id}", "--fragment-size", "0"], "fragment"),
    (["package", "edit", "{id}", "--action", "erase"], "action"),
    (["package", "edit", "{id}", "--command", "bin/a.sh"], "path"),
    (["package", "edit", "{id}", "--command", "absent.sh"], "absent.sh"),
    (["package", "edit", "{id}", "--name", ""], "name"),
    (["package", "edit", "{id}", "--file", "{files}/a.rar"], "rar"),
    (["package", "edit", "{id}", "--file", "{files}/empty.tar.gz"], "empty"),
    (["package", "edit", "{id}", "--file", "{files}/one.tar.gz"], "one.tar.gz"),
    (["package", "edit", "{id}"], "what to change"),
    (["package", "edit", "1700000000", "--priority", "1"], "1700000000"),
    (["package", "activations", "1700000000"], "1700000000"),
    (["package", "show", "1700000000"], "1700000000"),
    (["package", "show", "nonsense"], "nonsense"),
    (["package", "delete", "1700000000"], "1700000000"),
    (["package", "activate", "1700000000", "--no-check"], "1700000000"),
    (
        ["package", "activate", "{id}", "--no-check", "--info-url", "http://a.example/download"],
        "https",
    ),
    (["package", "activate", "{id}", "--info-url", "no space.example/x"], ""),
    (["package", "activate", "{id}", "--info-url", "127.0.0.1:1/download"], "127.0.0.1:1"),
    (["package", "deactivate", "A999"], "A999"),
    (["package", "export", "1700000000", "-o", "{files}/out.zip"], "1700000000"),
    (["package", "lint", "{files}/lie.tar.gz"], ""),
    (["package", "lint", "{files}/absent.zip"], "absent.zip"),
    (["assign", "A999", "--search", "name = x"], "A999"),
    (["assign", "{id}", "--computer", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["assign", "{id}", "--group", "nobody"], "nobody"),
    (["assign", "{id}", "--search", "name = = x"], ""),
    (["assign", "{id}"], "--computer"),
    (["assign", "{id}", "--search", "name = x", "--schedule", "tomorrow"], "tomorrow"),
    (["assign", "{id}", "--search", "name = x", "--schedule", "2026/02/30 10:00"], "2026/02/30"),
    (["assign", "{id}", "--search", "name = x", "--postcmd", "a\nb"], "post command"),
    (["assign", "{id}", "--search", " "], "--search is empty"),
    (["unassign", "A999", "--not-notified"], "A999"),
    (["unassign", "{id}", "--search", "name = = x"], "character 8"),
    (["unassign", "{id}", "--group", "nobody"], "nobody"),
    (["unassign", "{id}", "--computer", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["unassign", "{id}"], "--computer"),
    (["computer", "show", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["computer", "delete", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["computer", "search", "nmae = x"], "nmae"),
    (["computer", "search", "name"], ""),
    (["computer", "search", "(name = x"], ""),
    (["computer", "search", 'name = "open'], ""),
    (["computer", "search", "last_contact > soon"], "soon"),
    (["group", "show", "nobody"], "nobody"),
    (["group", "delete", "nobody"], "nobody"),
    (["group", "include", "nobody", "x"], "nobody"),
    (["group", "exclude", "nobody", "x"], "nobody"),
    (["group", "reset", "nobody", "x"], "nobody"),
    (["group", "include", "some", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["group", "exclude", "some", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["group", "add", ""], "name"),
    (["group", "add", "SOME"], "some"),
    (["group", "add", "g", "--dynamic", "name = = x"], "character 8"),
    (["group", "add", "g", "--dynamic", "nmae = x"], "nmae"),
    (["group", "add", "g", "--dynamic", "name = x", "--visible"], "dynamic"),
    (["stats", "1700000000"], "1700000000"),
    (["validate", "1700000000", "--all"], "1700000000"),
    (["validate", "{id}"], "--"),
    (["setting", "get", "NONSENSE"], "NONSENSE"),
    (["setting", "set", "NONSENSE", "1"], "NONSENSE"),
    (["setting", "set", "DOWNLOAD_FRAG_LATENCY", "-1"], "DOWNLOAD_FRAG_LATENCY"),
    (["setting", "set", "DOWNLOAD_FRAG_LATENCY", "ten"], "DOWNLOAD_FRAG_LATENCY"),
    (["setting", "set", "DOWNLOAD_PERIOD_LENGTH", "0"], "DOWNLOAD_PERIOD_LENGTH"),
    (["setting", "set", "DOWNLOAD_TIMEOUT", "0"], "DOWNLOAD_TIMEOUT"),
    (["setting", "set", "PROLOG_FREQ", "0"], "PROLOG_FREQ"),
    (["setting", "set", "DOWNLOAD", "2"], "DOWNLOAD"),
    (["setting", "set", "DOWNLOAD", "1", "--computer", "nobody-2026-01-01-00-00-00"], "nobody"),
    (["setting", "unset", "NONSENSE"], "NONSENSE"),
    (["setting", "unset", "TIMEOUT", "--group", "nobody"], "nobody"),
    (["setting", "list", "--group", "nobody"], "nobody"),
    (["setting", "set", "AGENTS_OVER_HTTP", "1", "--group", "some"], "everybody"),
    (["user", "disable", "nobody"], "nobody"),
    (["user", "password", "nobody"], "nobody"),
    (["user", "add", "bo", "--password-file", "{files}/absent"], "absent"),
    (["user", "add", "bo", "--password-file", "{files}/empty.tar.gz"], "password"),
    (["user", "add", "x", "--role", "king"], "role"),
    (["user", "add", "admin", "--role", "viewer", "--password-file", "{files}/good.zip"], ""),
    (["cert", "install", "--cert", "{files}/good.zip", "--ca", "{files}/good.zip"], "good.zip"),
    (["cert", "install", "--cert", "{files}/absent", "--ca", "{files}/absent"], "absent"),
    (["cert", "request", "--host", "no host", "-o", "{files}/x.csr"], "no host"),
    (["cert", "request", "--subject", "nonsense", "-o", "{files}/x.csr"], "nonsense"),
    (["cert", "renew", "--host", "no host"], "no host"),
    (["cert", "renew", "--days", "many"], "many"),
    (["run", "--faces", "kitchen"], "kitchen"),
    (["run", "--http-port", "70000"], "70000"),
    (["run", "--workers", "0"], "workers"),
    (["init"], "initialised"),
    (["frobnicate"], "frobnicate"),
    (["package", "build"], ""),
]


@pytest.mark.parametrize(
    ("arguments", "named"),
    REFUSED,
    ids=[f"{n}-{' '.join(a)[:40]}" for n, (a, _) in enumerate(REFUSED)],
)
@pytest.mark.usefixtures("unchanged")
def test_a_wrong_value_is_refused(
    site: RunningServer, files: Path, arguments: list[str], named: str
) -> None:
    values = {"{id}": (site.data.parent / "id").read_text(), "{files}": str(files)}
    filled = arguments
    for mark, value in values.items():
        filled = [each.replace(mark, value) for each in filled]
    done = site.try_cli(*filled)
    assert done.status in {1, 2}, done
    assert done.out == ""
    assert named.lower() in done.err.lower()
    if done.status == 1:
        assert done.err.count("\n") == 1, done.err


def test_a_nul_in_a_path_is_refused() -> None:
    """No shell can pass a NUL, but a form can: the rule that both obey is asked."""
    with pytest.raises(SpecErrors, match="NUL") as caught:
        check_spec(PackageSpec("x", "linux", "STORE", "/opt/\0x"), has_file=True)
    assert set(caught.value.by_field()) == {"target"}


def test_a_folder_that_was_never_initialised(tmp_path: Path) -> None:
    done = run_program(
        "deploy-server", "package", "list", environ={"DEPLOY_SERVER_DATA": str(tmp_path / "x")}
    )
    assert done.returncode == 1
    assert "deploy-server init" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_while_building(tmp_path: Path) -> None:
    """A disk of 4 MiB: what was begun is removed, the message says the disk is full."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    server = RunningServer(tmp_path / "server")
    archive = tar_gz(tmp_path / "big.tar.gz", {"p": os.urandom(8 * 1024 * 1024)})
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        (server.data / "staging").rename(tmp_path / "staging")
        (server.data / "download").rename(tmp_path / "download")
        for name in ("staging", "download"):
            (disk / name).mkdir()
            (server.data / name).symlink_to(disk / name)
        with pytest.raises(CommandFailed, match="space"):
            server.cli(*STORE, "--file", archive)
        assert list((disk / "staging").iterdir()) == []
        assert list((disk / "download").iterdir()) == []
        assert server.json("package", "list") == []
    finally:
        subprocess.run(["umount", disk], check=True)
