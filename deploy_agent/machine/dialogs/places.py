"""Where users on terminals answer an agent, told from its state folder by agent and user alike.

Nobody but root gets into the folder of root's agent, so that one listens in `SYSTEM_FOLDER`, where
root alone can put a socket and everybody can speak to it. Agents of users listen in their folder.
"""

import hashlib
import os
import shlex
from pathlib import Path
from typing import NamedTuple

from deploy_agent.config import SYSTEM_STATE

SYSTEM_FOLDER = Path("/run/deploy-agent")
COMMAND = "deploy-agent answer"

_NAME = "answer.sock"
_DIGEST = 12  # digits in a socket's name; one has room for 107 characters


class AnswerPlace(NamedTuple):
    """Where and how an agent is answered.

    Attributes:
        path: the socket.
        state: what `--state` has to say, '' where it need not be said.
    """

    path: Path
    state: str = ""

    def command(self, package_id: str, words: str) -> str:
        """Return what a user types to answer."""
        option = f" --state {shlex.quote(self.state)}" if self.state else ""
        return f"{COMMAND} {package_id} {words}{option}"


def answer_place(state: Path) -> AnswerPlace:
    """Return where the agent with this state folder is answered."""
    if state == SYSTEM_STATE:
        return AnswerPlace(SYSTEM_FOLDER / _NAME)
    # Without its links: a user who cannot look at them has to get to the same name.
    real = os.path.realpath(state)
    if not _is_roots(real):
        return AnswerPlace(state / _NAME, str(state))
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:_DIGEST]
    return AnswerPlace(SYSTEM_FOLDER / f"answer-{digest}.sock", real)


def owner_of(path: str) -> int:
    """Return the number of the user whose file or folder it is.

    Raises:
        OSError: it is not there, or nobody may look.
    """
    return Path(path).stat().st_uid


def _is_roots(real: str) -> bool:
    try:
        return owner_of(real) == 0
    except PermissionError:  # it is in a folder of somebody who keeps others out
        return True
    except OSError:
        return False
