"""Text that is made to be more than text, and every place of the database that shows text."""

from datetime import datetime
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.domain.search.writing import quoted
from deploy_server.services import audit
from deploy_server.storage.models import (
    AgentEvent,
    BrowserSession,
    JobTemplate,
    LoginSource,
    RefusedAgent,
    Report,
    SavedSearch,
    Setting,
    User,
    Withdrawal,
)
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
    make_user,
)

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"' onmouseover=alert(1) x='",
    "image": "<img src=x onerror=alert(1)>",
    "svg": "</title><svg/onload=alert(1)>",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}",
    "comment": "--><!-- ]]> <style>*{display:none}</style>",
    "link": "javascript:alert(1)",
    "direction": "\u202egnp.exe\u2066\u05e9\u05dc",
    "control": "a\tb\x07c\r\nd",
    "long": "W" * 10_000,
    "percent": "%s %(x)s %00 {0} \\x00",
}


def fill(session: Session, now: datetime, text: str) -> list[str]:
    """Put the text wherever it can be; returns the pages that show it."""
    computer = make_computer(
        session, device_id=text, name=text, tag=text, os=text, user=text, ip=text, model=text,
        serial=text, agent=text, workgroup=text, arch=text, os_version=text,
    )  # fmt: skip
    twin = make_computer(session, name=text, tag=text, serial=text, agent=text)
    package = make_package(
        session, name=text, description=text, target=text, file_name=text, created_by=text,
        options={"notify_text": text, "done_text": text},
    )  # fmt: skip
    gone = make_package(session, name=text, target=text, created_by=text, deleted_at=now)
    activation = make_activation(session, package, created_by=text)
    group = make_group(
        session, computer, excluded=(twin,), name=text[:200], description=text, visible=True
    )
    session.add(
        JobTemplate(name=text, name_key="x", created_at=now, created_by=text,
                    values={"target": text, "script": text, "script_name": text, "os": text})
    )  # fmt: skip
    owner = session.scalars(select(User)).first() or make_user(session)
    session.add(
        SavedSearch(owner_id=owner.id, name=text, name_key="x", audience="all",
                    expression=quoted(text[:300]), created_at=now)
    )  # fmt: skip
    make_group_assignment(session, group, activation, assigned_by=text)
    ended = make_assignment(
        session, computer, activation, status=f"ERR_{text[:200]}", assigned_by=text,
        postcmd=text, group_id=group.id,
    )  # fmt: skip
    told = make_assignment(session, computer, status="NOTIFIED", attempt=7)
    for number, (package_id, attempt) in enumerate(
        [(package.id, ended.attempt), (told.package_id, told.attempt)]
    ):
        session.add(
            AgentEvent(computer_id=computer.id, package_id=package_id, attempt=attempt,
                       event_id=str(number), received_at=now, at=now,
                       state="DOWNLOADING", reason=text, done=1, total=4, exit_code=3,
                       output=text * 3, truncated=True)
        )  # fmt: skip
    session.add(Withdrawal(computer_id=computer.id, package_id=package.id, attempt=99,
                           at=now, by=text, word="stopped"))  # fmt: skip
    session.add(
        Report(at=now, device_id=text, computer_name=text, package_id=package.id,
               package_name=text, code=text[:250], result_class=3, note=text)
    )  # fmt: skip
    for known in (text, f"{text[:200]}, of no computer"):
        session.add(
            RefusedAgent(device_id=known[:255], agent=text[:255], remote=text, why=text, count=1,
                         first_at=now, last_at=now)
        )  # fmt: skip
    session.add(Setting(scope="global", scope_id=0, name="AGENTS_ALLOWED", value=text,
                        changed_at=now, changed_by=text))  # fmt: skip
    person = make_user(session, name=text[:2000], role="viewer", tags=[text])
    session.add(
        BrowserSession(token_digest="x", user_id=person.id, epoch=0, begun_at=now, seen_at=now,
                       address=text, browser=text)
    )  # fmt: skip
    session.add(LoginSource(user_id=person.id, source=text[:200], failures=10, last_at=now))
    told_of = {text[:200]: text, "value": [text]}
    audit.record(session, "package.edit", text, now=now, actor=text, before={}, after=told_of)
    one, two, three, four = package.id, computer.id, group.id, twin.id
    return [
        "/", "/progress", "/failures", "/stuck", "/packages", f"/packages/{one}",
        f"/packages/{one}/counts", f"/packages/{one}/edit", f"/packages/{one}/copy",
        f"/packages/{one}/stop", f"/packages/{one}/stop/computers", f"/packages/{one}/results/time",
        f"/packages/{one}/results/groups", f"/packages/{one}/results/again",
        f"/packages/{one}/results", f"/packages/{one}/activate", f"/packages/delete?package={one}",
        f"/packages/purge?package={gone.id}",
        "/packages?deleted=1",
        f"/packages/{one}/results/validate?what=all",
        f"/activations/end?activation={activation.id}",
        "/computers", f"/computers/{two}", f"/computers/{two}?tab=groups",
        f"/computers/{two}/output/{one}", f"/packages/{told.package_id}/results",
        f"/computers/{two}?tab=history", f"/computers/{two}?tab=settings",
        f"/computers/tag?computer={two}", f"/computers/settings?computer={two}",
        "/computers/duplicates?by=name", f"/computers/duplicates/merge?keep={two}&computer={four}",
        "/packages/build/templates", "/packages/build/templates/own/1", "/packages/build",
        "/packages/build/templates/linux-script",
        "/computers/refused", f"/computers/unassign?computer={two}",
        f"/computers/delete?computer={two}", f"/deploy?computer={two}&activation={activation.id}",
        "/groups", f"/groups/{three}", f"/groups/{three}/delete", f"/groups/choose?computer={two}",
        f"/groups/{three}/unassign?package={one}", "/settings", "/settings/certificates",
        f"/settings/computer/{two}", f"/settings/group/{three}", "/people",
        f"/people/edit?name={quote(person.name, safe='')}", "/audit", "/audit/check", "/account",
        "/login",
    ]  # fmt: skip
