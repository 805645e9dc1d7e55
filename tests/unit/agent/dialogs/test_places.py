"""Where users on terminals answer: agent and user get to the same place, whoever looks."""

from pathlib import Path

import pytest

from deploy_agent.config import SYSTEM_STATE
from deploy_agent.machine.dialogs import places
from deploy_agent.machine.dialogs.places import answer_place

ROOT = 0


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> list[int | OSError]:
    """Who owns any folder, as the system says it."""
    says: list[int | OSError] = [ROOT]

    def owner_of(path: str) -> int:
        if isinstance(says[0], OSError):
            raise says[0]
        return says[0]

    monkeypatch.setattr(places, "owner_of", owner_of)
    return says


def test_the_service_has_its_old_place_and_needs_no_option() -> None:
    place = answer_place(SYSTEM_STATE)
    assert place.path == Path("/run/deploy-agent/answer.sock")
    assert place.command("18", "now|later") == "deploy-agent answer 18 now|later"


def test_another_folder_of_roots_has_a_place_that_everybody_gets_to(
    owner: list[int | OSError], tmp_path: Path
) -> None:
    place, other = answer_place(tmp_path / "a b"), answer_place(tmp_path / "b")
    assert place.path.parent == Path("/run/deploy-agent")
    assert place.path != other.path
    assert len(str(place.path)) < 60
    assert place.command("18", "now") == f"deploy-agent answer 18 now --state '{tmp_path}/a b'"


def test_a_user_who_may_not_look_gets_to_the_same_place(
    owner: list[int | OSError], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    of_agent = answer_place(tmp_path / "link")
    assert of_agent.state == str(tmp_path / "real")
    owner[0] = PermissionError(13, "Permission denied")
    assert answer_place(Path(of_agent.state)) == of_agent


@pytest.mark.parametrize("says", [1000, FileNotFoundError(2, "No such file")])
def test_a_users_agent_is_answered_in_its_own_folder(
    owner: list[int | OSError], tmp_path: Path, says: int | OSError
) -> None:
    owner[0] = says
    assert answer_place(tmp_path).path == tmp_path / "answer.sock"
    assert answer_place(tmp_path).state == str(tmp_path)
