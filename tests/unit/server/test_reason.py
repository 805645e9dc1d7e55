from dataclasses import replace
from datetime import timedelta

import pytest

from deploy_agent.wire.result import ResultCode
from deploy_server.domain.reason import Situation, meaning, reason
from tests.support.clock import START

FINE = Situation(
    status="WAITING",
    since=START,
    priority=5,
    schedule="",
    activation="A7",
    activation_ended=False,
    system_known=True,
    package_os="linux",
    unsuitable=None,
    last_contact=START,
    contact_every=timedelta(hours=24),
    deployment_on=True,
    inventories_on=True,
    period_length=10,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "next contact, expected by 2026-"),
        ({"status": "NOTIFIED"}, "has not reported yet"),
        ({"status": "NOTIFIED", "schedule": "2026/12/24 18:00"}, "run at 2026/12/24 18:00"),
        ({"status": "NOTIFIED", "behind": "Agent 3"}, "Behind Agent 3, which has priority 0"),
        ({"behind": "Agent 3"}, "next contact, expected by"),
        ({"status": "NOTIFIED", "asks_user": True}, "asks the user before it runs"),
        ({"last_contact": None}, "never been in contact"),
        ({"last_contact": START - timedelta(days=30)}, "No contact for 30 days, expected every 24"),
        ({"last_contact": START - timedelta(hours=60)}, "next contact"),
        ({"activation_ended": True}, "A7 was ended"),
        ({"unsuitable": "the package is for linux, this computer runs windows"}, "The package is"),
        ({"deployment_on": False}, "switched off for this computer"),
        ({"inventories_on": False}, "FREQUENCY is -1"),
        ({"priority": 10, "period_length": 5}, "priority 10 is above the period length 5"),
        ({"system_known": False}, "no inventory has said"),
        ({"system_known": False, "package_os": "any"}, "next contact"),
        ({"status": "SUCCESS", "deployment_on": False}, "Done"),
        ({"status": "SUCCESS_3"}, "exit code 3"),
        ({"status": "ERR_EXIT_CODE_1603"}, "exit code 1603"),
        ({"status": "ERR_BAD_DIGEST"}, "not what was built"),
        ({"status": "something new"}, "reported this error"),
    ],
)
def test_one_sentence_for_each_situation(changes: dict[str, object], words: str) -> None:
    sentence = reason(replace(FINE, **changes), START)  # type: ignore[arg-type]
    assert words in sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")


@pytest.mark.parametrize(
    "code",
    [
        "SUCCESS_REBOOT_INITIATED", "SUCCESS_REBOOT_REQUIRED", "SUCCESS_RESTART_REQUIRED",
        "SUCCESS_ALREADY_SETUP", "ERR_ALREADY_SETUP", "SUCCESS_ALREADY_IN_HISTORY",
        "EXIT_CODE_3", "ERR_EXIT_CODE_3", "SUCCESS_3", "ERR_BAD_ID", "ERR_BAD_DIGEST",
        "ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_PACK", "ERR_BUILD", "ERR_UNZIP", "ERR_OUT_OF_SPACE",
        "ERR_BAD_PARAM", "ERR_EXECUTE_PACK", "ERR_EXECUTE", "ERR_EXECUTE_NO_EXIT_CODE",
        "ERR_EXECUTE_TIMEOUT", "ERR_EXECUTE_TOO_MANY_TRY", "ERR_CLEAN", "ERR_DONE_FAILED",
        "ERR_TIMEOUT", "ERR_ABORTED", "UNKNOWN_CODE",
    ],
)  # fmt: skip
def test_known_codes_have_a_meaning_of_their_own(code: str) -> None:
    assert meaning(ResultCode.parse(code)) not in ("Done", "The agent reported this error")
