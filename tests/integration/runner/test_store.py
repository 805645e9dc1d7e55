"""STORE: files appear whole, at once, and again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent.domain.outcome import Outcome, judge
from deploy_agent.machine import runner
from deploy_agent.wire.terms import Action
from tests.integration.runner.packages import root_only
from tests.support.waiting import wait_until


def store_tree(folder: Path) -> Path:
    tree = folder / "tree"
    (tree / "sub/.hidden").mkdir(parents=True)
    (tree / "sub").chmod(0o750)
    (tree / "file").write_text("new")
    (tree / ".dot").write_text("dot")
    (tree / "sub/run").write_text("run")
    (tree / "sub/run").chmod(0o755)
    (tree / "sub/.hidden/é").write_text("é")
    (tree / "link").symlink_to("sub/run")
    (tree / "folder-link").symlink_to("sub")
    return tree


def test_store(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(tmp_path))
    store_tree(folder)
    target = tmp_path / "a/b c/d"
    for _ in range(2):  # repeatable
        outcome = run(Action.STORE, "${WHERE}/a/b c/d")
        assert judge(outcome).code == "SUCCESS"
        wait_until(lambda: not runner.is_running(folder), "the runner is gone")
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == [
        ".dot",
        "file",
        "folder-link",
        "link",
        "sub",
        "sub/.hidden",
        "sub/.hidden/é",
        "sub/run",
    ]
    assert os.readlink(target / "folder-link") == "sub"
    assert (target / "link").read_text() == "run"
    assert (target / "sub/run").stat().st_mode & 0o777 == 0o755
    assert (target / "sub").stat().st_mode & 0o777 == 0o750
    assert (target.stat().st_mode & 0o777, (tmp_path / "a").stat().st_mode & 0o777) == (
        0o755,
        0o755,
    )


def test_store_replaces_files_and_spares_the_rest(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    store_tree(folder)
    target = tmp_path / "target"
    (target / "real").mkdir(parents=True)
    (target / "other").write_text("other")
    (target / "victim").write_text("victim")
    (target / "file").symlink_to("victim")
    (target / "sub").symlink_to("real")  # as /bin is a link to /usr/bin
    (target / ".tranche-store.part").write_text("left by a run that was killed")
    with (target / "victim").open() as open_before:
        assert judge(run(Action.STORE, str(target))).code == "SUCCESS"
        assert open_before.read() == "victim"
    assert (target / "file").read_text() == "new"
    assert not (target / "file").is_symlink()
    assert (target / "other").read_text() == "other"
    assert (target / "victim").read_text() == "victim"
    assert (target / "real/run").read_text() == "run"
    assert not (target / ".tranche-store.part").exists()


def test_store_to_the_agents_folder(folder: Path, run: Callable[..., Outcome]) -> None:
    store_tree(folder)
    assert judge(run(Action.STORE, "INSTALL_PATH/plugins")).code == "SUCCESS"
    assert (folder.parent / "agent/plugins/file").read_text() == "new"


def test_store_where_a_folder_stands_in_the_way(
    folder: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    store_tree(folder)
    (tmp_path / "target/file").mkdir(parents=True)
    outcome = run(Action.STORE, str(tmp_path / "target"))
    assert judge(outcome).code == "ERR_EXECUTE"
    assert f"{tmp_path}/target/file" in outcome.error
    assert not list((tmp_path / "target").glob("*.part"))


def test_store_has_a_timeout(folder: Path, tmp_path: Path, run: Callable[..., Outcome]) -> None:
    store_tree(folder)
    outcome = run(Action.STORE, str(tmp_path / "target"), timeout_s=0.000001)
    assert judge(outcome).code == "ERR_EXECUTE_TIMEOUT"


@root_only
def test_store_that_does_not_fit_changes_nothing(
    folder: Path, small_disk: Path, run: Callable[..., Outcome]
) -> None:
    for name in "abc":
        (folder / "tree" / name).write_bytes(bytes(1_000_000))
    outcome = run(Action.STORE, f"{small_disk}/new")
    assert judge(outcome).code == "ERR_OUT_OF_SPACE"
    assert list(small_disk.iterdir()) == []


@root_only
def test_store_again_fits_beside_what_it_replaces(
    folder: Path, small_disk: Path, run: Callable[..., Outcome]
) -> None:
    for name in "abc":
        (folder / "tree" / name).write_bytes(bytes(500_000))
    for _ in range(2):
        assert judge(run(Action.STORE, str(small_disk))).code == "SUCCESS"
        wait_until(lambda: not runner.is_running(folder), "the runner is gone")
