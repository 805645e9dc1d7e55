"""STORE into a folder whose owner works against it; below, links that may be followed."""

import os
from pathlib import Path

import pytest

from deploy_agent.domain.errors import ActionFailed
from deploy_agent.machine.runner.copying import PART, store


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub").chmod(0o777)
    (tree / "file").write_text("new")
    (tree / "file").chmod(0o777)
    return tree


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    victim = tmp_path / "victim"
    victim.write_text("secret")
    victim.chmod(0o600)
    return victim


def test_a_link_in_the_place_of_a_half_copied_file_gets_no_mode(
    tree: Path, victim: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    def swap() -> None:
        if (target / PART).exists():
            (target / PART).unlink()
            (target / PART).symlink_to(victim)

    store(tree, target, swap)
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("secret", 0o600)


def test_a_link_in_the_place_of_a_new_folder_gets_no_mode(
    tree: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_make = os.mkdir

    def make(path: str, *args: int, **options: int) -> None:
        really_make(path, *args, **options)
        if path == "sub":
            os.rmdir(path, **options)
            os.symlink(victim, path, **options)

    monkeypatch.setattr(os, "mkdir", make)
    with pytest.raises(ActionFailed):
        store(tree, tmp_path / "target", lambda: None)
    assert victim.stat().st_mode & 0o777 == 0o600


SOMEBODY = 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that nobody but its owner may write, as /etc/cron.d is one."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return elsewhere


def refused(tree: Path, target: Path, elsewhere: Path) -> str:
    with pytest.raises(ActionFailed) as caught:
        store(tree, target, lambda: None)
    assert list(elsewhere.iterdir()) == []
    return str(caught.value)


@root_only
def test_a_users_link_in_a_users_folder_is_not_followed(
    tree: Path, tmp_path: Path, elsewhere: Path
) -> None:
    (tree / "sub/job").write_text("* * * * * root x")
    home = tmp_path / "home"
    home.mkdir()
    (home / "sub").symlink_to(elsewhere)
    os.lchown(home / "sub", SOMEBODY, SOMEBODY)
    os.chown(home, SOMEBODY, SOMEBODY)
    text = refused(tree, home, elsewhere)
    assert f"'{home}/sub' is a link" in text
    assert "another PATH" in text


@root_only
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o707])
def test_roots_own_link_is_not_followed_where_others_could_have_moved_it(
    tree: Path, tmp_path: Path, elsewhere: Path, mode: int
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    (tmp_path / "shared/sub").symlink_to(elsewhere)
    refused(tree, tmp_path / "shared", elsewhere)
    (tmp_path / "shared/inner").mkdir()  # is root's alone, but can be another's in a moment
    (tmp_path / "shared/inner/sub").symlink_to(elsewhere)
    refused(tree, tmp_path / "shared/inner", elsewhere)


@root_only
def test_a_users_link_on_the_way_to_the_path_is_not_followed(
    tree: Path, tmp_path: Path, elsewhere: Path
) -> None:
    (tmp_path / "link").symlink_to(elsewhere)
    os.lchown(tmp_path / "link", SOMEBODY, SOMEBODY)
    refused(tree, tmp_path / "link" / "deep", elsewhere)
    refused(tree, tmp_path / "link", elsewhere)


@root_only
def test_a_users_real_folders_are_written_into(tree: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    for folder in (home, home / "sub"):
        os.chown(folder, SOMEBODY, SOMEBODY)
    (tree / "sub/note").write_text("for you")
    store(tree, home, lambda: None)
    assert (home / "sub/note").read_text() == "for you"
    assert (home / "sub").stat().st_uid == SOMEBODY


@pytest.mark.parametrize("form", ["absolute", "relative", "chain", "upwards"])
def test_our_own_links_are_followed(tree: Path, tmp_path: Path, elsewhere: Path, form: str) -> None:
    """As /bin leads to usr/bin."""
    target = tmp_path / "target"
    target.mkdir()
    (tree / "sub/note").write_text("there")
    if form == "chain":
        (target / "first").symlink_to("second")
        (target / "second").symlink_to(elsewhere)
    there = {
        "absolute": str(elsewhere),
        "relative": "../elsewhere",
        "chain": "first",
        "upwards": "../target/./../elsewhere",
    }[form]
    (target / "sub").symlink_to(there)
    store(tree, target, lambda: None)
    assert (elsewhere / "note").read_text() == "there"
    (tmp_path / "entry").symlink_to(target)
    store(tree, tmp_path / "entry" / ".." / "target", lambda: None)
    assert (elsewhere / "note").stat().st_nlink == 1


def test_a_sticky_folder_keeps_what_is_ours(tree: Path, tmp_path: Path, elsewhere: Path) -> None:
    (tree / "sub/note").write_text("there")
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (sticky / "sub").symlink_to(elsewhere)
    store(tree, sticky, lambda: None)
    assert (elsewhere / "note").read_text() == "there"


def test_a_ring_of_links_is_an_error(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(ActionFailed, match="too many links"):
        store(tree, tmp_path / "ring", lambda: None)


def test_what_is_no_folder_is_named_with_its_whole_path(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/sub").write_text("in the way")
    with pytest.raises(ActionFailed, match=f"'{tmp_path}/target/sub' could not be written: Not a"):
        store(tree, tmp_path / "target", lambda: None)


def test_no_descriptor_is_left_open(tree: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    store(tree, tmp_path / "a/b", lambda: None)
    assert len(os.listdir("/proc/self/fd")) == before
