from pathlib import Path

import pytest

from deploy_agent.config import AgentConfig, default_file, load, render, server_url
from deploy_agent.domain.errors import ConfigError

SERVER = "https://deploy.example.org:8443/ocsinventory"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "agent.toml"
    file.write_text(render({"server": SERVER, "ca_file": "/etc/ca.pem"}))
    return file


def test_what_is_rendered_is_read(tmp_path: Path) -> None:
    values = {
        "server": "https://deploy.example.org:8443",
        "ca_file": Path("/etc/ca.pem"),
        "tag": 'Büro "Süd"\n',
        "max_rate": "500 KiB/s",
        "proxy": None,
    }
    file = tmp_path / "agent.toml"
    file.write_text(render(values), encoding="utf-8")
    assert load(file, {}).config == AgentConfig(
        SERVER, Path("/etc/ca.pem"), tag='Büro "Süd"\n', max_rate=500 * 1024
    )


def test_later_sources_win_and_every_value_says_where_it_is_from(file: Path) -> None:
    environ = {
        "DEPLOY_AGENT_TAG": "environment",
        "DEPLOY_AGENT_CONTACT_INTERVAL_MIN": "5",
        "PATH": "/bin",
    }
    loaded = load(file, environ, {"tag": "option", "proxy": None})
    assert (loaded.config.tag, loaded.config.contact_interval_min) == ("option", 5)
    assert loaded.origins["server"] == str(file)
    assert loaded.origins["tag"] == "option"
    assert loaded.origins["contact_interval_min"] == "DEPLOY_AGENT_CONTACT_INTERVAL_MIN"
    assert loaded.origins["max_exec_tries"] == "default"


def test_without_a_file_the_environment_may_say_everything(tmp_path: Path) -> None:
    environ = {"DEPLOY_AGENT_SERVER": "http://x", "DEPLOY_AGENT_CA_FILE": "/ca"}
    assert load(tmp_path / "none", environ).config.server == "http://x/ocsinventory"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "server is not configured"),
        (f'server = "{SERVER}"', "ca_file is not configured"),
        ("server = ", "is no TOML"),
        ('serverr = "https://x"', "Did you mean server?"),
        ('frobnicate = "x"', "The keys are server, ca_file"),
        ('server = "deploy.example.org"', "begin it with https://"),
        ('server = "ftp://deploy.example.org"', "begin it with https://"),
        ('server = "https://"', "names no host"),
        ('server = "https://x:port"', "server cannot be"),
        ('server = "https://u:p@x"', "basic_auth_file"),
        ("server = 5", "text in quotes"),
        ('ca_file = ""', "names no file"),
        ("max_exec_tries = 0", "1 or more"),
        ("max_exec_tries = true", "whole number"),
        ("contact_interval_min = 'soon'", "contact_interval_min cannot be"),
        ("max_rate = 'fast'", "bytes a second"),
        ("max_rate = 0", "1 or more"),
        ("require_signature = true", "no key require_signature"),
        ("trusted_root = '/x'", "no key trusted_root"),
    ],
)
def test_wrong_configurations_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert words in str(caught.value)
    assert caught.value.exit_status == 2


def test_an_unknown_variable_is_an_error_too(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"DEPLOY_AGENT_SEVER.*Did you mean server"):
        load(file, {"DEPLOY_AGENT_SEVER": "x"})


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_bytes(b"server = \xff")
    with pytest.raises(ConfigError, match="is no TOML"):
        load(file, {})


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://a", "https://a/ocsinventory"),
        ("https://a/", "https://a/ocsinventory"),
        (" https://a:8443/ocs ", "https://a:8443/ocs"),
        ("http://[::1]:80", "http://[::1]:80/ocsinventory"),
    ],
)
def test_an_empty_path_means_ocsinventory(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize(
    ("text", "rate"), [("1000", 1000), ("5k", 5000), ("1 MiB/s", 1048576), ("2MB/s", 2_000_000)]
)
def test_rates(text: str, rate: int) -> None:
    environ = {"DEPLOY_AGENT_SERVER": "http://x", "DEPLOY_AGENT_CA_FILE": "/ca"}
    loaded = load(Path("/nowhere"), {**environ, "DEPLOY_AGENT_MAX_RATE": text})
    assert loaded.config.max_rate == rate


def test_there_is_a_default_file() -> None:
    assert default_file().name == "agent.toml"
