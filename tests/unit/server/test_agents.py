"""Who is served by name and version; rules are read, and anything else is named."""

import re
from itertools import product

import pytest

from deploy_server.domain.agents import fits, parse_rules, refusal, version_of
from deploy_server.domain.errors import SpecError
from deploy_server.domain.settings import OPTIONS, resolve
from tests.support.apps import OCS, OURS


@pytest.mark.parametrize(
    ("agent", "version"),
    [
        ("OCS-NG_unified_unix_agent_v2.10.0", "2.10.0"),
        ("OCS-NG_WINDOWS_AGENT_v2.11.0.1", "2.11.0.1"),
        ("OCS-NG_unified_unix_agent_v2.0 Tranche/0.3.1", "0.3.1"),
        ("FusionInventory-Agent_v2.6", "2.6"),
        ("GLPI-Agent_v1.11", "1.11"),
        ("MyAgent/3 (x)", "3"),
        ("nameless", ""),
    ],
)
def test_versions(agent: str, version: str) -> None:
    assert version_of(agent) == version


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ("OCS-NG_unified_unix_agent* >= 2.4", False),
        ("OCS-NG_unified_unix_agent* >= 2.10", False),
        ("OCS-NG_unified_unix_agent* >= 2.10.1", True),
        ("OCS-NG_unified_unix_agent* <= 2.9", True),
        ("# old ones\n\n* >= 2.4\nOCS-NG_*<=2.9\n", True),
        ("OCS-NG_WINDOWS* >= 99", False),
        ("*Tranche/* >= 99", False),
    ],
)
def test_rules_for_versions(rules: str, refused: bool) -> None:
    agent = "OCS-NG_unified_unix_agent_v2.10.0"
    why = refusal(agent, only_listed=False, allowed="", versions=rules)
    assert bool(why) == refused
    assert ("version 2.10.0 is not served here" in why) == refused


def test_no_version_is_older_than_all() -> None:
    why = refusal("nameless", only_listed=False, allowed="", versions="* >= 0.1")
    assert "an agent without a version" in why


@pytest.mark.parametrize("line", ["2.4", "OCS-NG >= ", "OCS-NG > 2.4", ">= 2.4", "OCS-NG >= new"])
def test_what_is_no_rule_is_named(line: str) -> None:
    with pytest.raises(SpecError, match="is no rule for versions"):
        parse_rules(f"* >= 1\n{line}")


def test_only_listed_ones() -> None:
    found = {
        agent: not refusal(agent, only_listed=True, allowed="# ours\n*Tranche/*", versions="")
        for agent in (OCS, OURS)
    }
    assert found == {OCS: False, OURS: True}
    assert fits("a*b", "a\nxb")
    assert not fits("a.b", "axb")


@pytest.mark.parametrize("pattern", ["ab", "*", "a*", "*a", "a*a", "*a*b*", "ab*ba", "**b", "a*b*"])
def test_a_star_stands_for_anything(pattern: str) -> None:
    meant = re.compile(pattern.replace("*", ".*"))
    agents = ("".join(each) for length in range(5) for each in product("ab", repeat=length))
    for agent in agents:
        assert fits(pattern, agent) == bool(meant.fullmatch(agent)), agent


def test_no_name_of_an_agent_takes_long() -> None:
    assert not fits("*a*a*a*a*a*b", "a" * 8000)


def test_by_default_everybody_is_served() -> None:
    effective = resolve({})
    assert effective.refusal(OCS) == ""
    assert resolve({"AGENTS_ONLY_LISTED": "1"}).refusal(OCS) != ""
    assert resolve({"AGENTS_VERSIONS": "*>=99"}).refusal(OCS) != ""


def test_the_setting_takes_rules_only() -> None:
    option = next(each for each in OPTIONS if each.name == "AGENTS_VERSIONS")
    assert option.check(" * >= 1\n") == "* >= 1"
    with pytest.raises(SpecError, match="rule"):
        option.check("new ones")
