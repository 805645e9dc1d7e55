"""Windows on a screen: zenity, else kdialog, as the session's user and in the user's session.

Every answer is read from what the tool prints, never from its exit status: there a closed window,
a lost display and a button look alike.
"""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from deploy_agent.domain.asking import Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs import Answered, Window
from deploy_agent.machine.dialogs.markup import to_pango, to_qt

TITLE = "Software installation"
LABELS = {
    Reply.NOW: "Start now",
    Reply.LATER: "Later",
    Reply.CANCEL: "Cancel this installation",
    Reply.DONE: "Done",
}
PATH = "/usr/local/bin:/usr/bin:/bin"
END_S = 2.0  # how long a window may take to go before it is killed
OUTPUT_MAX = 1000

#: What of a user's environment leads to the user's screen, and how it looks there.
_OF_SESSION = (
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "LANG", "LC_ALL", "LC_MESSAGES"),
)

log = logging.getLogger(__name__)


class User(NamedTuple):
    """Whose window it is."""

    name: str
    uid: int
    gid: int
    home: str


def open_on_screen(question: Question, session: Session, answered: Answered) -> Window | None:
    """Show a question in a graphical session; None where nothing here can.

    Args:
        question: what is asked.
        session: where.
        answered: called from another thread once the window is gone.
    """
    command = tool_command(question, shutil.which)
    user = _user_of(session)
    if command is None or user is None:
        return None
    env = {**session_environment(session, user), **_of(user)}
    if "DISPLAY" not in env and "WAYLAND_DISPLAY" not in env:
        return None
    try:
        return ProcessWindow(command, env, user, question.replies, answered)
    except OSError as error:
        log.warning("'%s' cannot be started for %s: %s", command[0], user.name, error)
        return None


def tool_command(question: Question, which: Callable[[str], str | None]) -> list[str] | None:
    """Return the command that shows `question`; None where there is no tool.

    Args:
        question: what is asked.
        which: finds programs.
    """
    for name, make in (("zenity", _zenity), ("kdialog", _kdialog)):
        found = which(name)
        if found is not None:
            return [found, *make(question)]
    return None


def read_reply(printed: str, replies: Iterable[Reply]) -> Reply:
    """Return which of `replies` a tool printed, NOTHING where it printed none of them."""
    said = printed.strip()
    return next((each for each in replies if said in (LABELS[each], each.value)), Reply.NOTHING)


def _zenity(question: Question) -> list[str]:
    # --switch leaves the tool's own buttons out, whose answers would be exit statuses. zenity reads
    # \n and the like in a text, so a backslash is doubled.
    markup = _with_hint(to_pango(question.text), question.hint, "\n\n")
    text = markup.replace("\\", "\\\\")
    buttons = [f"--extra-button={LABELS[each]}" for each in _safest_first(question)]
    return ["--question", "--switch", f"--title={TITLE}", f"--text={text}", "--width=480", *buttons]


def _kdialog(question: Question) -> list[str]:
    # A menu prints what was chosen; of its buttons, closing the window looks like Cancel.
    rich = _with_hint(to_qt(question.text).removesuffix("</qt>"), question.hint, "<br/><br/>")
    text = f"{rich}</qt>".replace("\\", "&#92;")
    order = _safest_first(question)
    entries = [part for each in order for part in (each.value, LABELS[each])]
    return ["--title", TITLE, "--menu", text, *entries]


def _safest_first(question: Question) -> list[Reply]:
    # The first one has the keyboard: whoever is typing in another window when this one comes up
    # must not start anything, and rather put it off than cancel it.
    return sorted(question.replies, key=[Reply.LATER, Reply.CANCEL, Reply.DONE, Reply.NOW].index)


def _with_hint(text: str, hint: str, between: str) -> str:
    return f"{text}{between}{hint}" if hint else text


class ProcessWindow:
    """A window that is a process; it dies with the agent."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        user: User,
        replies: tuple[Reply, ...],
        answered: Answered,
    ) -> None:
        """Start `command` as `user`.

        Raises:
            OSError: it cannot be started.
        """
        self._replies = replies
        self._answered = answered
        self._reply: Reply | None = None
        self._process = subprocess.Popen(
            [*_tied(), *command],
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **_as_user(user),
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def poll(self) -> Reply | None:
        """Return what was answered; None while the window stands."""
        return self._reply

    def close(self) -> None:
        """Take the window away."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _watch(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            printed = pipe.read(OUTPUT_MAX).decode(errors="replace")
        self._process.wait()
        self._reply = read_reply(printed, self._replies)
        self._answered()


def session_environment(session: Session, user: User) -> dict[str, str]:
    """Return what of the environment leads to the session's screen.

    The user's own processes know.
    """
    envs = sorted(_environments(session.uid), key=lambda env: leads_to(session, env))
    best = envs[-1] if envs and leads_to(session, envs[-1]) else {}
    found = {name: best[name] for name in _OF_SESSION if best.get(name)}
    if session.display:
        found.setdefault("DISPLAY", session.display)
    cookies = Path(user.home) / ".Xauthority"
    if "DISPLAY" in found and "XAUTHORITY" not in found and cookies.exists():
        found["XAUTHORITY"] = str(cookies)
    runtime = Path(f"/run/user/{user.uid}")
    if "XDG_RUNTIME_DIR" not in found and runtime.is_dir():
        found["XDG_RUNTIME_DIR"] = str(runtime)
    return found


def leads_to(session: Session, env: Mapping[str, str]) -> int:
    """Return how surely a process with `env` is on the session's screen; 0 for not at all."""
    if "DISPLAY" not in env and "WAYLAND_DISPLAY" not in env:
        return 0
    if env.get("XDG_SESSION_ID") == session.id:
        return 3
    if session.display:
        return 2 if env.get("DISPLAY") == session.display else 0
    # Services of a user's desktop know its screen, and not the session that they serve.
    return 1 if "XDG_SESSION_ID" not in env and "WAYLAND_DISPLAY" in env else 0


def _environments(uid: int) -> Iterable[dict[str, str]]:
    """Yield the environments of the user's own processes."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, AttributeError):
            uids = process.uids()
            if uids.real == uids.effective == uid:
                yield process.environ()


def _user_of(session: Session) -> User | None:
    """Return the user of a session; None where this agent may not be that user."""
    if sys.platform == "win32":
        return None
    import pwd

    if os.geteuid() not in (0, session.uid):
        return None
    try:
        found = pwd.getpwuid(session.uid)
    except KeyError:
        return None
    return User(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def _of(user: User) -> dict[str, str]:
    return {"PATH": PATH, "HOME": user.home, "USER": user.name, "LOGNAME": user.name}


def _as_user(user: User) -> dict[str, Any]:
    """Return what makes a process the user's, with nothing of the agent's rights."""
    if sys.platform == "win32" or os.geteuid() == user.uid:
        return {}
    groups = os.getgrouplist(user.name, user.gid)
    return {"user": user.uid, "group": user.gid, "extra_groups": groups}


def _tied() -> list[str]:
    """Return the words before a command that end it with the agent, however that ends."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv is not None else []
