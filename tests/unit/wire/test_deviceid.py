from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.deviceid import check_device_id, make_device_id
from deploy_agent.wire.errors import FieldError


@pytest.mark.parametrize(
    "text",
    [
        "host-a-2026-11-21-10-24-07",
        "Büro PC-2026-01-02-03-04-05",
        "-2026-01-02-03-04-05-2026-01-02-03-04-05",
    ],
)
def test_device_ids(text: str) -> None:
    assert check_device_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "-2026-11-21-10-24-07",
        "host-2026-11-21-10-24",
        "host-2026-11-21-10-24-07 ",
        "host-2026-11-21-10-24-07\n",
        "ho\nst-2026-11-21-10-24-07",
        "ho\0st-2026-11-21-10-24-07",
        "host-２０２６-11-21-10-24-07",
        "x" * 240 + "-2026-11-21-10-24-07",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(FieldError):
        check_device_id(text)


@given(st.text(max_size=400))
def test_any_name_gives_a_device_id(name: str) -> None:
    made = make_device_id(name, datetime(2026, 11, 21, 10, 24, 7))  # noqa: DTZ001 - local time
    assert check_device_id(made).endswith("-2026-11-21-10-24-07")
