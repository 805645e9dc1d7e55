"""Options: what they take, and what counts where everybody, groups and a computer disagree."""

import pytest

from deploy_agent.wire.replies import DownloadSettings
from deploy_server.domain.errors import SpecError
from deploy_server.domain.settings import OPTIONS, GroupValues, find_option, resolve


def groups(*values: dict[str, str]) -> list[GroupValues]:
    return [GroupValues(f"g{number}", each) for number, each in enumerate(values, 1)]


def test_nothing_set_is_the_seeds_pace() -> None:
    effective = resolve({})
    assert effective.download() == DownloadSettings()
    assert effective.number("PROLOG_FREQ") == 24
    assert effective.number("CONTACT_MINUTES") == 60
    assert effective.number("FREQUENCY") == 1
    assert effective.is_on("ENABLE_GROUPS")
    assert not effective.is_on("AGENTS_OVER_HTTP")
    assert set(effective.origins.values()) == {"default"}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_default_is_a_value_the_option_takes(option) -> None:
    assert option.check(option.default) == option.default
    for value in option.warnings:
        assert option.check(value) == value


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("DOWNLOAD_SWITCH", "DOWNLOAD"),
        ("download", "DOWNLOAD"),
        ("GROUPS_TRACE", "DOWNLOAD_GROUPS_TRACE_EVENTS"),
        ("Timeout", "DOWNLOAD_TIMEOUT"),
        ("agents_over_http", "AGENTS_OVER_HTTP"),
    ],
)
def test_people_may_use_every_name_an_option_has(alias: str, name: str) -> None:
    assert find_option(alias).name == name


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="DOWNLOAD_FRAG_LATENZ") as caught:
        find_option("DOWNLOAD_FRAG_LATENZ")
    assert caught.value.field == "name"


@pytest.mark.parametrize("name", ["PERIOD_LENGTH", "TIMEOUT", "PROLOG_FREQ", "CONTACT_MINUTES"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_what_stops_agents_for_good_is_refused(name: str, value: str) -> None:
    with pytest.raises(SpecError, match=f"cannot be {value}.*from 1 to"):
        find_option(name).check(value)


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("DOWNLOAD", "off", "0"),
        ("DOWNLOAD", "Yes", "1"),
        ("FRAG_LATENCY", "000", "0"),
        ("FRAG_LATENCY", " 7 ", "7"),
        ("FREQUENCY", "-1", "-1"),
        (
            "DOWNLOAD_URI_INFO",
            "https://deploy.example:8443/download/",
            "deploy.example:8443/download",
        ),
        ("DOWNLOAD_URI_FRAG", "http://[::1]:80/d", "[::1]:80/d"),
        ("DOWNLOAD_URI_INFO", "", ""),
    ],
)
def test_values_are_stored_in_one_form(name: str, value: str, stored: str) -> None:
    assert find_option(name).check(value) == stored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOWNLOAD", "2"),
        ("DOWNLOAD", ""),
        ("FRAG_LATENCY", "-1"),
        ("FRAG_LATENCY", "1.5"),
        ("FRAG_LATENCY", "٣"),
        ("FRAG_LATENCY", "9" * 12),
        ("FRAG_LATENCY", "9" * 5000),
        ("FREQUENCY", "-2"),
        ("DOWNLOAD_URI_INFO", "http://a/b"),
        ("DOWNLOAD_URI_FRAG", "a b"),
        ("DOWNLOAD_URI_FRAG", "ftp://a/b"),
        ("DOWNLOAD_URI_INFO", "a:0/b"),
        ("AGENTS_ALLOWED", "a\0b"),
        ("AGENTS_ALLOWED", "a" * 4001),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(name: str, value: str) -> None:
    with pytest.raises(SpecError) as caught:
        find_option(name).check(value)
    assert caught.value.field == "value"
    assert caught.value.hint


def test_inventories_off_comes_with_a_warning() -> None:
    assert "no deployment" in find_option("FREQUENCY").warnings["-1"]


@pytest.mark.parametrize(
    ("name", "everybody", "in_groups", "computer", "expected", "origin"),
    [
        # The switch: off for everybody is off; the computer beats its groups.
        ("DOWNLOAD", "0", ["1"], "1", "0", "global"),
        ("DOWNLOAD", "1", ["1", "0"], None, "0", "group g2"),
        ("DOWNLOAD", "1", ["0"], "1", "1", "computer"),
        ("DOWNLOAD", None, [], "0", "0", "computer"),
        # Latencies: the largest of the groups; 0 is a value.
        ("DOWNLOAD_FRAG_LATENCY", "5", ["1", "30"], None, "30", "group g2"),
        ("DOWNLOAD_FRAG_LATENCY", "5", ["30"], "0", "0", "computer"),
        ("DOWNLOAD_CYCLE_LATENCY", "5", ["0"], None, "0", "group g1"),
        ("DOWNLOAD_PERIOD_LATENCY", "5", [], None, "5", "global"),
        # Length, timeout, frequency of contact: the smallest of the groups.
        ("DOWNLOAD_PERIOD_LENGTH", "10", ["8", "5"], None, "5", "group g2"),
        ("DOWNLOAD_TIMEOUT", "30", ["60"], None, "60", "group g1"),
        ("DOWNLOAD_TIMEOUT", "30", ["7"], "90", "90", "computer"),
        ("PROLOG_FREQ", "24", ["12", "6"], None, "6", "group g2"),
        ("CONTACT_MINUTES", None, ["15"], None, "15", "group g1"),
        # No limit is never the stricter one.
        ("DOWNLOAD_EXECUTION_TIMEOUT", "120", ["0", "60"], None, "60", "group g2"),
        ("DOWNLOAD_EXECUTION_TIMEOUT", "120", ["0"], None, "0", "group g1"),
        # Inventories: everybody's 0 and -1 come first, then the smallest of all others.
        ("FREQUENCY", "0", ["7"], "7", "0", "global"),
        ("FREQUENCY", "-1", ["7"], "0", "-1", "global"),
        ("FREQUENCY", "5", ["7", "3"], "4", "3", "group g2"),
        ("FREQUENCY", "5", ["7"], "-1", "-1", "computer"),
        ("FREQUENCY", None, [], None, "1", "default"),
    ],
)
def test_scopes_combine(name, everybody, in_groups, computer, expected, origin) -> None:
    effective = resolve(
        {} if everybody is None else {name: everybody},
        groups(*({name: value} for value in in_groups)),
        None if computer is None else {name: computer},
    )
    assert (effective.values[name], effective.origins[name]) == (expected, origin)


def test_a_group_that_says_nothing_about_an_option_does_not_count() -> None:
    effective = resolve({}, groups({"DOWNLOAD_TIMEOUT": "5"}, {"PROLOG_FREQ": "2"}))
    assert effective.number("DOWNLOAD_TIMEOUT") == 5
    assert effective.number("PROLOG_FREQ") == 2
    assert effective.number("DOWNLOAD_PERIOD_LENGTH") == 10
