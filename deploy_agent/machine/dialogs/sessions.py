"""Who is logged in on a screen or a terminal: by systemd's or elogind's loginctl, else by utmp.

Without loginctl nobody knows whether a screen is locked, so nobody is asked there; terminals are.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from deploy_agent.domain.asking import Kind, Session

ANSWER_S = 10.0
_SHOWN = ("Id", "Name", "User", "Type", "Class", "State", "Active", "LockedHint")
_SHOWN_TOO = ("Remote", "Display", "TTY")
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
    listed = run(["loginctl", "list-sessions", "--no-legend"])
    if listed is None:
        return list(_from_utmp())
    ids = [line.split()[0] for line in listed.splitlines() if line.split()]
    if not ids:
        return []
    options = [f"--property={name}" for name in (*_SHOWN, *_SHOWN_TOO)]
    # One that ended meanwhile makes loginctl fail after it has shown those before it; all of them
    # are asked for one by one then.
    shown = run(["loginctl", "show-session", *options, *ids])
    if shown is None:
        shown = "\n\n".join(run(["loginctl", "show-session", *options, i]) or "" for i in ids)
    return [each for each in map(_session, _blocks(shown)) if each is not None]


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

    for number, entry in enumerate(psutil.users()):
        tty = _TTY.match(entry.terminal or "")
        yield Session(
            id=f"utmp{number}-{entry.terminal or ''}-{int(entry.started)}",
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
