"""Every result that any agent sends: kept as it came, shown, counted, and found again."""

import html
import re

import pytest

from deploy_server.storage.models import Computer
from tests.support.console import Browser, Console
from tests.support.contact import Wire
from tests.support.factories import make_activation, make_assignment, make_computer

# Each row of features.md 4 by the class that every counter, colour and search uses.
SUCCESSES = [
    "SUCCESS",
    "SUCCESS_0",
    "SUCCESS_REBOOT_INITIATED",
    "SUCCESS_REBOOT_REQUIRED",
    "SUCCESS_RESTART_REQUIRED",
    "SUCCESS_ALREADY_SETUP",
    "SUCCESS_ALREADY_IN_HISTORY",
    "ERR_ALREADY_SETUP",
]
ERRORS = [
    "SUCCESS_3",
    "SUCCESS_",
    "EXIT_CODE_3",
    "EXIT_CODE_-1073741510",
    "ERR_EXIT_CODE_3",
    "ERR_BAD_ID",
    "ERR_BAD_DIGEST",
    "ERR_DOWNLOAD_INFO",
    "ERR_DOWNLOAD_PACK",
    "ERR_BUILD",
    "ERR_UNZIP",
    "ERR_OUT_OF_SPACE",
    "ERR_BAD_PARAM",
    "ERR_EXECUTE_PACK",
    "ERR_EXECUTE",
    "ERR_EXECUTE_NO_EXIT_CODE",
    "ERR_EXECUTE_TIMEOUT",
    "ERR_EXECUTE_TOO_MANY_TRY",
    "ERR_CLEAN",
    "ERR_DONE_FAILED",
    "ERR_TIMEOUT",
    "ERR_ABORTED",
    "ERR_NO_PARAM",
    "ERR_NO_LAUNCHER",
    "ERR_NO_INST32_CODE",
    "UNKNOWN_CODE",
    "ERR_NEVER_HEARD_OF",
    "<script>alert(1)</script>",
    "' OR 1=1 -- ünd",
]
CLASSES = {"success": SUCCESSES, "error": ERRORS, "notified": ["NOTI_DELAYED"]}


@pytest.fixture
def computers(console: Console) -> dict[str, Computer]:
    """One computer for each code, which its agent has reported."""
    codes = [code for each in CLASSES.values() for code in each]
    with console.session() as session:
        wire, activation = Wire(session), make_activation(session)
        made = {code: make_computer(session, name=f"pc-{n}") for n, code in enumerate(codes)}
        for code, computer in made.items():
            make_assignment(session, computer, activation, status="NOTIFIED")
            wire.report(computer, activation, code)
        for computer in made.values():
            session.refresh(computer)
    return made


def names(page: str) -> set[str]:
    return set(re.findall(r'href="/computers/\d+">([^<]*)</a>', page))


def package_of(admin: Browser) -> str:
    found = re.search(r'href="/packages/(\d+)"', admin.get("/packages").text)
    assert found
    return found.group(1)


def test_each_is_shown_and_filtered(admin: Browser, computers: dict[str, Computer]) -> None:
    results = f"/packages/{package_of(admin)}/results"
    page = admin.get(results)
    assert len(names(page.text)) == len(computers)
    for code, computer in computers.items():
        assert code in html.unescape(page.text), code
        filtered = admin.get(results, query_string={"status": code})
        assert names(filtered.text) == {computer.name}, code
        assert code in html.unescape(admin.get(f"/computers/{computer.id}").text), code
    assert "<script>alert(1)" not in page.text


def test_a_package_s_page_names_what_came(admin: Browser, console: Console) -> None:
    codes = ["ERR_EXECUTE_TOO_MANY_TRY", "SUCCESS_ALREADY_IN_HISTORY", "EXIT_CODE_-1073741510"]
    with console.session() as session:
        activation = make_activation(session)
        for code in [*codes, codes[0]]:
            make_assignment(session, activation=activation, status=code)
    page = html.unescape(admin.get(f"/packages/{activation.package_id}").text)
    linked = {code: f"/results?status={code}" in page for code in codes}
    assert linked == dict.fromkeys(codes, True)
    for code in codes:
        assert re.search(rf">\s*{code}\s*<", page), code


def test_each_counts_in_its_class(admin: Browser, computers: dict[str, Computer]) -> None:
    package_id = package_of(admin)
    for name, codes in CLASSES.items():
        expected = {computers[code].name for code in codes}
        filtered = admin.get(f"/packages/{package_id}/results?class={name}")
        assert names(filtered.text) == expected, name
        found = admin.get("/computers", query_string={"q": f"package:{package_id} = {name}"})
        assert names(found.text) == expected, name


def test_each_is_found_by_search(admin: Browser, computers: dict[str, Computer]) -> None:
    package_id = package_of(admin)
    for code, computer in computers.items():
        found = admin.get("/computers", query_string={"q": f'package:{package_id} = "{code}"'})
        assert names(found.text) == {computer.name}, code
