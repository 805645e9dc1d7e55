"""Building in the browser: the form, its file, every bad value, the summary."""

import io
import random
import re
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from deploy_agent.wire.info import parse_info
from deploy_server.domain.errors import StorageError
from deploy_server.services import intake
from deploy_server.services.activation import Check
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.models import Activation, Package, User
from deploy_server.storage.uploads import UploadStore
from deploy_server.web import progress
from tests.support.archive_bytes import tar_gz, zip_
from tests.support.console import Browser, Console

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n", "data": bytes(range(256)) * 20})
GOOD = {
    "name": "Hello",
    "os": "linux",
    "action": "LAUNCH",
    "target": "install.sh --quiet",
    "priority": "3",
    "cut": "size",
    "fragment_size": "512",
    "protocol": "HTTP",
    "digest_algorithm": "MD5",
    "digest_encoding": "Hexa",
}


def file(content: bytes = ARCHIVE, name: str = "hello.tar.gz") -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


def build(browser: Browser, do: str = "build", **changes: Any) -> TestResponse:
    form = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return browser.post("/packages/build", {**form, "do": do})


def uploaded(console: Console, content: bytes) -> str:
    """A file that went ahead of its form; the only way for one that the test client would spool."""
    with console.sessions() as session:
        owner = session.scalars(select(User.id)).one()
    store = UploadStore(console.config.uploads, 2**30)
    upload = store.begin(owner, "hello.tar.gz", len(content))
    return store.append(upload, 0, [content]).id


def packages(console: Console) -> list[Package]:
    with console.sessions() as session:
        return list(session.scalars(select(Package)))


def test_the_form_has_ocs_s_defaults(admin: Browser) -> None:
    page = admin.get("/packages/build").text
    assert 'name="priority" value="5"' in page
    assert 'name="fragment_size" value="1 MiB"' in page
    assert '<option value="MD5" selected>' in page
    for label in ("Execute a file", "Execute a command", "Store"):
        assert label in page


