"""Versions sort as text where dpkg, rpm and Windows have them."""

import shutil
import subprocess
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploy_server.domain.version import KEY_MAX, version_key

ASCENDING = [
    ["", "~~", "~~a", "~", "0", "a", "b"],
    ["1.0~rc1", "1.0", "1.0-1", "1.0-1ubuntu2", "1.0-2", "1.0-10", "1.0+dfsg-1", "1.0.1"],
    ["9", "10", "115", "115.0", "115.0.2", "115.10", "128"],
    ["10.0.19045", "10.0.22631", "10.0.26100", "11"],
    ["1.2", "1.2^git1", "1.2a", "1.2b", "1.2.1", "1.10"],
    ["2.99", "1:0.1", "1:2", "2:0"],
    ["1.9.5p2", "1.9.13p3", "2022e", "2024a"],
]


@pytest.mark.parametrize("versions", ASCENDING, ids=lambda versions: versions[-1])
def test_keys_ascend_with_the_versions(versions: list[str]) -> None:
    assert [
        lower for lower, upper in pairwise(versions) if version_key(lower) >= version_key(upper)
    ] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.02", "1.2"), ("1.0A", "1.0a"), ("v3.1", "3.1"), (" 1 ", "1"), ("0:1", "1")],
)
def test_spellings_of_one_version_have_one_key(one: str, other: str) -> None:
    assert version_key(one) == version_key(other)


def test_a_number_of_any_length_is_compared_by_value() -> None:
    assert version_key("1" + "0" * 59) > version_key("9" * 59)


@given(st.text(max_size=300))
def test_every_text_has_a_key_that_an_index_can_hold(text: str) -> None:
    assert len(version_key(text)) <= KEY_MAX


# What dpkg takes as a version: it begins with a digit and a hyphen ends the upstream part.
_upstream = st.from_regex(r"[0-9]{1,3}([.+~][0-9a-z]{1,3}){0,3}", fullmatch=True)
_dpkg = st.builds("".join, st.tuples(_upstream, st.sampled_from(["", "-1", "-2", "-10~bpo1"])))


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
@given(st.lists(_dpkg, min_size=2, max_size=2))
@example(["1.0+dfsg-1", "1.0-1"])
@example(["1.0a-1", "1.0-1"])
@example(["1.0~rc1-1", "1.0-1"])
def test_the_order_is_dpkgs(pair: list[str]) -> None:
    one, other = pair
    less = (
        subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode
        == 0
    )
    greater = (
        subprocess.run(["dpkg", "--compare-versions", one, "gt", other], check=False).returncode
        == 0
    )
    if less or greater:
        assert (version_key(one) < version_key(other)) is less
