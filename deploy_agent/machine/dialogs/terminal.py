"""A notice on a user's terminal, and the socket by which the user answers it.

Shape of an answer: one line to the socket, `1800000001 later`; one line back, for the user. The
kernel says who sent it, and only the user who was asked may answer.
"""

import errno
import logging
import os
import re
import select
import socket
import stat
import struct
import threading
from contextlib import suppress
from pathlib import Path

from deploy_agent.domain.asking import Question, Session
from deploy_agent.domain.errors import AgentError
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs import Answered, Window
from deploy_agent.machine.dialogs.markup import to_plain
from deploy_agent.machine.dialogs.places import AnswerPlace

TALK_S = 5.0  # how long one who connected may take
TAKE_S = 1.0  # how long a terminal may take nothing
LINE_MAX = 200
_ANSWER = re.compile(r"([0-9]{1,20}) ([a-z]{1,10})\n?\Z", re.ASCII)
_DEVICES = Path("/dev")

log = logging.getLogger(__name__)


class NoAnswer(AgentError):
    """The answer was not taken."""

    code = "NO_ANSWER"


def open_on_terminal(
    question: Question, session: Session, answered: Answered, place: AnswerPlace
) -> Window | None:
    """Put a notice on the session's terminal and wait for an answer at `place`.

    Args:
        question: what is asked.
        session: where.
        answered: called from another thread when there is an answer.
        place: of the socket; its folder belongs to the agent alone.

    Returns:
        The window; None where nothing can be written there, or nobody could answer.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return None  # nothing would say who answered
    try:
        window = TerminalWindow(question, session, answered, place.path)
    except OSError as error:
        log.warning("no answer can be taken at '%s': %s", place.path, error)
        return None
    try:
        write_to_terminal(session, notice(question, place), _DEVICES)
    except OSError as error:
        log.warning("nothing can be written to %s's %s: %s", session.user, session.tty, error)
        window.close()
        return None
    return window


def notice(question: Question, place: AnswerPlace) -> str:
    """Return what stands on the terminal."""
    words = "|".join(each.value for each in question.replies)
    parts = [
        "",
        f"--- Software installation (package {question.package_id}) ---",
        to_plain(question.text),
        *([question.hint] if question.hint else []),
        f"Answer with:  {place.command(question.package_id, words)}",
        "---",
        "",
    ]
    return "\n".join(parts)


def write_to_terminal(session: Session, text: str, devices: Path) -> None:
    """Write to a user's terminal, and to nothing else, waiting no longer than a moment.

    Raises:
        OSError: it is not there, not the user's, or takes nothing.
    """
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
    descriptor = os.open(devices / session.tty, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISCHR(status.st_mode) or status.st_uid != session.uid:
            raise PermissionError(0, "it is not the user's terminal")
        # A terminal whose line feeds are not translated needs both characters.
        rest = text.replace("\n", "\r\n").encode()
        while rest:
            if not select.select([], [descriptor], [], TAKE_S)[1]:
                raise BlockingIOError(errno.EAGAIN, "it takes nothing")
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


class TerminalWindow:
    """Takes the answer to one question at a socket."""

    def __init__(
        self, question: Question, session: Session, answered: Answered, path: Path
    ) -> None:
        """Listen at `path`.

        Raises:
            OSError: it cannot be made.
        """
        self._question = question
        self._session = session
        self._answered = answered
        self._path = path
        self._reply: Reply | None = None
        self._listener = _listen(path)
        threading.Thread(target=self._serve, daemon=True).start()

    def poll(self) -> Reply | None:
        """Return what was answered; None while nothing was."""
        return self._reply

    def close(self) -> None:
        """Take no answer any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(TALK_S)
                connection.sendall(f"{self._hear(connection)}\n".encode())

    def _hear(self, connection: socket.socket) -> str:
        """Take one answer; return what its sender is told, with '+' or '-' before it."""
        if peer_uid(connection) != self._session.uid:
            # Without waiting for a word: whoever says none would keep the user from saying no.
            return f"-{self._session.user} was asked, and nobody else can answer"
        return self._take(connection.recv(LINE_MAX).decode(errors="replace"))

    def _take(self, line: str) -> str:
        said = _ANSWER.match(line)
        if said is None or said.group(1) != self._question.package_id:
            return "-nobody is being asked about that package"
        if self._reply is not None:
            return "-it was answered already"
        replies = [each for each in self._question.replies if each.value == said.group(2)]
        if not replies:
            return f"-possible answers: {', '.join(each.value for each in self._question.replies)}"
        self._reply = replies[0]
        self._answered()
        return f"+package {self._question.package_id}: {replies[0].value}"


def send_answer(path: Path, package_id: str, word: str) -> str:
    """Answer the question that stands at `path`; return what the agent says to it.

    Raises:
        NoAnswer: there is no question, or the answer is not taken.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TALK_S)
            connection.connect(str(path))
            with suppress(BrokenPipeError):  # it has said already why it does not listen
                connection.sendall(f"{package_id} {word}\n".encode())
            said = connection.recv(1000).decode(errors="replace").strip()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoAnswer(
            "nobody is being asked anything on a terminal here",
            "The question may be over, or stand in a window on a screen",
        ) from error
    except (OSError, AttributeError) as error:
        raise NoAnswer(f"the agent cannot be told: {error}") from error
    if not said.startswith("+"):
        raise NoAnswer(said.removeprefix("-") or "the agent said nothing")
    return said.removeprefix("+")


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end, by the kernel's word."""
    size = struct.calcsize("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", found)
    return int(uid)


def _listen(path: Path) -> socket.socket:
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)  # whatever the umask: users go through it
    status = path.parent.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(0, f"others can write in '{path.parent}'")
    path.unlink(missing_ok=True)  # of an agent that was killed; only one works at a time
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o666)  # everybody may speak; the kernel says who it was
        listener.listen(4)
    except OSError:
        listener.close()
        raise
    return listener
