"""Emptying and removing folders: everything of theirs, nothing of others."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy_agent.domain.errors import CleanFailed
from deploy_agent.machine import trees

NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and protect files")


def test_a_missing_tree_is_made_for_us_alone(tmp_path: Path) -> None:
    tree = tmp_path / "new" / "tree"
    trees.empty_tree(tree)
    assert list(tree.iterdir()) == []
    assert tree.stat().st_mode & 0o777 == 0o700


def test_everything_in_it_goes_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("keep")
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/file").write_text("x")
    (tree / "link").symlink_to(outside)
    trees.empty_tree(tree)
    assert list(tree.iterdir()) == []
    assert (outside / "keep").read_text() == "keep"


def test_a_file_or_a_link_in_its_place_goes_too(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("keep")
    tree = tmp_path / "tree"
    tree.symlink_to(outside)
    trees.empty_tree(tree)
    assert tree.is_dir()
    assert not tree.is_symlink()
    assert (outside / "keep").exists()
    tree.rmdir()
    tree.write_text("a file")
    trees.empty_tree(tree)
    assert tree.is_dir()


def test_remove_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    trees.remove_tree(tree)
    trees.remove_tree(tree)
    assert not tree.exists()


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Root may write everywhere, so it has to be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_read_only_folders_go_as_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as top:
        if os.geteuid() == 0:
            os.chown(top, NOBODY, NOBODY)
        with an_ordinary_user():
            tree = Path(top) / "tree"
            (tree / "a/b/c").mkdir(parents=True)
            (tree / "a/b/file").write_text("x")
            (tree / "a/b/c").chmod(0)
            for path in (tree / "a/b", tree / "a", tree):
                path.chmod(0o500)
            trees.remove_tree(tree)
            assert not tree.exists()


@root_only
def test_nothing_is_removed_through_a_mount(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "keep").write_text("keep")
    point = tmp_path / "tree/with space"
    point.mkdir(parents=True)
    subprocess.run(["mount", "--bind", disk, point], check=True)
    try:
        with pytest.raises(CleanFailed, match=r"something is mounted at '.*with space'"):
            trees.empty_tree(tmp_path / "tree")
        assert (disk / "keep").read_text() == "keep"
    finally:
        subprocess.run(["umount", point], check=True)


@root_only
def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    """A mount below cannot be removed even by root; here the check of mounts itself is blind."""
    point = tmp_path / "tree/busy"
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trees, "_MOUNTS", tmp_path / "nothing")
            with pytest.raises(CleanFailed, match=r"busy' in .* cannot be removed"):
                trees.remove_tree(tmp_path / "tree")
    finally:
        subprocess.run(["umount", point], check=True)


def test_a_place_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CleanFailed, match="cannot be"):
        trees.empty_tree(tmp_path / "file/tree")
