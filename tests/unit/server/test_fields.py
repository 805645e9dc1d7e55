import pytest

from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.domain.fields import parse_codes, parse_number, parse_size, read_spec, write_spec
from deploy_server.domain.package import PackageSpec

FIELDS = {"name": "Tool", "os": "linux", "action": "LAUNCH", "target": "install.sh"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1048576", 1024**2),
        ("512K", 512 * 1024),
        ("1MiB", 1024**2),
        (" 1.5 GiB ", 3 * 1024**3 // 2),
        ("2mb", 2_000_000),
        ("10 B", 10),
        ("0", 0),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1", "1 XB", "1..5", "１MiB", "9999999T", "1e9", "1\0"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_size(text)
    assert caught.value.field == "fragment_size"


def test_numbers_are_whole_and_plain() -> None:
    assert parse_number(" -5 ", "priority") == -5
    for text in ("five", "1.0", "", "٣", "1" * 20):
        with pytest.raises(SpecError, match="whole number"):
            parse_number(text, "priority")


def test_codes_come_with_commas_or_spaces() -> None:
    assert parse_codes("3010, 1641 5;-1", "reboot_codes") == (3010, 1641, 5, -1)
    assert parse_codes(" ", "reboot_codes") == ()
    with pytest.raises(SpecError, match="'x'"):
        parse_codes("1,x", "reboot_codes")


def test_fields_that_are_left_empty_take_their_defaults() -> None:
    fields = {**FIELDS, "priority": "", "fragment_size": " ", "protocol": "", "success_codes": ""}
    spec, warnings = read_spec(fields, has_file=True)
    assert spec == PackageSpec("Tool", "linux", "LAUNCH", "install.sh")
    assert warnings == []


def test_every_field_is_read() -> None:
    fields = {
        "name": " Tool ", "os": "windows", "action": "launch", "target": "setup.exe /S",
        "priority": "3", "fragment_size": "2MiB", "protocol": "https",
        "digest_algorithm": "md5", "digest_encoding": "hexa", "description": "d\nd", "wrap": "on",
        "notify_text": "hi", "notify_countdown": "0", "can_abort": "on", "can_delay": "on",
        "done_text": "bye", "success_codes": "1,2", "reboot_codes": "3010", "retry_codes": "1618",
        "execution_timeout": "0",
    }  # fmt: skip
    spec, _ = read_spec(fields, has_file=True)
    assert read_spec(write_spec(spec), has_file=True)[0] == spec
    assert spec == PackageSpec(
        name="Tool", os="windows", action="LAUNCH", target="setup.exe /S", priority=3,
        fragment_size=2 * 1024**2, protocol="HTTPS", description="d\nd", wrap=True,
        notify_text="hi", notify_countdown=0, can_abort=True, can_delay=True, done_text="bye",
        success_codes=(1, 2), reboot_codes=(3010,), retry_codes=(1618,), execution_timeout=0,
    )  # fmt: skip


def test_what_says_nothing_is_not_written() -> None:
    spec = PackageSpec("Tool", "linux", "LAUNCH", "install.sh", notify_countdown=0, notify_text="x")
    fields = write_spec(spec)
    assert fields["notify_countdown"] == "0"
    assert not {"done_text", "wrap", "fragments", "fragment_size", "success_codes"} & set(fields)
    assert read_spec(fields, has_file=True)[0] == spec


def test_what_cannot_be_read_is_told_with_the_rest() -> None:
    fields = {**FIELDS, "name": "", "priority": "high", "fragment_size": "big", "fragments": "-1"}
    with pytest.raises(SpecErrors) as caught:
        read_spec(fields, has_file=True)
    assert set(caught.value.by_field()) == {"name", "priority", "fragment_size", "fragments"}


def test_one_unreadable_number_is_enough() -> None:
    with pytest.raises(SpecErrors, match="'high'"):
        read_spec({**FIELDS, "priority": "high"}, has_file=True)


def test_no_fields_at_all() -> None:
    with pytest.raises(SpecErrors) as caught:
        read_spec({}, has_file=False)
    assert set(caught.value.by_field()) == {"name", "os", "action"}