def test_a_plain_form_builds_a_package(admin: Browser, console: Console) -> None:
    answer = build(admin, file=file(), description="Ticket 7")
    (package,) = packages(console)
    assert answer.location == f"/packages/{package.id}"
    assert (package.name, package.priority, package.created_by) == ("Hello", 3, "superadmin")
    assert (package.size, package.file_name) == (len(ARCHIVE), "hello.tar.gz")
    folder = console.config.download / str(package.id)
    info = parse_info((folder / "info").read_bytes())
    assert info.target == "install.sh --quiet"
    assert info.fragments == -(-len(ARCHIVE) // 512)
    joined = b"".join((folder / f"{package.id}-{n}").read_bytes()
                      for n in range(1, info.fragments + 1))  # fmt: skip
    assert joined == ARCHIVE
    assert list(console.config.uploads.iterdir()) == []
    assert "Activate it" in admin.get(answer.location).text


def test_a_command_needs_no_file(admin: Browser, console: Console) -> None:
    assert build(admin, action="EXECUTE", target="id && true").status_code == 302
    (package,) = packages(console)
    assert (package.target, package.fragments) == ("id && true", 0)


def test_messages_and_codes_reach_the_info_file(admin: Browser, console: Console) -> None:
    dialogs = {"notify_user": "1", "notify_text": "Save <b>now</b>", "notify_countdown": "90",
               "can_delay": "1", "need_done": "1", "done_text": "All set?"}  # fmt: skip
    codes = {"success_codes": "1641, 3010", "retry_codes": "1618", "execution_timeout": "0"}
    assert build(admin, file=file(), **dialogs, **codes).status_code == 302
    (package,) = packages(console)
    folder = console.config.download / str(package.id)
    info = parse_info((folder / "info").read_bytes())
    assert info.notification is not None
    assert (info.notification.text, info.notification.countdown_s) == ("Save <b>now</b>", 90)
    assert (info.notification.can_abort, info.notification.can_delay) == (False, True)
    assert info.done_text == "All set?"
    assert (info.success_codes, info.retry_codes) == ((1641, 3010), (1618,))
    assert info.execution_timeout_min == 0


def test_what_belongs_to_a_switch_that_is_off_is_left_out(admin: Browser, console: Console) -> None:
    build(admin, file=file(), notify_text="never shown", notify_countdown="x", done_text="nor this")
    (package,) = packages(console)
    assert "notify_text" not in package.options
    assert "done_text" not in package.options


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"name": ""}, "name", "name"),
        ({"name": "x" * 256}, "name", "255"),
        ({"os": "solaris"}, "os", "solaris"),
        ({"action": "ERASE"}, "action", "ERASE"),
        ({"target": ""}, "target", ""),
        ({"target": "bin/install.sh"}, "target", "path"),
        ({"action": "STORE", "target": "relative"}, "target", ""),
        ({"action": "STORE", "target": "/opt/\0x"}, "target", "NUL"),
        ({"target": "install.sh \0"}, "target", "NUL"),
        ({"priority": "11"}, "priority", "11"),
        ({"priority": "-1"}, "priority", "-1"),
        ({"priority": "high"}, "priority", "high"),
        ({"fragment_size": "0"}, "fragment_size", "0"),
        ({"fragment_size": "lots"}, "fragment_size", "lots"),
        ({"cut": "count", "fragments": "0"}, "fragments", "0"),
        ({"cut": "count", "fragments": ""}, "fragments", ""),
        ({"cut": "count", "fragments": "some"}, "fragments", "some"),
        ({"notify_user": "1", "notify_text": ""}, "notify_text", ""),
        ({"notify_user": "1", "notify_text": "x", "notify_countdown": "99999"},
         "notify_countdown", ""),
        ({"need_done": "1", "done_text": ""}, "done_text", ""),
        ({"success_codes": "1641, many"}, "success_codes", "many"),
        ({"execution_timeout": "-5"}, "execution_timeout", "-5"),
        ({"digest_algorithm": "CRC32"}, "digest_algorithm", "CRC32"),
        ({"digest_encoding": "Rot13"}, "digest_encoding", "Rot13"),
        ({"protocol": "FTP"}, "protocol", "FTP"),
        ({"file": None}, "file", ""),
        ({"file": (io.BytesIO(b"Rar!\x1a\x07\x00" + bytes(100)), "x.rar")}, "file", ""),
        ({"file": (io.BytesIO(b""), "empty.tar.gz")}, "file", ""),
        ({"file": (io.BytesIO(b"x"), "one-byte.tar.gz")}, "file", ""),
        ({"file": (io.BytesIO(zip_({"install.sh": b"x"})), "x.zip")}, "file", "tar.gz"),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", str(value))[:60] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_bad_value_is_named_at_its_field_and_changes_nothing(
    admin: Browser, console: Console, changes: dict[str, Any], field: str, says: str
) -> None:
    answer = build(admin, **{"description": "kept <as> typed", "file": file(), **changes})
    assert answer.status_code == 422, answer.text[-500:]
    begin = answer.text.index(f'id="{field}-problem"')
    assert says in answer.text[begin : begin + 700]
    assert "kept &lt;as&gt; typed" in answer.text
    assert packages(console) == []
    assert list(console.config.download.iterdir()) == []


def test_what_is_wrong_is_shown_all_at_once_and_the_file_is_kept(
    admin: Browser, console: Console
) -> None:
    answer = build(admin, file=file(), name="", priority="99")
    assert 'id="name-problem"' in answer.text
    assert 'id="priority-problem"' in answer.text
    (kept,) = console.config.uploads.glob("*.bytes")
    assert kept.read_bytes() == ARCHIVE
    assert f'name="upload" value="{kept.stem}"' in answer.text
    again = build(admin, upload=kept.stem)
    assert again.status_code == 302
    assert packages(console)[0].size == len(ARCHIVE)


def test_a_name_that_is_taken_is_refused(admin: Browser, console: Console) -> None:
    build(admin, file=file())
    answer = build(admin, file=file(), name="HELLO")
    assert answer.status_code in (409, 422)
    assert 'id="name-problem"' in answer.text
    assert len(packages(console)) == 1


def test_a_single_file_is_wrapped_when_ticked(admin: Browser, console: Console) -> None:
    answer = build(admin, file=file(b"#!/bin/sh\n", "install.sh"), wrap="1")
    assert answer.status_code == 302
    assert packages(console)[0].file_name == "install.sh"


