"""STORE into a folder whose owner works against it."""

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
    really_make = Path.mkdir

    def make(self: Path, *args: int, **options: int) -> None:
        really_make(self, *args, **options)  # type: ignore[arg-type]
        if self.name == "sub":
            self.rmdir()
            self.symlink_to(victim)

    monkeypatch.setattr(Path, "mkdir", make)
    with pytest.raises(ActionFailed):
        store(tree, tmp_path / "target", lambda: None)
    assert victim.stat().st_mode & 0o777 == 0o600
