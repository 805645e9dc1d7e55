"""Makes the server a service of systemd with a user of its own, and ends that.

What systemd is told goes through its programs. Everything may be done again: what is as it should
be stays. Where systemd is installed and does not run (an image in the making, a container), the
unit is written and enabled for the next boot.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy_server.domain.errors import Conflict, Forbidden, NotFound, StorageError
from deploy_server.services.unit import NAME, USER, Work, unit_text, users_text
from deploy_server.storage.atomic import replace_file
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.owning import give

SYSTEM = Path("/")
RUNNING = Path("/run/systemd/system")  # there where systemd is the init. Source: sd_booted(3)

_READABLE = 0o644
_COMMAND_S = 90


@dataclass(frozen=True, slots=True)
class Service:
    """The server's service below a root folder.

    Attributes:
        root: / , or where an image is made.
    """

    root: Path = SYSTEM

    @property
    def unit(self) -> Path:
        """Where the unit is."""
        return self.root / "etc/systemd/system" / NAME

    @property
    def users(self) -> Path:
        """Where it stands which user it has."""
        return self.root / "etc/sysusers.d/deploy-server.conf"

    @property
    def live(self) -> bool:
        """Whether systemd runs and can be told."""
        return self.root == SYSTEM and RUNNING.is_dir()

    def install(self, work: Work) -> Iterator[str]:
        """Make `work` a service that starts with the machine; say what was done.

        Raises:
            DeployError: something refuses.
        """
        if _write(self.users, users_text(work.data)) or self._account() is None:
            _run(["systemd-sysusers", f"--root={self.root}", str(self.users)])
        yield f"It runs as the user {USER}, who owns {work.data}."
        self._hand_over(work)
        changed = _write(self.unit, unit_text(work))
        yield f"The unit {self.unit} is {'written' if changed else 'as it should be'}."
        if not self.live:
            _run(["systemctl", "--root", str(self.root), "enable", NAME])
            yield "systemd does not run here; it starts the server at the next boot."
            return
        _run(["systemctl", "daemon-reload"])
        _run(["systemctl", "enable", NAME])
        was_active = _is_active()
        if changed or not was_active:
            _run(["systemctl", "restart", NAME])
        yield f"The server is enabled and {'was restarted' if was_active and changed else 'runs'}."

    def uninstall(self) -> Iterator[str]:
        """Stop, disable and remove the service; the user and the data stay. Say what was done.

        Raises:
            DeployError: something refuses.
        """
        if not self.unit.exists():
            yield f"There is no unit {self.unit}, so there is nothing to remove."
            return
        if self.live:
            _run(["systemctl", "disable", "--now", NAME])
        with storage_errors(f"{self.unit} cannot be removed"):
            (self.unit.parent / "multi-user.target.wants" / NAME).unlink(missing_ok=True)
            self.unit.unlink()
            self.users.unlink(missing_ok=True)
        if self.live:
            _run(["systemctl", "daemon-reload"])
        yield f"The server is stopped and the unit {self.unit} is removed."

    def _account(self) -> tuple[int, int] | None:
        """Return user and group id of the server's user, None where there is none."""
        try:
            lines = (self.root / "etc/passwd").read_text().splitlines()
        except FileNotFoundError:
            return None
        for line in lines:
            name, _, user, group, *_ = line.split(":")
            if name == USER:
                return int(user), int(group)
        return None

    def _hand_over(self, work: Work) -> None:
        """Give the data to the user, where they are somebody else's."""
        account = self._account()
        if account is None:
            raise NotFound(
                f"there is no user {USER}, and systemd-sysusers made none",
                f"Make one: useradd --system --home-dir {work.data} {USER}",
            )
        if work.database is not None:
            _hand_over_database(self.root / work.database.relative_to("/"), account)
        data = self.root / work.data.relative_to("/")
        with storage_errors(f"{data} cannot be given to {USER}"):
            give(data, account)


def _hand_over_database(file: Path, account: tuple[int, int]) -> None:
    """Give a database of SQLite and its folder, in which it writes; nothing else lies there."""
    folder = file.parent
    own = {file.name + end for end in ("", "-wal", "-shm", "-journal")}
    with storage_errors(f"{file} cannot be given to {USER}"):
        there = {each.name for each in folder.iterdir()}
        if folder.stat().st_uid == account[0]:
            for name in own & there:
                give(folder / name, account)
        elif strangers := there - own:
            raise Conflict(
                f"SQLite has to write in the folder of the database, and {folder} is not its own:"
                f" it lies there beside {sorted(strangers)[0]}",
                f"Move it into another and correct database_url, or type: chown {USER} {folder}",
            )
        else:
            give(folder, account)


def require_systemd(command: Sequence[str]) -> None:
    """Refuse where there is no systemd to be told.

    Raises:
        Conflict: there is none.
    """
    if shutil.which("systemctl") is None or shutil.which("systemd-sysusers") is None:
        raise Conflict(
            "this machine has no systemd, and 'install' knows no other way",
            f"Let its own means start this with the machine: {' '.join(command)}",
        )


def require_root() -> None:
    """Refuse to everybody but root.

    Raises:
        Forbidden: this is not root.
    """
    if os.geteuid() != 0:
        raise Forbidden(
            "only root may make or remove a service of the system",
            "Type it again with sudo, or with --root FOLDER to look at what it would do",
        )


def own_program() -> Path:
    """Return the `deploy-server` of this installation.

    Raises:
        NotFound: there is none.
    """
    program = Path(sys.executable).with_name("deploy-server")
    if not program.exists():
        raise NotFound(
            f"there is no program {program}, which the service would run",
            "Install Tranche with pip into an environment of its own, such as /opt/tranche",
        )
    return program


def check_reachable(path: Path) -> None:
    """Refuse what the service's user could not get at, or could be somebody else's tomorrow.

    Raises:
        Conflict: where and why.
    """
    for place in (path.resolve(), *path.resolve().parents):
        found = place.stat()
        if not found.st_mode & stat.S_IXOTH:
            why = "is closed to other users"
        elif found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            why = "can be written by everybody"
        else:
            continue
        raise Conflict(
            f"the service would run {path}, and {place} {why}",
            "Install Tranche where only root writes and everybody reads, such as /opt/tranche",
        )


def _write(path: Path, text: str) -> bool:
    """Make `text` the file; whether it was another."""
    with storage_errors(f"{path} cannot be written"):
        if path.exists() and path.read_bytes() == text.encode():
            return False
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, text.encode(), _READABLE)
    return True


def _is_active() -> bool:
    done = _result(["systemctl", "is-active", "--quiet", NAME])
    return done.returncode == 0


def _run(command: Sequence[str]) -> None:
    done = _result(command)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise StorageError(
            f"'{' '.join(command)}' failed: {said}",
            f"Look at: systemctl status {NAME}, journalctl -u {NAME}",
        )


def _result(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_COMMAND_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(
            f"systemd cannot be told: {error}", "Look at: systemctl status"
        ) from error
