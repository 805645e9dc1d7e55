"""zenity on a real X server, and real clicks: what counts as an answer, and what does not."""

import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs import Window
from deploy_agent.machine.dialogs.desktop import ProcessWindow, open_on_screen
from tests.support.processes import kill_tree
from tests.support.screen import Screen
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("screen")]

TEXT = r"""<b>A & B</b> &lt;span&gt; \n C:\new <script>alert(1)</script> <span font="99">big</span>
--text=other $(touch /tmp/x) %s <b>never closed <a href="javascript:1">x</a>"""
ALL = (Reply.NOW, Reply.LATER, Reply.CANCEL)


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    with Screen() as made:
        yield made


class Asked:
    """A question on the screen."""

    def __init__(self, screen: Screen, *replies: Reply, session: Session | None = None) -> None:
        self._answered = threading.Event()
        question = Question("1800000001", TEXT, replies, 60, "It starts by itself in 1 min.")
        window = open_on_screen(question, session or screen.session(), self._answered.set)
        assert window is not None
        self.window: Window = window
        self.place = screen.window()

    def reply(self) -> Reply | None:
        """What came of it."""
        assert self._answered.wait(20), "nothing was answered"
        return self.window.poll()


@pytest.mark.parametrize("replies", [(Reply.NOW,), (Reply.NOW, Reply.LATER), ALL, (Reply.DONE,)])
def test_the_right_button_is_the_first_answer(screen: Screen, replies: tuple[Reply, ...]) -> None:
    asked = Asked(screen, *replies)
    assert asked.window.poll() is None
    screen.press_right()
    assert asked.reply() is replies[0]


TWO_OR_MORE = [(Reply.NOW, Reply.LATER), (Reply.NOW, Reply.CANCEL), ALL]


@pytest.mark.parametrize("replies", TWO_OR_MORE)
def test_the_left_button_is_another(screen: Screen, replies: tuple[Reply, ...]) -> None:
    asked = Asked(screen, *replies)
    screen.press_left()
    assert asked.reply() is replies[1]


@pytest.mark.parametrize("key", ["Return", "space"])
@pytest.mark.parametrize("replies", TWO_OR_MORE)
def test_a_key_meant_for_another_window_starts_nothing(
    screen: Screen, replies: tuple[Reply, ...], key: str
) -> None:
    asked = Asked(screen, *replies)
    screen.key(key)
    assert asked.reply() is replies[1]


def test_a_window_that_is_closed_is_no_answer(screen: Screen) -> None:
    asked = Asked(screen, *ALL)
    screen.key("Escape")
    assert asked.reply() is Reply.NOTHING


def test_a_window_that_is_killed_is_no_answer(screen: Screen) -> None:
    asked = Asked(screen, *ALL)
    screen.close()
    assert asked.reply() is Reply.NOTHING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_window_that_is_killed_at_any_moment_is_no_answer(
    screen: Screen, number: signal.Signals
) -> None:
    """From the start of its process on, before and after it is on the screen."""
    question = Question("1800000001", TEXT, ALL, 60)
    for moment in range(8):
        answered = threading.Event()
        window = open_on_screen(question, screen.session(), answered.set)
        assert isinstance(window, ProcessWindow)
        answered.wait(0.04 * moment)
        os.killpg(window._process.pid, number)
        assert answered.wait(20)
        assert window.poll() is Reply.NOTHING, moment


def test_a_window_that_the_agent_takes_away_is_no_answer(screen: Screen) -> None:
    asked = Asked(screen, *ALL)
    asked.window.close()
    assert asked.reply() is Reply.NOTHING
    asked.window.close()
    wait_until(lambda: screen.look() is None, "the window is gone")


def test_a_log_off_is_no_answer() -> None:
    with Screen() as own:
        asked = Asked(own, *ALL)
        own.break_down()
        assert asked.reply() is Reply.NOTHING


def test_without_a_screen_there_is_no_answer_either(screen: Screen) -> None:
    answered = threading.Event()
    nowhere = Session("7", "somebody", os.getuid(), Kind.SCREEN, display=":9999")
    window = open_on_screen(Question("1", "?", ALL), nowhere, answered.set)
    assert window is not None
    assert answered.wait(20)
    assert window.poll() is Reply.NOTHING


def test_a_text_that_is_no_markup_still_makes_a_window(screen: Screen) -> None:
    asked = Asked(screen, Reply.NOW)
    assert asked.place.height < 400, "the text was taken for markup"
    asked.window.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_it_runs_as_the_user_of_the_session_with_none_of_roots_rights(screen: Screen) -> None:
    nobody = pwd.getpwnam("nobody")
    asked = Asked(screen, *ALL, session=screen.session(nobody.pw_uid))
    (zenity,) = (each for each in psutil.process_iter() if is_ours(each, screen))
    assert set(zenity.uids()) == {nobody.pw_uid}
    assert set(zenity.gids()) == {nobody.pw_gid}
    with open(f"/proc/{zenity.pid}/status") as status:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    assert facts["Groups"].split() in ([], [str(nobody.pw_gid)])
    assert int(facts["CapEff"], 16) == 0
    assert zenity.environ()["HOME"] == nobody.pw_dir
    screen.press_right()
    assert asked.reply() is Reply.NOW


def is_ours(process: psutil.Process, screen: Screen) -> bool:
    try:
        return process.name() == "zenity" and process.environ()["DISPLAY"] == screen.display
    except (psutil.Error, KeyError):
        return False


ASK = """
import sys, threading
from deploy_agent.domain.asking import Kind, Question, Session
from deploy_agent.domain.record import Reply
from deploy_agent.machine.dialogs.desktop import open_on_screen
session = Session("7", "somebody", int(sys.argv[2]), Kind.SCREEN, display=sys.argv[1])
open_on_screen(Question("1", "?", (Reply.NOW,)), session, print)
threading.Event().wait()
"""


def test_the_window_dies_with_an_agent_that_is_killed(screen: Screen) -> None:
    uids = [os.getuid()]
    if os.geteuid() == 0:
        uids.append(pwd.getpwnam("nobody").pw_uid)
    for uid in uids:
        agent = subprocess.Popen([sys.executable, "-c", ASK, screen.display, str(uid)])
        try:
            screen.window()
            agent.send_signal(signal.SIGKILL)
            agent.wait(10)
            wait_until(lambda: screen.look() is None, "the window went with the agent")
        finally:
            kill_tree(agent)
