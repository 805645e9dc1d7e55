import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.errors import FieldError
from deploy_agent.wire.fragment import (
    FRAGMENTS_FILE,
    FragmentList,
    FragmentPlan,
    check_foreign_package_id,
    check_package_id,
    fragment_name,
)

ID = "1800000001"


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_the_pieces_add_up_and_only_the_last_is_smaller(size: int, piece: int) -> None:
    plan = FragmentPlan(size, piece)
    if size == 0:
        assert plan.count == 0
        return
    assert (plan.count - 1) * piece + plan.length(plan.count) == size
    assert 1 <= plan.length(plan.count) <= piece
    assert plan.length(1) == min(size, piece)


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_by_count_never_makes_more_pieces_than_asked(size: int, count: int) -> None:
    plan = FragmentPlan.by_count(size, count)
    assert plan.fragment_size == -(-size // count)
    assert 1 <= plan.count <= count


@pytest.mark.parametrize(("size", "piece"), [(-1, 1), (1, 0), (1, -5)])
def test_impossible_cuts(size: int, piece: int) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        FragmentPlan(size, piece)


@pytest.mark.parametrize("number", [0, -1, 5])
def test_there_is_no_such_fragment(number: int) -> None:
    with pytest.raises(ValueError, match="there is no fragment"):
        FragmentPlan(4, 1).length(number)


def test_sha256sum_accepts_the_list(tmp_path: Path) -> None:
    pieces = [b"one", b"two", b""]
    for number, piece in enumerate(pieces, 1):
        (tmp_path / fragment_name(ID, number)).write_bytes(piece)
    made = FragmentList(ID, tuple(hashlib.sha256(piece).digest() for piece in pieces))
    data = b"".join(made.lines())
    (tmp_path / FRAGMENTS_FILE).write_bytes(data)
    subprocess.run(["sha256sum", "--strict", "-c", FRAGMENTS_FILE], cwd=tmp_path, check=True)
    assert FragmentList.parse(data, ID, 3) == made


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage\n",
        b"0" * 64 + b"  1800000001-2\n",
        b"0" * 64 + b"  1800000001-1\n" + b"0" * 64 + b"  1800000001-2\n",
        b"0" * 64 + b"  ../1800000001-1\n",
        b"0" * 63 + b"  1800000001-1\n",
        b"A" * 64 + b"  1800000001-1\n",
    ],
)
def test_a_list_that_is_not_exactly_the_fragments_is_refused(data: bytes) -> None:
    with pytest.raises(FieldError):
        FragmentList.parse(data, ID, 1)


@pytest.mark.parametrize(
    "text", ["", "1", "18000000011", "1800000001\n", " 180000001", "2147483648", "../../../.."]
)
def test_what_is_no_package_id(text: str) -> None:
    with pytest.raises(FieldError):
        check_package_id(text)


@pytest.mark.parametrize("text", ["", "-1", "12x", "1/2", "..", "1" * 21, "１２", "1\n"])
def test_a_foreign_package_id_is_digits_only(text: str) -> None:
    with pytest.raises(FieldError):
        check_foreign_package_id(text)


def test_ids_of_both_kinds() -> None:
    assert check_package_id(ID) == ID
    assert check_foreign_package_id("7") == "7"
