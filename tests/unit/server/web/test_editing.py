"""Changing a package in the browser, and building another one like it."""

import io
import re
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from deploy_agent.wire.info import InfoFile, parse_info
from deploy_server.storage.models import Activation, Package
from tests.support.archive_bytes import tar_gz
from tests.support.console import Browser, Console, words
from tests.support.factories import make_activation, make_assignment, make_computer

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n", "data": bytes(range(256)) * 20})
OTHER = tar_gz({"install.sh": b"#!/bin/sh\nexit 0\n"})
GOOD = {
    "name": "Hello & <b>",
    "os": "linux",
    "action": "LAUNCH",
    "target": "install.sh --quiet",
    "priority": "3",
    "cut": "size",
    "fragment_size": "512",
    "notify_user": "1",
    "notify_text": "Now?\nReally?",
    "can_delay": "1",
    "success_codes": "7, 8",
}


@pytest.fixture
def package(admin: Browser, console: Console) -> Package:
    sent = {**GOOD, "do": "build", "file": (io.BytesIO(ARCHIVE), "hello.tar.gz")}
    assert admin.post("/packages/build", sent).status_code == 302
    return the_package(console, "Hello & <b>")


def the_package(console: Console, name: str) -> Package:
    with console.sessions() as session:
        return session.scalars(select(Package).where(Package.name == name)).one()


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send back of the form as it is shown."""
    form = page[page.index('class="columns build"') :]
    found = dict(re.findall(r'<input type="text" id="\w+" name="(\w+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<input class="short" name="(\w+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'name="(target)" class="mono"[^>]* value="([^"]*)"', form))
    checked = r'<input type="(?:radio|checkbox)" name="(\w+)" value="(\w+)"[^>]* checked'
    found |= dict(re.findall(checked, form))
    for name, text in re.findall(r'<textarea id="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.S):
        found[name] = text
    for name, options in re.findall(r'<select id="(\w+)"(.*?)</select>', form, re.S):
        found[name] = re.findall(r'value="(\w+)" selected', options)[0]
    unescape = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'"}
    pattern = re.compile("|".join(unescape))
    return {name: pattern.sub(lambda m: unescape[m[0]], text) for name, text in found.items()}


def send(browser: Browser, address: str, do: str = "build", **changes: Any) -> TestResponse:
    """Open the form, change some fields, and send it."""
    fields = fields_of(browser.get(address).text)
    return browser.post(address, {**fields, **changes, "do": do})


def info_of(console: Console, package: Package) -> InfoFile:
    return parse_info((console.config.download / str(package.id) / "info").read_bytes())


def test_what_is_sent_back_unchanged_changes_nothing_but_the_revision(
    admin: Browser, console: Console, package: Package
) -> None:
    before = info_of(console, package)
    answer = send(admin, f"/packages/{package.id}/edit")
    assert answer.location == f"/packages/{package.id}"
    after = info_of(console, package)
    assert (before.revision, after.revision) == (1, 2)
    assert {**vars_of(after), "revision": 1} == vars_of(before)
    changed = the_package(console, package.name)
    assert (changed.file_name, changed.options) == (package.file_name, package.options)


def vars_of(info: InfoFile) -> dict[str, Any]:
    return {name: getattr(info, name) for name in info.__dataclass_fields__}


def test_it_is_changed_with_and_without_a_new_file(
    admin: Browser, console: Console, package: Package
) -> None:
    address = f"/packages/{package.id}/edit"
    send(admin, address, target="install.sh --loud", name="Hello 2")
    changed = the_package(console, "Hello 2")
    assert (changed.id, changed.sha256, changed.target) == (
        package.id, package.sha256, "install.sh --loud",
    )  # fmt: skip
    send(admin, address, file=(io.BytesIO(OTHER), "other.tar.gz"))
    changed = the_package(console, "Hello 2")
    assert (changed.id, changed.revision, changed.size) == (package.id, 3, len(OTHER))
    assert changed.sha256 != package.sha256
    assert list(console.config.uploads.iterdir()) == []


def test_the_page_says_whom_it_means(admin: Browser, console: Console, package: Package) -> None:
    ours = {"agent": "Tranche/0.1", "agent_key": "tranche/0.1"}
    with console.session() as session:
        activation: Activation = make_activation(session, session.get_one(Package, package.id))
        for code, kind in (("WAITING", {}), ("NOTIFIED", ours), ("NOTIFIED", {}), ("SUCCESS", {})):
            make_assignment(session, make_computer(session, **kind), activation, status=code)
    page = words(admin.get(f"/packages/{package.id}/edit").text)
    for sentence in (
        "the revision becomes 2",
        "1 computer that waits gets the new one",
        "1 computer with our agent was told",
        "1 computer with an agent of OCS was told",
        "Without a new file it keeps hello.tar.gz",
    ):
        assert sentence in page


def test_what_is_wrong_is_said_at_its_field_and_nothing_changes(
    admin: Browser, console: Console, package: Package
) -> None:
    address = f"/packages/{package.id}/edit"
    answer = send(admin, address, priority="11", target="")
    assert answer.status_code == 422
    assert 'id="priority-problem"' in answer.text
    assert "Nothing was changed yet" in answer.text
    assert "install.sh" in send(admin, address, do="check").text
    admin.post("/packages/build", {**GOOD, "name": "Taken", "action": "EXECUTE", "do": "build"})
    assert send(admin, address, name="taken").status_code == 409
    assert the_package(console, package.name).revision == 1


def test_a_copy_takes_the_file_and_has_an_id_of_its_own(
    admin: Browser, console: Console, package: Package
) -> None:
    answer = send(admin, f"/packages/{package.id}/copy")
    made = the_package(console, "Hello & <b> (copy)")
    assert answer.location == f"/packages/{made.id}"
    assert made.id != package.id
    assert (made.sha256, made.size, made.file_name) == (
        package.sha256,
        package.size,
        "hello.tar.gz",
    )
    assert (made.options, made.revision) == (package.options, 1)
    assert the_package(console, package.name).revision == 1
    send(admin, f"/packages/{package.id}/copy", name="B", file=(io.BytesIO(OTHER), "o.tar.gz"))
    assert the_package(console, "B").size == len(OTHER)
    assert send(admin, f"/packages/{package.id}/copy").status_code == 409


def test_a_command_is_changed_and_copied(admin: Browser, console: Console) -> None:
    form = {**GOOD, "name": "Command", "action": "EXECUTE", "target": "true", "do": "build"}
    admin.post("/packages/build", form)
    package = the_package(console, "Command")
    assert send(admin, f"/packages/{package.id}/edit", target="false").status_code == 302
    assert send(admin, f"/packages/{package.id}/copy", name="Second").status_code == 302
    assert the_package(console, "Second").target == "false"


def test_the_summary_knows_the_file_that_stays(admin: Browser, package: Package) -> None:
    answer = admin.post(f"/packages/{package.id}/edit/summary", dict(GOOD), fetch=True)
    assert f"{package.fragments} of 512 B" in re.sub(r"<[^>]+>", "", answer.text)


def test_a_deleted_package_is_neither_changed_nor_copied(admin: Browser, package: Package) -> None:
    admin.post("/packages/delete", {"package": str(package.id)})
    for address in ("edit", "copy"):
        assert admin.get(f"/packages/{package.id}/{address}").status_code == 404
