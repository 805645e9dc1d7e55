"""Info files and fragments: what is asked where, what is counted, and what ends a package."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy_agent.domain.errors import (
    AgentError,
    HttpRefusal,
    HttpStatus,
    RedirectRefused,
    ServerUnreachable,
    ShortRead,
    TlsReason,
    TlsRefused,
    TooLong,
    TooSlow,
    WrongBytes,
)
from deploy_agent.machine.transport import Sink
from deploy_agent.services import fetching
from deploy_agent.wire import terms
from deploy_agent.wire.terms import Protocol
from tests.support.computer import Computer
from tests.support.simulator import CONTENT, FRAGMENT_HOST, INFO_HOST, Fault

ID = "1800000001"
NOT_FOUND = HttpRefusal("404 Not Found", status=404)
SILENT: list[AgentError] = [
    ServerUnreachable("connection refused"),
    HttpStatus("503", status=503),
    HttpStatus("429", status=429),
    ShortRead("it ended"),
    TooSlow("nothing came"),
]
DEFINITE: list[AgentError] = [
    NOT_FOUND,
    HttpRefusal("410 Gone", status=410),
    TlsRefused("unknown CA", reason=TlsReason.UNKNOWN_CA),
    RedirectRefused("to HTTP"),
]


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign()
    return computer


def test_everything_is_asked_for_once_and_where_it_is(pc: Computer) -> None:
    assert pc.once().exit_status == 0
    assert pc.server.status() == "SUCCESS"
    assert pc.server.requests == [
        f"https://{INFO_HOST}/{ID}/info",
        f"http://{FRAGMENT_HOST}/{ID}/fragments.sha256",
        *(f"http://{FRAGMENT_HOST}/{ID}/{ID}-{n}" for n in (1, 2, 3)),
    ]
    assert pc.server.fresh == []


def test_https_fragments_are_asked_for_over_https(pc: Computer) -> None:
    pc.server.publish(protocol=Protocol.HTTPS)
    served = pc.server.files
    served.update({url.replace("http:", "https:"): data for url, data in served.items()})
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert all(url.startswith("https://") for url in pc.server.requests)
    assert f"https://{FRAGMENT_HOST}/{ID}/{ID}-1" in pc.server.requests


# Definite answers: counted per file, in a row; five end the package.


@pytest.mark.parametrize("error", DEFINITE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("name", "code"),
    [("info", "ERR_DOWNLOAD_INFO"), (f"{ID}-2", "ERR_DOWNLOAD_PACK")],
)
def test_the_fifth_no_ends_the_package(
    pc: Computer, name: str, code: str, error: AgentError
) -> None:
    pc.server.fail(name, error)
    assert pc.once().exit_status == 0
    assert pc.server.codes == [code]
    assert pc.server.asked()[name] == 5


@pytest.mark.parametrize("name", ["info", f"{ID}-2"])
def test_four_times_no_and_then_yes_is_a_success(pc: Computer, name: str) -> None:
    good = pc.server.files[pc.server.url(ID, name)]
    pc.server.fail(name, *[NOT_FOUND] * 4, good)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_success_in_between_resets_the_count(pc: Computer) -> None:
    good = pc.server.files[pc.server.url(ID, f"{ID}-1")]
    pc.server.fail(f"{ID}-1", *[NOT_FOUND] * 4, good)
    pc.server.fail(f"{ID}-2", *[NOT_FOUND] * 4, pc.server.files[pc.server.url(ID, f"{ID}-2")])
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_counts_outlive_the_agent(pc: Computer) -> None:
    pc.server.fail("info", NOT_FOUND)
    for _ in range(5):
        agent = pc.agent()
        agent.poll()  # one try; it rests before the next one
        agent.step()
    assert pc.server.asked()["info"] == 5
    assert pc.server.codes == ["ERR_DOWNLOAD_INFO"]


def test_wrong_bytes_ask_past_caches_and_end_as_bad_digest(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", b"something else")
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]
    assert pc.server.fresh == [pc.server.url(ID, f"{ID}-2")] * 4


def test_the_last_answer_decides_between_missing_and_wrong(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", *[b"something else"] * 4, NOT_FOUND)
    pc.once()
    assert pc.server.codes == ["ERR_DOWNLOAD_PACK"]


def test_only_the_bad_fragment_is_fetched_again(pc: Computer) -> None:
    good = pc.server.files[pc.server.url(ID, f"{ID}-2")]
    pc.server.fail(f"{ID}-2", b"x" * len(good), good)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.asked() == {
        **{"info": 1, "fragments.sha256": 1},
        **{f"{ID}-1": 1, f"{ID}-2": 2, f"{ID}-3": 1},
    }


def test_an_oversized_fragment_is_wrong_bytes(pc: Computer) -> None:
    pc.server.fail(f"{ID}-1", CONTENT * 9)
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]


@pytest.mark.parametrize("wrong", [b"", b"short"])
def test_without_a_list_the_length_is_checked(pc: Computer, wrong: bytes) -> None:
    pc.server.set_info(replace(pc.server.info(), fragments_sha256=None))
    pc.server.fail(f"{ID}-1", wrong)
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]


# Silence: never ends a package but by time.


@pytest.mark.parametrize("error", SILENT, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["info", f"{ID}-2"])
def test_silence_makes_the_package_wait(pc: Computer, name: str, error: AgentError) -> None:
    pc.server.fail(name, error)
    left = pc.once()
    assert left.exit_status == 3
    assert left.waiting[0][0] == ID
    assert error.message in left.waiting[0][1]
    assert pc.server.codes == []
    assert pc.server.asked()[name] == 3
    pc.server.faults.clear()
    assert pc.once().exit_status == 0
    assert pc.server.codes == ["SUCCESS"]


def test_silence_backs_off_doubling(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", SILENT[0])
    pc.once(wait=True)
    assert pc.clock.sleeps == [2.0, 4.0]


def test_what_a_server_asks_for_is_obeyed(pc: Computer) -> None:
    pc.server.fail(f"{ID}-2", HttpStatus("429", status=429, retry_after_s=600))
    pc.once(wait=True)
    assert pc.clock.sleeps == [600.0, 600.0]


def test_a_number_of_silences_is_no_number_of_noes(pc: Computer) -> None:
    good = pc.server.files[pc.server.url(ID, f"{ID}-2")]
    pc.server.fail(f"{ID}-2", *[NOT_FOUND] * 4, SILENT[0], good)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_silent_host_is_not_asked_for_each_package(pc: Computer) -> None:
    for number in range(2, 6):
        pc.server.publish(f"180000000{number}")
        pc.server.assign(f"180000000{number}")
    for number in range(1, 6):
        pc.server.fail("info", SILENT[0], package_id=f"180000000{number}")
    agent = pc.agent()
    agent.poll()
    assert len(pc.server.requests) == 1
    assert all(package.record.failures == 1 for package in agent.packages)


def test_a_host_that_wants_to_be_left_alone_is_by_every_package(pc: Computer) -> None:
    pc.server.publish("1800000002")
    pc.server.assign("1800000002")
    busy = HttpStatus("429", status=429, retry_after_s=600)
    for each in (ID, "1800000002"):
        pc.server.fail("info", busy, package_id=each)
    agent = pc.agent()
    agent.poll()
    assert len(pc.server.requests) == 1
    pc.clock.sleep(601)
    agent.step()
    assert len(pc.server.requests) == 2


def test_an_empty_fragment_of_an_ocs_server_is_asked_for_again(pc: Computer) -> None:
    pc.server.publish(foreign=True)
    good = pc.server.files[pc.server.url(ID, f"{ID}-2")]
    pc.server.fail(f"{ID}-2", b"", good)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


# The list of fragments.


def test_the_list_is_fetched_beside_info_when_the_mirror_has_none(pc: Computer) -> None:
    listed = pc.server.files.pop(pc.server.url(ID, "fragments.sha256"))
    pc.server.files[f"https://{INFO_HOST}/{ID}/fragments.sha256"] = listed
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_mirrors_wrong_list_does_not_matter(pc: Computer) -> None:
    listed = pc.server.files[pc.server.url(ID, "fragments.sha256")]
    pc.server.files[f"https://{INFO_HOST}/{ID}/fragments.sha256"] = listed
    pc.server.fail("fragments.sha256", listed.replace(b"0", b"1"))
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


@pytest.mark.parametrize(
    ("fault", "code"), [(NOT_FOUND, "ERR_DOWNLOAD_PACK"), (b"wrong", "ERR_BAD_DIGEST")]
)
def test_a_list_that_is_nowhere_ends_the_package(pc: Computer, fault: Fault, code: str) -> None:
    central = f"https://{INFO_HOST}/{ID}/fragments.sha256"
    pc.server.fail("fragments.sha256", fault)
    pc.server.faults[central] = [fault]
    pc.once()
    assert pc.server.codes == [code]
    assert pc.server.asked()["fragments.sha256"] == 10
    assert f"{ID}-1" not in pc.server.asked()


def test_the_count_of_the_list_runs_only_when_both_places_said_no(pc: Computer) -> None:
    pc.server.fail("fragments.sha256", NOT_FOUND)
    pc.server.faults[f"https://{INFO_HOST}/{ID}/fragments.sha256"] = [SILENT[0]]
    assert pc.once().exit_status == 3
    assert pc.server.codes == []


def test_a_list_with_the_right_digest_and_no_sense_is_wrong_bytes(pc: Computer) -> None:
    nonsense = b"no list at all\n"
    pc.server.set_info(
        replace(pc.server.info(), fragments_sha256=hashlib.sha256(nonsense).digest())
    )
    pc.server.files[pc.server.url(ID, "fragments.sha256")] = nonsense
    pc.server.files[f"https://{INFO_HOST}/{ID}/fragments.sha256"] = nonsense
    pc.once()
    assert pc.server.codes == ["ERR_BAD_DIGEST"]


# Info files.


@pytest.mark.parametrize("page", [b"<html><body>login</body></html>", b"", b"<DOWNLOAD", b"\xff"])
def test_a_page_instead_of_the_info_file_is_tried_again(pc: Computer, page: bytes) -> None:
    pc.server.fail("info", page, pc.server.files[pc.server.url(ID)])
    pc.once()
    assert pc.server.codes == ["SUCCESS"]
    assert pc.server.fresh == [pc.server.url(ID)]


def test_nothing_but_pages_is_no_info_file(pc: Computer) -> None:
    pc.server.fail("info", b"<html/>")
    pc.once()
    assert pc.server.codes == ["ERR_DOWNLOAD_INFO"]


def test_an_info_file_without_end_is_not_read(pc: Computer) -> None:
    pc.server.fail("info", WrongBytes("too long"))
    pc.once()
    assert pc.server.codes == ["ERR_DOWNLOAD_INFO"]


def without(name: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(f' {name}="'.encode(), f' NO_{name}="'.encode())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data.replace(ID.encode(), b"1800000009"), "ERR_BAD_ID"),
        (without("ID"), "ERR_BAD_PARAM"),
        (without("PRI"), "ERR_BAD_PARAM"),
        (without("ACT"), "ERR_BAD_PARAM"),
        (without("FRAGS"), "ERR_BAD_PARAM"),
        (without("DIGEST"), "ERR_BAD_PARAM"),
        (without("NAME"), "ERR_EXECUTE_PACK"),
        (lambda data: data.replace(b'PRI="1"', b'PRI="11"'), "ERR_BAD_PARAM"),
        (lambda data: data.replace(b'ACT="LAUNCH"', b'ACT="DELETE"'), "ERR_BAD_PARAM"),
        (lambda data: data.replace(b'PROTO="HTTP"', b'PROTO="FTP"'), "ERR_BAD_PARAM"),
    ],
)
def test_an_info_file_that_makes_no_package(
    pc: Computer, change: Callable[[bytes], bytes], code: str
) -> None:
    url = pc.server.url(ID)
    pc.server.files[url] = change(pc.server.files[url])
    pc.once()
    assert pc.server.codes == [code]
    assert pc.server.asked() == {"info": 1}
    assert pc.runner.started == []


def test_a_package_that_cannot_fit_is_not_begun(pc: Computer) -> None:
    pc.server.set_info(replace(pc.server.info(), fragment_size=10**11, fragments=10**6))
    pc.once()
    assert pc.server.codes == ["ERR_OUT_OF_SPACE"]
    assert pc.server.asked() == {"info": 1}


@pytest.mark.parametrize(("left", "code"), [(0, "SUCCESS"), (-1, "ERR_OUT_OF_SPACE")])
def test_the_archive_has_to_fit_three_times(
    pc: Computer, monkeypatch: pytest.MonkeyPatch, left: int, code: str
) -> None:
    # As fragments, as the joined package, and as its tree.
    size = 3 * 3 * (pc.server.info().fragment_size or 0)
    usage = SimpleNamespace(free=size + left)
    monkeypatch.setattr(fetching, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
    pc.once()
    assert pc.server.codes == [code]


def test_a_foreign_package_is_measured_by_its_first_fragment(pc: Computer) -> None:
    pc.server.publish(foreign=True)
    pc.server.set_info(replace(pc.server.info(), fragments=9_999_999))
    pc.server.files[pc.server.url(ID, f"{ID}-1")] = bytes(10_000_000)
    pc.once()
    assert pc.server.codes == ["ERR_OUT_OF_SPACE"]
    assert pc.server.asked() == {"info": 1, f"{ID}-1": 1}


def test_a_foreign_fragment_longer_than_the_disk_has_room(
    pc: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pc.server.publish(foreign=True)
    fetch = pc.server.fetch

    def endless(url: str, sink: Sink, *, limit: int | None, no_cache: bool = False) -> int:
        assert limit is not None
        if url.endswith("-2"):
            raise TooLong(f"{url} has more than {limit} bytes")
        return fetch(url, sink, limit=limit, no_cache=no_cache)

    monkeypatch.setattr(pc.server, "fetch", endless)
    pc.once()
    assert pc.server.codes == ["ERR_OUT_OF_SPACE"]


def test_limits_are_those_of_the_wire(pc: Computer) -> None:
    pc.server.fail("info", b" " * (terms.INFO_MAX + 1))
    pc.once()
    assert pc.server.codes == ["ERR_DOWNLOAD_INFO"]
