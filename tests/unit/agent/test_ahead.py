"""The fragment that is fetched before its turn: taken once, never believed, never waited for."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.errors import HttpRefusal, ServerUnreachable
from deploy_agent.services import ahead
from deploy_agent.services.ahead import ReadAhead
from deploy_agent.services.fetching import Fetcher
from tests.support.computer import AT_ONCE, Computer
from tests.support.simulator import CONTENT, ServerSimulator

ID = "1800000001"
URL = "http://mirror.example.org/f"


@pytest.fixture
def server() -> ServerSimulator:
    made = ServerSimulator()
    made.files[URL] = b"content"
    return made


def test_what_was_begun_is_taken_once(server: ServerSimulator) -> None:
    one = ReadAhead(server)
    one.begin("key", URL, 10)
    fetched = one.take("key")
    assert fetched is not None
    assert b"".join(fetched.pieces) == b"content"
    assert fetched.length == 7
    assert fetched.digest() == hashlib.sha256(b"content").digest()
    assert one.take("key") is None
    assert server.requests == [URL]


def test_another_key_gets_nothing_and_takes_nothing(server: ServerSimulator) -> None:
    one = ReadAhead(server)
    assert one.take("key") is None
    one.begin("key", URL, 10)
    assert one.take("other") is None
    assert one.take("key") is not None


def test_what_kept_it_is_told_when_it_is_wanted(server: ServerSimulator) -> None:
    one = ReadAhead(server)
    server.faults[URL] = [ServerUnreachable("connection refused")]
    one.begin("key", URL, 10)
    with pytest.raises(ServerUnreachable):
        one.take("key")
    assert one.take("key") is None


def test_what_is_too_long_is_told_too(server: ServerSimulator) -> None:
    one = ReadAhead(server)
    one.begin("key", URL, 3)
    with pytest.raises(Exception, match="too long"):
        one.take("key")


def test_an_old_one_is_not_taken(server: ServerSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "FRESH_S", 0)
    one = ReadAhead(server)
    server.faults[URL] = [HttpRefusal("404", status=404)]
    one.begin("key", URL, 10)
    assert one.take("key") is None


# In the agent.


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Computer]:
    """A computer without pauses, whose agents fetch ahead."""
    init = Fetcher.__init__

    def in_a_hurry(self: Fetcher, *arguments: object, **options: object) -> None:
        init(self, *arguments, **options, in_a_hurry=lambda: True)  # type: ignore[arg-type]

    monkeypatch.setattr(Fetcher, "__init__", in_a_hurry)
    pc = Computer(tmp_path)
    pc.server.publish(fragments=5)
    pc.server.assign()
    yield pc
    assert not [each for each in threading.enumerate() if each.name == "ahead"]


def test_every_fragment_is_asked_for_once_and_in_order(hurried: Computer) -> None:
    assert hurried.once().exit_status == 0
    assert hurried.server.codes == ["SUCCESS"]
    fragments = [url for url in hurried.server.requests if f"{ID}-" in url]
    assert fragments == [hurried.server.url(ID, f"{ID}-{n}") for n in (1, 2, 3, 4, 5)]


def test_the_next_is_asked_for_before_the_present_is_written(
    hurried: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, bool] = {}
    rename = hurried.disk.rename

    def note(source: Path, target: Path) -> None:
        for thread in threading.enumerate():
            if thread.name == "ahead":
                thread.join()
        asked[target.name] = hurried.server.url(ID, f"{ID}-2") in hurried.server.requests
        rename(source, target)

    monkeypatch.setattr(hurried.disk, "rename", note)
    hurried.once()
    assert asked[f"{ID}-1"]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_wrong_one_is_asked_for_again_past_caches(hurried: Computer, number: int) -> None:
    url = hurried.server.url(ID, f"{ID}-{number}")
    good = hurried.server.files[url]
    hurried.server.fail(f"{ID}-{number}", b"x" * len(good), good)
    hurried.once()
    assert hurried.server.codes == ["SUCCESS"]
    assert hurried.server.asked()[f"{ID}-{number}"] == 2
    assert hurried.server.fresh == [url]


@pytest.mark.parametrize(
    ("fault", "code"),
    [(HttpRefusal("404", status=404), "ERR_DOWNLOAD_PACK"), (b"wrong", "ERR_BAD_DIGEST")],
)
def test_five_times_no_is_the_end(hurried: Computer, fault: Exception | bytes, code: str) -> None:
    hurried.server.fail(f"{ID}-3", fault)
    hurried.once()
    assert hurried.server.codes == [code]
    assert hurried.server.asked()[f"{ID}-3"] == 5


def test_silence_makes_it_wait(hurried: Computer) -> None:
    hurried.server.fail(f"{ID}-3", ServerUnreachable("connection refused"))
    assert hurried.once().exit_status == 3
    hurried.server.faults.clear()
    assert hurried.once().exit_status == 0
    assert hurried.server.asked()[f"{ID}-2"] == 1


def test_an_edited_package_is_not_mixed_with_what_came_ahead(hurried: Computer) -> None:
    agent = hurried.agent(AT_ONCE)
    agent.poll()
    package = agent.packages.get(ID)
    assert package is not None
    agent._fetcher.fetch_fragment(package, 1)  # the second is on its way now
    hurried.server.publish(content=CONTENT[::-1], fragments=5, revision=2)
    hurried.server.offer(revision=2)
    agent.poll()
    while agent.step() is not None:
        pass
    assert hurried.server.codes != []
    assert hurried.server.asked()[f"{ID}-2"] >= 2
    assert "ERR_BAD_DIGEST" not in hurried.server.codes


def test_what_is_on_the_disk_already_is_not_fetched_ahead(hurried: Computer) -> None:
    agent = hurried.agent(AT_ONCE)
    agent.poll()
    package = agent.packages.get(ID)
    assert package is not None
    for number in (2, 1):
        agent._fetcher.fetch_fragment(package, number)
    agent._fetcher._ahead.drop()
    assert hurried.server.asked()[f"{ID}-2"] == 1


def test_big_fragments_are_not_kept_in_memory(
    hurried: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy_agent.services.fetching.BIGGEST", 10)
    monkeypatch.setattr(ReadAhead, "begin", lambda *_: pytest.fail("it was begun"))
    hurried.once()
    assert hurried.server.codes == ["SUCCESS"]


def test_with_pauses_nothing_is_fetched_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReadAhead, "begin", lambda *_: pytest.fail("it was begun"))
    pc = Computer(tmp_path)
    pc.server.publish()
    pc.server.assign()
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