def test_checking_first_builds_nothing(admin: Browser, console: Console) -> None:
    answer = build(admin, "check", file=file())
    assert answer.status_code == 200
    assert "./install.sh --quiet" in answer.text
    assert "NAME=&#34;install.sh --quiet&#34;" in answer.text
    assert packages(console) == []


def test_the_summary_follows_the_form(admin: Browser) -> None:
    admin.get("/packages/build")
    form = {**GOOD, "size": "104857600", "fragment_size": "1 MiB", "priority": "5"}
    answer = admin.post("/packages/build/summary", form, fetch=True)
    assert "100 of 1 MiB" in answer.text
    assert "9 h 47 min" in answer.text  # OCS's formula: features.md 5.4
    wrong = admin.post("/packages/build/summary", {**form, "priority": "11"}, fetch=True)
    assert 'data-problem="priority"' in wrong.text


def test_a_taken_name_is_told_before_the_build(admin: Browser, console: Console) -> None:
    assert "is taken" not in admin.post("/packages/build/summary", GOOD | {"size": "9"}).text
    build(admin, file=file())
    (package,) = packages(console)
    taken = GOOD | {"name": "HELLO", "size": "9"}
    assert f"package {package.id} has it" in admin.post("/packages/build/summary", taken).text
    assert "is taken" in build(admin, do="check", file=file()).text
    # It may keep its own.
    assert "is taken" not in admin.post(f"/packages/{package.id}/edit/summary", taken).text


def test_the_summary_names_agents_that_refuse_the_digest(admin: Browser) -> None:
    admin.get("/packages/build")
    form = {**GOOD, "size": "10", "digest_algorithm": "SHA256"}
    answer = admin.post("/packages/build/summary", form, fetch=True)
    assert "Unix agent" in answer.text


def test_a_priority_beyond_the_period_never_ends(admin: Browser) -> None:
    admin.post("/settings", {"DOWNLOAD_PERIOD_LENGTH": "2"})
    answer = admin.post("/packages/build/summary", {**GOOD, "size": "10"}, fetch=True)
    assert "for ever" in answer.text


