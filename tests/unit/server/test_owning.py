"""What root's commands leave belongs to the user of the data directory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_server.storage import owning
from deploy_server.storage.atomic import replace_file
from deploy_server.storage.owning import hand_over
from tests.support.cli import Cli

SERVICE = 12345  # no user of this machine


@pytest.fixture
def chown(monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Root's view of a directory of the service's user, whoever runs the tests."""
    given: set[str] = set()

    def give(name: str, user: int, group: int, *, dir_fd: int, follow_symlinks: bool) -> None:
        assert (user, follow_symlinks) == (SERVICE, False)
        given.add(f"{where(dir_fd)}/{name}")

    monkeypatch.setattr(os, "chown", give)
    monkeypatch.setattr(os, "fchown", lambda file, *_: given.add(where(file)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stat, look = Path.stat, owning._look
    monkeypatch.setattr(Path, "stat", lambda path, **more: owned(stat(path, **more), SERVICE))

    def seen(name: str, folder: int) -> os.stat_result:
        foreign = "foreign" in where(folder)
        return owned(look(name, folder), SERVICE if name == "." and not foreign else 0)

    monkeypatch.setattr(owning, "_look", seen)
    return lambda: given


def where(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def owned(found: os.stat_result, user: int) -> os.stat_result:
    fields = list(found)
    fields[4] = user
    return os.stat_result(fields)


def make_data(folder: Path) -> Path:
    (folder / "server.toml").write_text("")
    return folder


def test_everything_of_a_new_package_is_given(
    tmp_path: Path, chown: Callable[[], set[str]]
) -> None:
    package = tmp_path / "download" / "1800000001"
    package.mkdir(parents=True)
    (package / "info").write_text("")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "server.pem").write_text("")
    hand_over(make_data(tmp_path))
    assert {str(package), str(package / "info"), str(tmp_path / "certs" / "server.pem")} <= chown()


def test_what_a_link_leads_to_stays_whose_it_is(
    tmp_path: Path, chown: Callable[[], set[str]]
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "shadow").write_text("")
    data = tmp_path / "data"
    (data / "download" / "1800000001").mkdir(parents=True)
    (data / "uploads").symlink_to(foreign)
    (data / "download" / "1800000001" / "link").symlink_to(foreign)
    hand_over(make_data(data))
    assert f"{data}/download/1800000001/link" in chown()
    assert not [path for path in chown() if path.startswith(str(foreign))]


def test_a_folder_that_is_no_server_s_is_left_alone(
    tmp_path: Path, chown: Callable[[], set[str]]
) -> None:
    (tmp_path / "notes").write_text("")
    hand_over(tmp_path)
    assert chown() == set()


def test_a_replaced_file_is_never_root_s(tmp_path: Path, chown: Callable[[], set[str]]) -> None:
    replace_file(tmp_path / "server.pem", b"x")
    (given,) = chown()
    assert given.startswith(f"{tmp_path}/.server.pem.")


def test_nothing_is_given_where_nobody_else_owns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chown", lambda *_, **__: pytest.fail("nothing to give"))
    cli = Cli(tmp_path / "data")
    cli.ok("init", "--password-file", "-", stdin="correct horse")
    hand_over(tmp_path / "nothing")
