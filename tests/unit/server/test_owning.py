"""What root's commands leave belongs to the user of the data directory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_server.storage.atomic import replace_file
from deploy_server.storage.owning import hand_over
from tests.support.cli import Cli

SERVICE = 12345  # no user of this machine


@pytest.fixture
def chown(monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Root's view of a directory of the service's user, whoever runs the tests."""
    given: set[str] = set()

    def give(path: Path | int, user: int, group: int, **_: object) -> None:
        assert user == SERVICE
        given.add(os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else str(path))

    monkeypatch.setattr(os, "chown", give)
    monkeypatch.setattr(os, "fchown", give)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stat, lstat = Path.stat, Path.lstat

    def owned(found: os.stat_result, user: int) -> os.stat_result:
        fields = list(found)
        fields[4] = user
        return os.stat_result(fields)

    def is_service_s(path: Path, **options: bool) -> os.stat_result:
        return owned(stat(path, **options), SERVICE)

    monkeypatch.setattr(Path, "stat", is_service_s)
    monkeypatch.setattr(Path, "lstat", lambda path: owned(lstat(path), 0))
    return lambda: given


def test_everything_of_a_new_package_is_given(
    tmp_path: Path, chown: Callable[[], set[str]]
) -> None:
    package = tmp_path / "download" / "1800000001"
    package.mkdir(parents=True)
    (package / "info").write_text("")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "server.pem").write_text("")
    hand_over(tmp_path)
    assert {str(package), str(package / "info"), str(tmp_path / "certs" / "server.pem")} <= chown()


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
