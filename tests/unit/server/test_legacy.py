from dataclasses import replace

import pytest

from deploy_server.domain.legacy import agents_that_refuse
from deploy_server.domain.package import PackageSpec, check_spec

LAUNCH = PackageSpec(name="Tool", os="linux", action="LAUNCH", target="install.sh")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"priority": 10}, "above the period length of 5"),
        ({"priority": 0}, "before everything else"),
        ({"target": "my-app.sh"}, "'my'"),
        ({"target": "'my app.sh' x"}, "'my'"),
        ({"target": "install.sh && reboot"}, "&"),
        ({"target": "install.sh > log"}, "without a shell"),
        ({"digest_algorithm": "SHA1"}, "Debian 12"),
        ({"digest_algorithm": "SHA256"}, "OCS's Unix agent"),
        ({"digest_encoding": "Base64"}, "OCS's Windows agent"),
        ({"os": "any", "target": "a " + "x" * 260}, "255 characters"),
        ({"reboot_codes": (3010,)}, "never with 3010"),
        ({"notify_text": "hi"}, "shows no messages"),
    ],
)
def test_what_old_agents_stumble_over_is_said(change: dict[str, object], says: str) -> None:
    spec = replace(LAUNCH, **change)  # type: ignore[arg-type]
    (warning,) = check_spec(spec, has_file=True, period_length=5)
    assert says in warning


@pytest.mark.parametrize(
    "change",
    [
        {"os": "windows", "target": "my-app.exe"},
        {"target": "install.sh --message 'a > b'"},
        {"action": "EXECUTE", "target": "a-b | tee log > x"},
        {"os": "windows", "reboot_codes": (3010,)},
        {"os": "windows", "done_text": "bye"},
    ],
)
def test_what_they_do_not_stumble_over_is_not(change: dict[str, object]) -> None:
    spec = replace(LAUNCH, **change)  # type: ignore[arg-type]
    assert check_spec(spec, has_file=True) == []


def test_a_digest_of_nothing_refuses_nobody() -> None:
    spec = replace(LAUNCH, action="EXECUTE", target="true", digest_algorithm="SHA256")
    assert check_spec(spec, has_file=False) == []


def test_md5_in_hexa_is_read_by_all() -> None:
    assert agents_that_refuse("MD5", "Hexa") == ()
