"""Activating: checked from the server, confirmed where a check fails; ending it."""

from typing import Any

import pytest
from sqlalchemy import select

from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.services.activation import Check
from deploy_server.storage.models import Activation, Assignment
from tests.support.console import Browser, Console
from tests.support.factories import make_activation, make_assignment, make_package

FORM = {"info_url": "centre.example.org:8443/download", "fragment_url": "lyon.example.org/download"}


def looking(monkeypatch: pytest.MonkeyPatch, *outcomes: bool | Exception) -> list[tuple[Any, ...]]:
    """Answer checks with these outcomes; returns what was asked."""
    asked: list[tuple[Any, ...]] = []

    def check(config: object, store: object, package: object, *urls: str) -> list[Check]:
        asked.append(urls)
        for each in outcomes:
            if isinstance(each, Exception):
                raise each
        return [Check(url, bool(ok), f"found is {ok}") for url, ok in
                zip(urls, outcomes, strict=True)]  # fmt: skip

    monkeypatch.setattr("deploy_server.services.activation.check_locations", check)
    return asked


def activations(console: Console) -> list[Activation]:
    with console.sessions() as session:
        return list(session.scalars(select(Activation)))


@pytest.fixture
def address(console: Console) -> str:
    with console.session() as session:
        return f"/packages/{make_package(session).id}/activate"


def test_this_server_is_filled_in(admin: Browser, address: str) -> None:
    page = admin.get(address).text
    assert 'value="deploy.example.org:8443/download"' in page
    assert 'value="deploy.example.org:8080/download"' in page


def test_the_settings_are_filled_in_before_it(admin: Browser, address: str) -> None:
    admin.post("/settings", {"DOWNLOAD_URI_FRAG": "cache.example.org/d"})
    assert 'value="cache.example.org/d"' in admin.get(address).text


def test_what_answers_is_activated(
    admin: Browser, console: Console, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = looking(monkeypatch, True, True)
    answer = admin.post(address, FORM)
    assert asked == [(FORM["info_url"], FORM["fragment_url"])]
    (made,) = activations(console)
    assert answer.location == f"/packages/{made.package_id}"
    assert (made.info_url, made.fragment_url) == (FORM["info_url"], FORM["fragment_url"])
    assert made.created_by == "superadmin"
    assert f"Activated as A{made.id}" in admin.get(answer.location).text


def test_what_does_not_answer_is_asked_about(
    admin: Browser, console: Console, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = looking(monkeypatch, True, False)
    answer = admin.post(address, FORM)
    assert answer.status_code == 409
    assert "Found is False." in answer.text
    assert "Activate anyway" in answer.text
    assert activations(console) == []
    confirmed = {**FORM, "confirmed": f"{FORM['info_url']} {FORM['fragment_url']}"}
    assert admin.post(address, confirmed).status_code == 302
    assert len(asked) == 1
    assert len(activations(console)) == 1


def test_only_what_was_looked_at_is_confirmed(
    admin: Browser, console: Console, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking(monkeypatch, True, False)
    form = {**FORM, "confirmed": "other.example.org/a other.example.org/b"}
    assert admin.post(address, form).status_code == 409
    assert activations(console) == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:8080"])
def test_an_address_of_the_agents_own_computer_is_asked_about(
    admin: Browser, console: Console, address: str, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    looking(monkeypatch, True, True)
    form = {**FORM, "fragment_url": f"{host}/download"}
    answer = admin.post(address, form)
    assert answer.status_code == 409
    assert "would look on themselves" in answer.text
    assert activations(console) == []


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"info_url": ""}, "info_url"),
        ({"info_url": "http://centre.example.org/download"}, "info_url"),
        ({"fragment_url": "ftp://x/y"}, "fragment_url"),
        ({"fragment_url": "bad host/path"}, "fragment_url"),
        ({"info_url": "x/../y"}, "info_url"),
    ],
)
def test_a_bad_address_is_named_at_its_field(
    admin: Browser, console: Console, address: str, form: dict[str, str], field: str
) -> None:
    answer = admin.post(address, {**FORM, **form})
    assert answer.status_code == 422
    assert f'id="{field}-problem"' in answer.text
    assert activations(console) == []


