"""Values of options in the database: per scope, with origins, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import settings
from deploy_server.services.settings import EVERYBODY, Scope
from tests.support import factories as make
from tests.support.clock import START

LATER = START + timedelta(hours=1)


def put(session: Session, name: str, value: str, scope: Scope = EVERYBODY) -> settings.SettingView:
    return settings.set_setting(session, name, value, scope, actor="chief", now=LATER)


def test_a_value_replaces_the_default_and_goes_again(session: Session) -> None:
    before = settings.get_setting(session, "timeout")
    assert (before.name, before.value, before.is_set) == ("DOWNLOAD_TIMEOUT", "30", False)
    put(session, "TIMEOUT", "7")
    after = put(session, "DOWNLOAD_TIMEOUT", "8")
    assert (after.value, after.is_set, after.default, after.unit) == ("8", True, "30", "days")
    assert (after.changed_by, after.changed_at) == ("chief", LATER)
    assert settings.unset_setting(session, "Timeout", actor="chief", now=LATER)
    assert not settings.unset_setting(session, "Timeout", actor="chief", now=LATER)
    assert settings.get_setting(session, "TIMEOUT") == before


def test_a_value_of_a_group_or_computer_is_its_own(session: Session) -> None:
    pc = make.make_computer(session)
    group = make.make_group(session, pc, name="Servers")
    scopes = [
        settings.computer_scope(session, pc.device_id),
        settings.group_scope(session, "SERVERS"),
    ]
    assert [(each.kind, each.id) for each in scopes] == [("computer", pc.id), ("group", group.id)]
    assert settings.get_setting(session, "TIMEOUT", scopes[0]).value == ""
    put(session, "TIMEOUT", "3", scopes[1])
    values = [settings.get_setting(session, "TIMEOUT", each).value for each in [EVERYBODY, *scopes]]
    assert values == ["30", "", "3"]
    names = {each.name for each in settings.list_settings(session, scopes[0])}
    assert "DOWNLOAD_TIMEOUT" in names
    assert "AGENTS_ALLOWED" not in names


def test_a_scope_that_is_not_there(session: Session) -> None:
    pc = make.make_computer(session, tag="Lyon")
    with pytest.raises(NotFound):
        settings.computer_scope(session, pc.device_id, perimeter=frozenset({"Paris"}))
    with pytest.raises(NotFound):
        settings.computer_scope(session, "nobody")
    with pytest.raises(NotFound):
        settings.group_scope(session, "nobody")
    with pytest.raises(SpecError, match="for everybody"):
        put(session, "AGENTS_OVER_HTTP", "1", Scope("computer", pc.id))


def test_a_wrong_value_changes_nothing(session: Session) -> None:
    put(session, "TIMEOUT", "7")
    with pytest.raises(SpecError):
        put(session, "TIMEOUT", "0")
    assert settings.get_setting(session, "TIMEOUT").value == "7"


def test_what_a_computer_is_told_comes_with_its_origin(session: Session) -> None:
    pc = make.make_computer(session, tag="Lyon")
    group = make.make_group(session, name="Lyon", kind="dynamic", expression="tag = lyon")
    put(session, "PROLOG_FREQ", "12")
    put(session, "FRAG_LATENCY", "99", Scope("group", group.id))
    put(session, "PERIOD_LENGTH", "5", Scope("computer", pc.id))
    told = {
        each.name: (each.value, each.origin)
        for each in settings.effective_settings(session, pc.id, now=LATER)
    }
    assert told["PROLOG_FREQ"] == ("12", "everybody")
    assert told["DOWNLOAD_FRAG_LATENCY"] == ("99", "group Lyon")
    assert told["DOWNLOAD_PERIOD_LENGTH"] == ("5", "this computer")
    assert told["DOWNLOAD_TIMEOUT"] == ("30", "default")
    assert "AGENTS_ALLOWED" not in told
    with pytest.raises(NotFound):
        settings.effective_settings(session, 10**6, now=LATER)
