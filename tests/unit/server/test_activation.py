from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.config import ServerConfig
from deploy_server.domain.errors import Conflict, NotFound, SpecErrors
from deploy_server.services.activation import (
    activate,
    deactivate,
    default_locations,
    list_activations,
)
from deploy_server.services.packages import Impact
from deploy_server.services.settings import set_setting
from deploy_server.storage.models import Activation, Assignment, GroupAssignment, Package
from tests.support.clock import START as NOW
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)


def add(session: Session, package: Package, info: str, fragments: str) -> Activation:
    return activate(session, package, info, fragments, now=NOW, actor="tests")


def test_an_activation_keeps_places_without_schemes(session: Session) -> None:
    package = make_package(session)
    made = add(session, package, "https://A.example:8443/down/", "http://b.example/x")
    assert (made.info_url, made.fragment_url) == ("a.example:8443/down", "b.example/x")
    assert (made.created_by, made.created_at, made.ended_at) == ("tests", NOW, None)


def test_one_info_server_and_a_fragment_server_for_each_site(session: Session) -> None:
    """OCS refuses the second one silently, because the info server is used already."""
    package = make_package(session)
    sites = ["north.example/d", "south.example/d"]
    made = [add(session, package, "center.example/d", site) for site in sites]
    assert [each.fragment_url for each in list_activations(session, package.id)] == sites[::-1]
    with pytest.raises(Conflict, match=f"A{made[0].id}"):
        add(session, package, "https://center.example/d", "NORTH.example/d/")
    deactivate(session, [made[0].id], now=NOW, actor="tests")
    assert add(session, package, "center.example/d", sites[0]).id > made[1].id


def test_two_at_the_same_moment(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both looked before the other one's row was there; the database keeps one."""
    package = make_package(session)
    theirs = make_activation(session, package)
    places = theirs.info_url, theirs.fragment_url
    session.commit()
    monkeypatch.setattr(session, "scalar", lambda _: None)
    with pytest.raises(Conflict, match="there already"):
        add(session, package, *places)


def test_fragments_follow_the_protocol(session: Session) -> None:
    package = make_package(session, protocol="HTTPS")
    assert add(session, package, "a.example/d", "https://a.example/d").fragment_url == "a.example/d"
    with pytest.raises(SpecErrors) as caught:
        add(session, package, "http://a.example/d", "http://a.example/d")
    assert set(caught.value.by_field()) == {"info_url", "fragment_url"}


def test_a_pasted_address_of_a_file_is_refused(session: Session) -> None:
    package = make_package(session)
    with pytest.raises(SpecErrors, match="agents add") as caught:
        add(session, package, f"a.example/d/{package.id}/info", "a.example/d")
    assert set(caught.value.by_field()) == {"info_url"}


def test_a_deleted_package_is_not_activated(session: Session) -> None:
    package = make_package(session, deleted_at=NOW)
    with pytest.raises(Conflict, match="deleted"):
        add(session, package, "a.example/d", "a.example/d")


def test_the_usual_places(session: Session, tmp_path: Path) -> None:
    config = ServerConfig(tmp_path, hosts=("deploy.example", "other"))
    plain, tls = make_package(session), make_package(session, protocol="HTTPS")
    info = "deploy.example:8443/download"
    assert default_locations(session, config, plain) == (info, "deploy.example:8080/download")
    assert default_locations(session, config, tls) == (info, info)

    config = ServerConfig(tmp_path, hosts=("fd00::1",), http_port=80, https_port=443)
    assert default_locations(session, config, plain) == ("[fd00::1]/download",) * 2

    for name, place in {"INFO": "i.example/d", "FRAG": "f.example/d"}.items():
        set_setting(session, f"DOWNLOAD_URI_{name}", place, actor="tests", now=NOW)
    assert default_locations(session, config, plain) == ("i.example/d", "f.example/d")


def test_ending_withdraws_those_who_wait_and_nobody_else(session: Session) -> None:
    package = make_package(session)
    ended = make_activation(session, package)
    kept = make_activation(session, package, fragment_url="b.example/d")
    for status in ("WAITING", "WAITING", "NOTIFIED", "SUCCESS", "ERR_X"):
        make_assignment(session, make_computer(session), ended, status=status)
    make_assignment(session, make_computer(session), kept, status="WAITING")
    make_group_assignment(session, make_group(session), ended)

    gone = deactivate(session, [ended.id], now=NOW, actor="tests")

    assert gone == Impact(activations=1, waiting=2, notified=1, groups=1)
    assert [each.id for each in list_activations(session)] == [kept.id]
    assert session.get_one(Activation, ended.id).ended_at == NOW
    left = {(row.activation_id, row.status) for row in session.scalars(select(Assignment))}
    assert left == {
        (ended.id, "NOTIFIED"), (ended.id, "SUCCESS"), (ended.id, "ERR_X"), (kept.id, "WAITING"),
    }  # fmt: skip
    assert session.scalars(select(GroupAssignment)).all() == []


def test_what_was_cleared_stays_cleared(session: Session) -> None:
    activation = make_activation(session, make_package(session))
    row = make_assignment(session, make_computer(session), activation, status="WAITING")
    row.cleared_at = NOW
    assert deactivate(session, [activation.id], now=NOW, actor="tests").waiting == 0
    assert session.scalar(select(Assignment.status_class)) == ResultClass.WAITING


def test_an_unknown_or_ended_activation_ends_nothing(session: Session) -> None:
    package = make_package(session)
    first = make_activation(session, package)
    with pytest.raises(NotFound, match="A999"):
        deactivate(session, [first.id, 999], now=NOW, actor="tests")
    assert first.ended_at is None
    deactivate(session, [first.id, first.id], now=NOW, actor="tests")
    with pytest.raises(NotFound, match=f"A{first.id}"):
        deactivate(session, [first.id], now=NOW, actor="tests")