def test_errors_of_a_check_are_shown_at_their_field(
    admin: Browser, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking(monkeypatch, SpecErrors([SpecError("info_url", "no", "yes")]))
    assert admin.post(address, FORM).status_code == 422
    assert 'id="info_url-problem"' in admin.get(f"{address}?checked=1").text


def test_the_same_place_twice_is_refused(
    admin: Browser, console: Console, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking(monkeypatch, True, True)
    admin.post(address, FORM)
    answer = admin.post(address, FORM)
    assert answer.status_code == 409
    assert len(activations(console)) == 1


def test_a_second_site_is_another_activation(
    admin: Browser, console: Console, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking(monkeypatch, True, True)
    admin.post(address, FORM)
    admin.post(address, {**FORM, "fragment_url": "paris.example.org/download"})
    assert len(activations(console)) == 2
    assert "lyon.example.org/download" in admin.get(address).text


def test_ending_shows_what_it_does_first(admin: Browser, console: Console) -> None:
    with console.session() as session:
        activation = make_activation(session)
        make_assignment(session, activation=activation)
        make_assignment(session, activation=activation, status="NOTIFIED")
    page = admin.get(f"/activations/end?activation={activation.id}").text
    assert "No computer is touched" in page
    answer = admin.post("/activations/end", {"activation": activation.id})
    assert answer.location == f"/packages/{activation.package_id}"
    assert "1 computer that waited will not be told" in admin.get(answer.location).text
    assert activations(console)[0].ended_at == console.clock()
    with console.sessions() as session:
        assert session.scalars(select(Assignment.status)).all() == ["NOTIFIED"]
    assert admin.post("/activations/end", {"activation": activation.id}).status_code == 404


def test_ending_is_undone_where_it_was_done(
    admin: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with console.session() as session:
        one = make_activation(session)
        make_assignment(session, activation=one)
        two = make_activation(session, one.package, fragment_url="lyon.example.org/d")
    ids = {"activation": [str(one.id), str(two.id)]}
    page = admin.get(admin.post("/activations/end", ids).location).text
    assert "would have to be deployed to again" in page
    assert 'action="/activations/again"' in page
    asked = looking(monkeypatch, True, True)
    answer = admin.post("/activations/again", ids)
    assert answer.location == f"/packages/{one.package_id}"
    assert asked == [(each.info_url, each.fragment_url) for each in (one, two)]
    made = activations(console)
    assert [each.ended_at is None for each in made] == [False, False, True, True]
    assert [each.fragment_url for each in made[:2]] == [each.fragment_url for each in made[2:]]
    # Twice is refused, and where nobody answers it is asked about like anything else.
    assert admin.post("/activations/again", ids).status_code == 409
    admin.post("/activations/end", {"activation": [str(each.id) for each in made[2:]]})
    looking(monkeypatch, True, False)
    refused = admin.post("/activations/again", ids)
    assert refused.status_code == 409
    assert "Activate anyway" in refused.text
    assert admin.post("/activations/again").status_code == 404


def test_ending_all_activations_of_ticked_packages(admin: Browser, console: Console) -> None:
    with console.session() as session:
        one, two = make_activation(session), make_activation(session)
        bare = make_package(session)
    query = "&".join(f"package={each}" for each in (one.package_id, two.package_id, bare.id))
    page = admin.get(f"/activations/end?{query}").text
    assert "Deactivate 2 activations?" in page
    answer = admin.post("/activations/end", {"activation": [str(one.id), str(two.id)]})
    assert answer.location == "/packages"
    assert admin.get(f"/activations/end?package={bare.id}").location == "/packages"
    assert "None of the ticked packages" in admin.get("/packages").text


@pytest.mark.parametrize("query", ["", "activation=77", "activation=x"])
def test_ending_nothing_is_a_page(admin: Browser, query: str) -> None:
    assert admin.get(f"/activations/end?{query}").status_code == 404
