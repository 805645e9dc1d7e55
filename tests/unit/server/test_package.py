from dataclasses import replace

import pytest

from deploy_server.domain.errors import SpecErrors
from deploy_server.domain.package import PackageSpec, check_spec

LAUNCH = PackageSpec(name="Tool 1", os="linux", action="LAUNCH", target="install.sh --quiet")
EXECUTE = replace(LAUNCH, action="EXECUTE", target="apt-get -y upgrade")
STORE = replace(LAUNCH, action="STORE", target="/opt/tools")


def refused(spec: PackageSpec, has_file: bool = True) -> dict[str, str]:
    with pytest.raises(SpecErrors) as caught:
        check_spec(spec, has_file)
    return caught.value.by_field()


@pytest.mark.parametrize("spec", [LAUNCH, EXECUTE, STORE], ids=lambda spec: spec.action)
def test_a_good_package_passes_without_a_word(spec: PackageSpec) -> None:
    assert check_spec(spec, has_file=True) == []


def test_a_command_needs_no_file() -> None:
    assert check_spec(EXECUTE, has_file=False) == []


def test_words_of_lists_may_come_in_any_case() -> None:
    spec = PackageSpec(
        "x", "Linux", "launch", "a", protocol="https", digest_algorithm="sha256",
        digest_encoding="base64",
    )  # fmt: skip
    assert (spec.os, spec.action, spec.protocol) == ("linux", "LAUNCH", "HTTPS")
    assert (spec.digest_algorithm, spec.digest_encoding) == ("SHA256", "Base64")


def test_every_wrong_field_is_named_at_once() -> None:
    spec = replace(
        LAUNCH, name=" ", os="beos", action="fly", priority=11, fragment_size=0, notify_countdown=5
    )
    found = refused(spec)
    assert set(found) == {"name", "os", "action", "priority", "fragment_size", "notify_text"}
    assert found["priority"] == "the priority is 11. Give a number from 0 to 10"
    assert "launch, execute, store" in found["action"]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"name": "x" * 256}, "name", "256 characters"),
        ({"name": "Tool "}, "name", "space"),
        ({"name": "a\0b"}, "name", "NUL"),
        ({"name": "a\x1b[31m"}, "name", "U+001B"),
        ({"name": "\udcff"}, "name", "U+DCFF"),
        ({"name": "a\u202eb"}, "name", "U+202E"),
        ({"action": "EXECUTE", "target": "rm \u2066x"}, "target", "U+2066"),
        ({"name": "1800000001"}, "name", "looks like an id"),
        ({"name": "A12"}, "name", "looks like an id"),
        ({"description": "x" * 10_001}, "description", "10001"),
        ({"description": "a\0"}, "description", "NUL"),
        ({"priority": -1}, "priority", "0 to 10"),
        ({"fragment_size": -5}, "fragment_size", "from 1"),
        ({"fragment_size": 2**50}, "fragment_size", "from 1"),
        ({"fragments": 0}, "fragments", "from 1"),
        ({"fragments": 10_000_000}, "fragments", "500000"),
        ({"fragments": 3, "fragment_size": 3}, "fragments", "Give only one"),
        ({"protocol": "ftp"}, "protocol", "http, https"),
        ({"digest_algorithm": "crc32"}, "digest_algorithm", "md5"),
        ({"digest_encoding": "octal"}, "digest_encoding", "hexa"),
        ({"target": ""}, "target", "no name"),
        ({"target": "bin/install.sh"}, "target", "without a path"),
        ({"target": "./install.sh"}, "target", "without a path"),
        ({"target": r"bin\setup.exe /S"}, "target", "without a path"),
        ({"target": ".."}, "target", "without a path"),
        ({"target": "'' x"}, "target", "without a path"),
        ({"target": "install.sh 'x"}, "target", "not closed"),
        ({"target": "install.sh \0"}, "target", "NUL"),
        ({"target": "install.sh\nrm x"}, "target", "line break"),
        ({"target": "install.sh \uffff"}, "target", "U+FFFF"),
        ({"target": "é" * 128}, "target", "255 bytes"),
        ({"target": "a " + "x" * 131_071}, "target", "131071"),
        ({"action": "EXECUTE", "target": "  "}, "target", "empty"),
        ({"action": "STORE", "target": ""}, "target", "missing"),
        ({"action": "STORE", "target": "opt/x"}, "target", "absolute path on linux"),
        ({"action": "STORE", "target": r"C:\Tools"}, "target", "absolute path on linux"),
        ({"action": "STORE", "target": "/x\0y"}, "target", "NUL"),
        ({"action": "STORE", "target": "/x" * 3000}, "target", "4096"),
        ({"os": "windows", "action": "STORE", "target": "/opt"}, "target", r"C:\Tools"),
        ({"notify_text": " "}, "notify_text", "empty"),
        ({"notify_text": "a\0"}, "notify_text", "NUL"),
        ({"notify_text": "hi", "notify_countdown": -1}, "notify_countdown", "0 to 9999"),
        ({"notify_text": "hi", "notify_countdown": 10_000}, "notify_countdown", "0 to 9999"),
        ({"can_abort": True}, "notify_text", "no text"),
        ({"can_delay": True}, "notify_text", "no text"),
        ({"notify_text": "x" * 300_000}, "notify_text", "262144"),
        ({"done_text": ""}, "done_text", "empty"),
        ({"execution_timeout": -1}, "execution_timeout", "0 to"),
        ({"success_codes": (2**32,)}, "success_codes", "32 bits"),
        ({"retry_codes": (0,)}, "retry_codes", "always a success"),
        ({"reboot_codes": (5,), "retry_codes": (5,)}, "retry_codes", "among the reboot codes"),
        ({"success_codes": tuple(range(1, 102))}, "success_codes", "at most 100"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(change: dict[str, object], field: str, says: str) -> None:
    found = refused(replace(LAUNCH, **change))  # type: ignore[arg-type]
    assert list(found) == [field]
    assert says in found[field]


@pytest.mark.parametrize("spec", [LAUNCH, STORE], ids=lambda spec: spec.action)
def test_launch_and_store_need_a_file(spec: PackageSpec) -> None:
    assert "zip for Windows" in refused(spec, has_file=False)["file"]


def test_nothing_to_wrap() -> None:
    assert set(refused(replace(EXECUTE, wrap=True), has_file=False)) == {"wrap"}


@pytest.mark.parametrize(
    ("os", "path"),
    [
        ("linux", "$HOME/x"),
        ("linux", "${HOME}/x"),
        ("macos", "/Applications"),
        ("windows", r"C:\My Folder"),
        ("windows", "C:/x"),
        ("windows", r"\\server\share"),
        ("windows", r"%ProgramFiles%\x"),
        ("windows", r"INSTALL_PATH\plugins"),
        ("any", "/opt"),
        ("any", r"C:\x"),
    ],
)
def test_a_path_is_absolute_on_its_system(os: str, path: str) -> None:
    assert check_spec(replace(STORE, os=os, target=path), has_file=True) == []


def test_zero_is_a_value() -> None:
    spec = replace(
        LAUNCH, notify_text="hi", notify_countdown=0, execution_timeout=0, success_codes=(0,),
        os="windows", target="setup.exe",
    )  # fmt: skip
    assert check_spec(spec, has_file=True) == []


def test_texts_for_people_may_have_several_lines() -> None:
    spec = replace(LAUNCH, os="windows", description="a\r\nb", notify_text="<b>a</b>\nb\t&\u2066")
    assert check_spec(spec, has_file=True) == []
