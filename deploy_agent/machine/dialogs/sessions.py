"""Who is logged in on a screen or a terminal: by systemd's or elogind's loginctl, else by utmp.

Without loginctl nobody knows whether a screen is locked, so nobody is asked there; terminals are.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from deploy_agent.domain.asking import Kind, Session

ANSWER_S = 10.0
#: What is there where systemd runs the computer, and logind can be spoken to.
LOGIND = (Path("/run/systemd/system"), Path("/run/dbus/system_bus_socket"))
#: Where it does not answer, somebody may be logged in: nobody is asked, and nothing runs as if
#: nobody were.
UNKNOWN = Session("?", "", -1, Kind.SCREEN, active=False)
_FACTS = (
    *("Id", "Name", "User", "Type", "Class", "State", "Active", "LockedHint"),
    *("Remote", "Display", "TTY"),
)
_SHOW = ("loginctl", "show-session", *(f"--property={name}" for name in _FACTS))
_SCREENS = ("x11", "wayland", "mir")
_TTY = re.compile(r"(?:/dev/)?((?:tty|pts/)[A-Za-z0-9]+)\Z", re.ASCII)

#: Runs a command and returns its output, None where it failed.
Run = Callable[[Sequence[str]], str | None]


def find_sessions(run: Run | None = None) -> list[Session]:
    """Return everybody who is logged in, as far as this system says.

    Args:
        run: runs loginctl; the real one by default.
    """
    run = run or _run
    ids = _listed(run)
    if ids is None:
        return [UNKNOWN] if all(each.exists() for each in LOGIND) else list(_from_utmp())
    if not ids:
        return []
    # One that ended meanwhile makes loginctl fail, after it has shown those before it; each is
    # asked for by itself then.
    shown = run([*_SHOW, *ids])
    if shown is not None:
        return [each for each in map(_session, _blocks(shown)) if each is not None]
    found = {i: run([*_SHOW, i]) for i in ids}
    left = _listed(run)
    sessions = [_session(facts) for text in found.values() for facts in _blocks(text or "")]
    if left is None or any(found.get(i) is None for i in left):
        sessions.append(UNKNOWN)
    return [each for each in sessions if each is not None]


def _listed(run: Run) -> list[str] | None:
    """Return the names of all sessions, None where loginctl does not say."""
    listed = run(["loginctl", "list-sessions", "--no-legend"])
    return (
        None
        if listed is None
        else [each.split()[0] for each in listed.splitlines() if each.split()]
    )


def _blocks(shown: str) -> Iterator[dict[str, str]]:
    for block in re.split(r"\n\s*\n", shown):
        lines = (line.partition("=") for line in block.splitlines() if "=" in line)
        yield {name.strip(): value.strip() for name, _, value in lines}


def _session(facts: Mapping[str, str]) -> Session | None:
    """Return the session of which loginctl says `facts`; None where nobody sits there."""
    if not facts.get("Class", "user").startswith("user") or not facts.get("User", "").isdigit():
        return None  # a login screen, a job in the background
    if facts.get("State") == "closing":
        return None
    screen = facts.get("Type") in _SCREENS
    tty = _TTY.match(facts.get("TTY", ""))
    if not screen and tty is None:
        return None  # a copy over SSH, a manager of services
    return Session(
        id=facts.get("Id", ""),
        user=facts.get("Name", ""),
        uid=int(facts["User"]),
        kind=Kind.SCREEN if screen else Kind.TERMINAL,
        active=facts.get("Active") == "yes",
        locked=facts.get("LockedHint") == "yes",
        display=facts.get("Display", ""),
        tty=tty.group(1) if tty else "",
        remote=facts.get("Remote") == "yes",
    )


def _from_utmp() -> Iterator[Session]:
    import psutil

    for entry in psutil.users():
        if entry.pid is not None and not psutil.pid_exists(int(entry.pid)):
            continue  # an entry that nobody took away
        tty = _TTY.match(entry.terminal or "")
        yield Session(
            id=f"utmp-{entry.terminal or ''}-{entry.pid or 0}-{int(entry.started)}",
            user=entry.name,
            uid=_uid(entry.name),
            kind=Kind.SCREEN if tty is None else Kind.TERMINAL,
            # Only loginctl says whether a screen is locked.
            active=tty is not None,
            tty=tty.group(1) if tty else "",
            remote=bool(entry.host) and not str(entry.host).startswith(":"),
        )


def _uid(name: str) -> int:
    try:
        import pwd

        return pwd.getpwnam(name).pw_uid
    except (ImportError, KeyError):
        return -1


def _run(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
