"""What root believes: only what nobody else can have written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent.domain.errors import ConfigError
from deploy_agent.machine import owners
from deploy_agent.machine.owners import check_believable, weak_spot

SOMEBODY = 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
ME = frozenset({0, os.geteuid()})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "agent.toml"
    path.write_text("")
    return path


def test_what_is_ours_alone_is_believed(file: Path) -> None:
    assert weak_spot(file, ME) is None
    assert weak_spot(file.with_name("missing"), ME) is None
    assert weak_spot(file / "no" / "folder", ME) is None


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_write(file: Path, mode: int) -> None:
    file.chmod(mode)
    found = weak_spot(file, ME)
    assert found is not None
    assert (found.path, found.why) == (file, "may be written by others")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707])
@pytest.mark.parametrize("name", ["agent.toml", "missing"])
def test_a_folder_that_others_write(file: Path, mode: int, name: str) -> None:
    file.parent.chmod(mode)
    found = weak_spot(file.parent / name, ME)
    assert found is not None
    assert found.path == file.parent


def test_in_a_sticky_folder_our_own_is_believed_and_nothing_that_others_could_make(
    file: Path,
) -> None:
    file.parent.chmod(0o1777)
    assert weak_spot(file, ME) is None
    for path in (file.with_name("missing"), file.parent):
        found = weak_spot(path, ME)
        assert found is not None
        assert found.path == file.parent


@root_only
@pytest.mark.parametrize(
    "change",
    [
        lambda file: os.chown(file, SOMEBODY, 0),
        lambda file: os.chown(file.parent, SOMEBODY, 0),
        lambda file: (file.parent.chmod(0o1777), os.chown(file, SOMEBODY, 0)),
        lambda file: os.chown(file.parent.parent, SOMEBODY, 0),
    ],
    ids=["the file", "its folder", "the file, in a sticky folder", "a folder above"],
)
def test_what_belongs_to_others(file: Path, change: Callable[[Path], object]) -> None:
    change(file)
    found = weak_spot(file)
    assert found is not None
    assert found.why == "belongs to the user 12345"


@root_only
def test_a_link_is_looked_at_and_followed(file: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "ca.pem").write_text("")
    link = file.with_name("ca.pem")
    for target in ("../far/ca.pem", str(far / "ca.pem"), "./../folder/../far/ca.pem"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        assert weak_spot(link) is None
        far.chmod(0o777)
        found = weak_spot(link)
        assert found is not None
        assert found.path == far
        far.chmod(0o755)
    os.lchown(link, SOMEBODY, 0)
    found = weak_spot(link)
    assert found is not None
    assert found.path == link


def test_a_ring_of_links_ends(file: Path) -> None:
    ring = file.with_name("ring")
    ring.symlink_to("ring")
    assert weak_spot(ring, ME) is None


def test_only_root_has_to_be_careful(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o666)
    monkeypatch.setattr(owners, "is_root", lambda: False)
    check_believable(file, "the configuration")


@root_only
def test_the_refusal_says_what_to_do(file: Path) -> None:
    check_believable(file, "ca_file")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=r"ca_file.*it may be written by others.*chmod go-w"):
        check_believable(file, "ca_file")
    file.chmod(0o644)
    os.chown(file.parent, SOMEBODY, 0)
    with pytest.raises(ConfigError, match=r"'.*/folder' belongs to .*/etc/deploy-agent"):
        check_believable(file, "ca_file")
