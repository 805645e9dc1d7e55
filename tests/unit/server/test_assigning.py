"""Whom a package suits, what a report does, what schedules may be: decisions without a database."""

import pytest

from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.domain.assigning import (
    AgentKind,
    Verdict,
    check_postcmd,
    check_schedule,
    judge_report,
    reported_class,
    starts_again,
    why_not,
)
from deploy_server.domain.errors import SpecError

UNIX = "OCS-NG_unified_unix_agent_v2.10.0"
WINDOWS = "OCS-NG_WINDOWS_AGENT_v2.11.0.1"
OURS = "OCS-NG_unified_unix_agent_v2.0 Tranche/0.1.0"


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        (UNIX, AgentKind.UNIX),
        (WINDOWS, AgentKind.WINDOWS),
        ("OCS-NG_windows_client_v4062", AgentKind.WINDOWS),
        (OURS, AgentKind.OURS),
        ("FusionInventory-Agent_v2.6", AgentKind.OTHER),
        ("GLPI-Agent_v1.11", AgentKind.OTHER),
        ("", AgentKind.UNKNOWN),
    ],
)
def test_a_user_agent_says_whose_agent_it_is(user_agent: str, kind: AgentKind) -> None:
    assert AgentKind.of(user_agent) is kind


@pytest.mark.parametrize(
    ("package_os", "os_family", "words"),
    [
        ("any", "windows", None),
        ("any", "other", None),
        ("linux", "linux", None),
        ("linux", "", None),  # not known yet: it waits
        ("linux", "windows", "is for Linux, this computer runs Windows"),
        ("windows", "other", "this computer runs other"),
    ],
)
def test_a_package_is_for_its_system(package_os: str, os_family: str, words: str | None) -> None:
    reason = why_not(package_os, "MD5", "Hexa", os_family, UNIX)
    assert reason == words if words is None else words in (reason or "")


@pytest.mark.parametrize(
    ("algorithm", "encoding", "refused"),
    [
        ("MD5", "Hexa", set()),
        ("", "Hexa", set()),
        ("SHA1", "Hexa", {UNIX, "GLPI-Agent_v1"}),
        ("SHA256", "Hexa", {UNIX, "GLPI-Agent_v1"}),
        ("MD5", "Base64", {WINDOWS, "GLPI-Agent_v1"}),
        ("SHA256", "Base64", {UNIX, WINDOWS, "GLPI-Agent_v1"}),
    ],
)
def test_an_agent_that_cannot_verify_the_digest_is_named(
    algorithm: str, encoding: str, refused: set[str]
) -> None:
    agents = [UNIX, WINDOWS, OURS, "GLPI-Agent_v1", ""]
    reasons = {each: why_not("any", algorithm, encoding, "linux", each) for each in agents}
    assert {each for each, reason in reasons.items() if reason} == refused
    assert all("cannot verify" in reason for reason in reasons.values() if reason)


@pytest.mark.parametrize("text", ["", "2026/12/24 18:00", " 2026/12/24 18:00 "])
def test_schedules_are_local_times(text: str) -> None:
    assert check_schedule(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["2026-12-24 18:00", "2026/13/24 18:00", "2026/12/24", "soon", "2026/12/24 18:00:00",
             "٢٠٢٦/12/24 18:00", "2026/02/30 10:00"]
)  # fmt: skip
def test_what_is_no_schedule_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(SpecError, match="YYYY/MM/DD HH:MM") as caught:
        check_schedule(text)
    assert caught.value.field == "schedule"


def test_post_commands() -> None:
    assert check_postcmd(" reboot ") == "REBOOT"
    assert check_postcmd("shutdown") == "SHUTDOWN"
    assert check_postcmd("/usr/bin/true & 'x'") == "/usr/bin/true & 'x'"
    for wrong in ("a\nb", "a\0b", "a" * 1001):
        with pytest.raises(SpecError) as caught:
            check_postcmd(wrong)
        assert caught.value.field == "postcmd"


@pytest.mark.parametrize(
    ("code", "attempt", "row_attempt", "row_status", "verdict"),
    [
        ("SUCCESS", None, 7, "NOTIFIED", Verdict.TAKE),
        ("SUCCESS", None, 7, "WAITING", Verdict.TAKE),
        ("SUCCESS", 7, 7, "NOTIFIED", Verdict.TAKE),
        ("SUCCESS", 7, 7, "SUCCESS", Verdict.REPEAT),
        ("SUCCESS", None, 7, "SUCCESS", Verdict.REPEAT),
        ("ERR_TIMEOUT", 7, 7, "SUCCESS", Verdict.HISTORY),  # an attempt ends once
        ("ERR_TIMEOUT", None, 7, "SUCCESS", Verdict.TAKE),  # nobody knows which attempt
        ("SUCCESS", 6, 7, "WAITING", Verdict.HISTORY),
        ("SUCCESS", 6, 7, "SUCCESS", Verdict.HISTORY),
        ("SUCCESS", 8, 7, "NOTIFIED", Verdict.TAKE),  # a restored backup knows less
        ("SUCCESS", 8, 7, "SUCCESS", Verdict.TAKE),
        ("NOTI_DELAYED", None, 7, "NOTI_DELAYED", Verdict.TAKE),
    ],
)
def test_a_report_counts_unless_it_is_old_or_known(
    code: str, attempt: int | None, row_attempt: int, row_status: str, verdict: Verdict
) -> None:
    assert judge_report(ResultCode.parse(code), attempt, row_attempt, row_status) is verdict


def test_only_the_server_says_waiting() -> None:
    assert reported_class(ResultCode.parse("WAITING")) is ResultClass.ERROR
    assert reported_class(ResultCode.parse("NOTIFIED")) is ResultClass.NOTIFIED
    assert reported_class(ResultCode.parse("SUCCESS_0")) is ResultClass.SUCCESS


@pytest.mark.parametrize(
    ("status_class", "cleared", "force", "offered", "again"),
    [
        (ResultClass.WAITING, False, True, None, False),
        (ResultClass.NOTIFIED, False, True, 1, False),
        (ResultClass.ERROR, False, False, 2, True),
        (ResultClass.WAITING, True, False, None, True),
        (ResultClass.SUCCESS, False, False, 2, False),
        (ResultClass.SUCCESS, True, False, 2, False),
        (ResultClass.SUCCESS, False, False, None, False),
        (ResultClass.SUCCESS, False, False, 1, True),  # of an older revision
        (ResultClass.SUCCESS, False, True, 2, True),
    ],
)
def test_what_a_later_assignment_of_a_group_starts_again(
    status_class: ResultClass, cleared: bool, force: bool, offered: int | None, again: bool
) -> None:
    assert starts_again(status_class, cleared, force, offered, revision=2) is again
