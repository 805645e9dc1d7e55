"""Whatever values we write, we read the same values back: hypothesis looks for those we do not."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.digest import Digest
from deploy_agent.wire.envelope import Envelope, pack, unpack
from deploy_agent.wire.errors import FramingError
from deploy_agent.wire.fragment import FragmentList, FragmentPlan
from deploy_agent.wire.info import InfoFile, parse_info, write_info
from deploy_agent.wire.messages import Request, parse_request
from deploy_agent.wire.replies import InventoryReply, PrologReply
from deploy_agent.wire.result import ResultCode
from tests.support import strategies as wire


@given(wire.requests)
def test_requests(request: Request) -> None:
    assert parse_request(request.to_bytes()) == request


@given(wire.prolog_replies())
def test_prolog_replies(reply: PrologReply) -> None:
    assert PrologReply.parse(reply.to_bytes()) == reply


@given(wire.inventory_replies)
def test_inventory_replies(reply: InventoryReply) -> None:
    assert InventoryReply.parse(reply.to_bytes()) == reply


@given(wire.info_files())
def test_info_files(info: InfoFile) -> None:
    assert parse_info(write_info(info)) == info


@given(wire.digests())
def test_digests(digest: Digest) -> None:
    assert Digest.parse(digest.text, digest.algorithm, digest.encoding) == digest


@given(st.binary(), st.sampled_from([Envelope.ZLIB, Envelope.GZIP]))
def test_envelopes(data: bytes, envelope: Envelope) -> None:
    assert unpack(pack(data, envelope)) == (data, envelope)


@given(st.binary(min_size=1), st.data())
def test_a_cut_envelope_is_always_noticed(data: bytes, draw: st.DataObject) -> None:
    packed = zlib.compress(data)
    length = draw.draw(st.integers(0, len(packed) - 1))
    try:
        unpack(packed[:length])
    except FramingError:
        return
    raise AssertionError(f"{length} of {len(packed)} bytes were taken for a whole message")


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_a_plan_covers_every_byte_once(size: int, fragment_size: int) -> None:
    plan = FragmentPlan(size, max(fragment_size, size // 500 + 1))
    assert sum(plan.length(number) for number in range(1, plan.count + 1)) == size


@given(wire.package_ids, st.lists(st.binary(min_size=32, max_size=32), max_size=20))
def test_fragment_lists(package_id: str, digests: list[bytes]) -> None:
    listed = FragmentList(package_id, tuple(digests))
    written = b"".join(listed.lines())
    assert FragmentList.parse(written, package_id, len(digests)) == listed


@given(st.text())
def test_any_text_is_some_result(text: str) -> None:
    code = ResultCode.parse(text)
    assert ResultCode.parse(code.text) == code
