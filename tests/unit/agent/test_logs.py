"""The log: for people, for the journal, and in a file that is nobody else's."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.cli.logs import JournalLines, PlainLines, is_journal
from deploy_agent.machine.logfile import PrivateLogFile


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("deploy_agent", level, __file__, 1, text, (), None)


@pytest.mark.parametrize(
    ("level", "prefix"),
    [
        (logging.CRITICAL, "<2>"),
        (logging.ERROR, "<3>"),
        (logging.WARNING, "<4>"),
        (logging.INFO, "<6>"),
        (logging.DEBUG, "<7>"),
    ],
)
def test_the_journal_gets_levels_and_no_times(level: int, prefix: str) -> None:
    assert JournalLines().format(record(level, "as it is")) == f"{prefix}as it is"


def test_each_line_of_a_traceback_has_its_level() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        made = logging.LogRecord("x", logging.ERROR, __file__, 1, "why", (), sys.exc_info())
    lines = JournalLines().format(made).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)
    assert lines[-1] == "<3>ValueError: broken"


def test_nobody_else_can_forge_a_line() -> None:
    line = JournalLines().format(record(logging.INFO, "a\n<0>the computer burns"))
    assert line == "<6>a\\n<0>the computer burns"


def test_what_libraries_say_to_programmers_reaches_nobody() -> None:
    program = """
import logging
from pathlib import Path
from deploy_agent.cli.logs import start_log
from deploy_agent.config import AgentConfig
start_log(AgentConfig("https://h", Path("/ca.pem")))
logging.getLogger("apscheduler.scheduler").warning("Execution of job skipped")
logging.getLogger("deploy_agent.daemon").warning("ours")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[0].endswith(" WARNING ours")
    assert len(done.stderr.splitlines()) == 1


def test_people_get_the_time_once() -> None:
    line = PlainLines().format(record(logging.WARNING, "as it is"))
    assert line[:2] == "20"
    assert line.endswith(" WARNING as it is")


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        mine = f"{status.st_dev}:{status.st_ino}"
        assert is_journal(stream, {"JOURNAL_STREAM": mine})
        assert not is_journal(stream, {"JOURNAL_STREAM": "8:12345"})
        assert not is_journal(stream, {})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": mine})


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("deploy_agent.tried")
    made.setLevel(logging.INFO)
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def test_full_files_are_put_aside_and_three_are_kept(
    logger: logging.Logger, tmp_path: Path
) -> None:
    logger.addHandler(PrivateLogFile(tmp_path / "log", maxBytes=10, backupCount=3))
    for number in range(9):
        logger.info("line %d", number)
    texts = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert texts == {
        "log": "line 8\n",
        "log.1": "line 7\n",
        "log.2": "line 6\n",
        "log.3": "line 5\n",
    }
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}


def test_it_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / "link").symlink_to(victim)
    os.link(victim, tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "hard", "pipe", "missing/log"):
        with pytest.raises(OSError, match=name):
            PrivateLogFile(tmp_path / name)
    assert victim.read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_it_writes_into_nobody_elses_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    os.chown(tmp_path / "log", 12345, 0)
    with pytest.raises(PermissionError, match="not the agent's own"):
        PrivateLogFile(tmp_path / "log")


class FullFile(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_silences_the_file_and_nothing_else(
    logger: logging.Logger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = PrivateLogFile(tmp_path / "log")
    logging.getLogger("deploy_agent").addHandler(handler)
    assert handler.stream is not None
    handler.stream.close()
    handler.stream = FullFile()  # type: ignore[assignment]
    try:
        logger.info("one")
        logger.info("two")
    finally:
        logging.getLogger("deploy_agent").removeHandler(handler)
        handler.close()
    said = [each.getMessage() for each in caplog.records if "log_file" in each.getMessage()]
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert [each.getMessage() for each in caplog.records if each.name == logger.name] == [
        "one",
        "two",
    ]