def test_the_setting_cuts_where_nobody_says_how(admin: Browser, console: Console) -> None:
    """OCS's way: 3.5 MB at 2 MB each are 2 equal pieces. A size that is typed counts before it."""
    assert 'value="1 MiB" placeholder="1 MiB"' in admin.get("/packages/build").text
    admin.post("/settings", {"DOWNLOAD_ACTIVATE_FRAG": "1", "DOWNLOAD_RATIO_FRAG": "2"})
    assert 'value="" placeholder="automatic"' in admin.get("/packages/build").text
    archive = tar_gz({"install.sh": random.Random(1).randbytes(7 * 1024**2 // 2)})
    form = {**GOOD, "fragment_size": "", "size": str(len(archive))}
    assert "2 of 1.8 MiB" in admin.post("/packages/build/summary", form, fetch=True).text
    for name, size in (("Left empty", ""), ("Not sent", None), ("Typed", "1 MiB")):
        sent = build(admin, name=name, upload=uploaded(console, archive), fragment_size=size)
        assert sent.status_code == 302
    fragments = {each.name: each.fragments for each in packages(console)}
    assert fragments == {"Left empty": 2, "Not sent": 2, "Typed": 4}


def test_the_protocol_that_is_usual_here(admin: Browser) -> None:
    chosen = '<option value="HTTPS" selected>'
    assert chosen not in admin.get("/packages/build").text
    admin.post("/settings", {"DOWNLOAD_PROTOCOL": "HTTPS"})
    assert chosen in admin.get("/packages/build").text
    job = {"names": "vlc", "manager": "apt"}
    assert chosen in admin.post("/packages/build/templates/linux-install", job).text


def test_how_far_a_build_is_can_be_asked_meanwhile(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    mib = 1024**2
    archive = tar_gz({"install.sh": random.Random(1).randbytes(5 * mib // 2)})
    upload = uploaded(console, archive)
    with console.sessions() as session:
        owner = session.scalars(select(User.id)).one()
    kept = UploadStore(console.config.uploads, 2**30).get(upload, owner)
    seen: list[int | None] = []

    def read(source: Any) -> bytes:
        seen.append(progress.built(kept))
        return bytes(source.read(mib))

    monkeypatch.setattr(intake, "_read", read)
    address = f"/uploads/{upload}/built"
    assert admin.get(address).get_json() == {"built": None, "length": len(archive)}
    assert build(admin, upload=upload, fragment_size="1 MiB").status_code == 302
    assert seen == [None, mib, 2 * mib, len(archive)]
    assert list(console.config.run.glob("building-*")) == []
    # Whoever goes on asking until the answer is there makes no mistake.
    gone = admin.get(address)
    assert (gone.status_code, gone.data) == (204, b"")


def test_a_full_disk_is_named_at_the_file_and_the_form_is_kept(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFragmentStore, "free_bytes", lambda self: 10 * 1024**2)
    answer = build(admin, file=file(), description="kept <as> typed")
    assert answer.status_code == 503
    begin = answer.text.index('id="file-problem"')
    assert "the disk has 10 MiB left" in answer.text[begin : begin + 700]
    assert "Free some space" in answer.text[begin : begin + 700]
    assert "kept &lt;as&gt; typed" in answer.text
    assert packages(console) == []
    assert list(console.config.download.iterdir()) == []
    monkeypatch.undo()
    (kept,) = console.config.uploads.glob("*.bytes")
    assert build(admin, upload=kept.stem).status_code == 302


def found(ok: bool) -> Any:
    return lambda *arguments: [Check("https://x/info", ok, "info was looked at")]


def test_build_and_activate_is_one_step_where_agents_find_it(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy_server.services.activation.check_locations", found(True))
    answer = build(admin, "activate", file=file())
    with console.sessions() as session:
        (made,) = session.scalars(select(Activation))
    assert answer.location == f"/packages/{made.package_id}"
    assert made.info_url.startswith("deploy.example.org")
    assert f"activated as A{made.id}" in admin.get(answer.location).text


def test_build_and_activate_asks_where_agents_do_not_find_it(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy_server.services.activation.check_locations", found(False))
    answer = build(admin, "activate", file=file())
    (package,) = packages(console)
    assert answer.location == f"/packages/{package.id}/activate?checked=1"
    assert "Info was looked at." in admin.get(answer.location).text
    with console.sessions() as session:
        assert session.scalars(select(Activation)).all() == []


@pytest.mark.parametrize("ok", [True, False])
def test_the_setting_activates_what_agents_would_find(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch, ok: bool
) -> None:
    monkeypatch.setattr("deploy_server.services.activation.check_locations", found(ok))
    assert "Build only" in admin.get("/packages/build").text
    admin.post("/settings", {"DOWNLOAD_AUTO_ACTIVATE": "1"})
    assert "Build only" not in admin.get("/packages/build").text
    built = build(admin, target="install.sh", file=file())
    (package,) = packages(console)
    copied = admin.post(f"/packages/{package.id}/copy", {**GOOD, "name": "copy", "do": "build"})
    for answer in (built, copied):
        assert answer.location.endswith("/activate?checked=1") is not ok
    with console.sessions() as session:
        assert len(session.scalars(select(Activation)).all()) == (2 if ok else 0)


def test_a_file_over_the_limit_is_refused_before_it_is_read(
    console: Console, admin: Browser
) -> None:
    object.__setattr__(console.config, "max_package_bytes", 1000)
    admin.get("/packages/build")
    answer = build(admin, file=file(bytes(5000)))
    assert answer.status_code == 413
    assert "max_package_bytes" in answer.text
    assert list(console.config.uploads.glob("*")) == []


def test_an_upload_that_stays_behind_does_not_undo_what_was_built(
    console: Console, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_store: UploadStore, _upload: object) -> None:
        raise StorageError("the upload cannot be removed")

    monkeypatch.setattr(UploadStore, "delete", away)
    built = build(admin, file=file())
    assert built.status_code == 302, built.text
    edited = admin.post(f"{built.location}/edit", {**GOOD, "file": file(), "do": "save"})
    assert edited.status_code == 302, edited.text
    copied = admin.post(f"{built.location}/copy", {**GOOD, "name": "copy", "file": file()})
    assert copied.status_code == 302, copied.text
    assert {each.revision for each in packages(console)} == {1, 2}
