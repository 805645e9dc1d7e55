"""The configuration: what wins, where it came from, and what is said about a wrong value."""

import os
from pathlib import Path
from typing import Any

import pytest

from deploy_agent import config
from deploy_agent.config import AgentConfig, load, server_url, shown, to_toml
from deploy_agent.domain.errors import ConfigError
from deploy_agent.domain.rate import Rate
from deploy_agent.machine.configfile import write_config

MINIMAL = 'server = "https://deploy.example.org"\nca_file = "/etc/ca.pem"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(MINIMAL)
    return path


def loaded(file: Path, more: str = "", environment: dict[str, str] | None = None, **options: Any):  # type: ignore[no-untyped-def]
    file.write_text(MINIMAL + more)
    return load(file, environment or {}, options)


def test_the_least_that_is_needed(file: Path) -> None:
    assert load(file, {}) == AgentConfig(
        "https://deploy.example.org/ocsinventory", Path("/etc/ca.pem")
    )


def test_everything(file: Path) -> None:
    found = loaded(
        file,
        'tag = "paris"\nproxy = "http://proxy:3128"\nbasic_auth_file = "/etc/auth"\n'
        'log_file = "/var/log/agent"\nmax_rate = "1.5MiB/s"\nmax_exec_tries = 3\n'
        'contact_interval_min = 5\nstate = "/srv/agent"\n',
    )
    assert (found.tag, found.proxy) == ("paris", "http://proxy:3128")
    assert found.max_rate == Rate(1_572_864)
    assert found.basic_auth_file == Path("/etc/auth")
    assert found.log_file == Path("/var/log/agent")
    assert (found.max_exec_tries, found.contact_interval_min) == (3, 5)
    assert found.state == Path("/srv/agent")


def test_later_wins_and_the_origin_is_known(file: Path) -> None:
    found = loaded(
        file,
        'tag = "file"\nmax_exec_tries = 2\n',
        {"DEPLOY_AGENT_TAG": "environment", "DEPLOY_AGENT_STATE": "/e", "OTHER": "x"},
        state=Path("/option"),
        tag=None,
    )
    assert (found.tag, found.state, found.max_exec_tries) == ("environment", Path("/option"), 2)
    origins = {key: origin for key, _, origin in shown(found)}
    assert origins["tag"] == "DEPLOY_AGENT_TAG"
    assert origins["state"] == "option"
    assert origins["max_exec_tries"] == str(file)
    assert origins["proxy"] == "default"


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    environment = {"DEPLOY_AGENT_SERVER": "http://s:8080", "DEPLOY_AGENT_CA_FILE": "/ca"}
    found = load(tmp_path / "none.toml", {**environment, "DEPLOY_AGENT_MAX_EXEC_TRIES": "4"})
    assert (found.server, found.max_exec_tries) == ("http://s:8080/ocsinventory", 4)


@pytest.mark.parametrize("key", ["server", "ca_file"])
def test_a_missing_key_says_how_to_write_it(file: Path, key: str) -> None:
    lines = [line for line in MINIMAL.splitlines() if not line.startswith(key)]
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=f"'{key}' is missing.*deploy-agent configure"):
        load(file, {})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("verify = false", "unknown key 'verify'.*Known keys"),
        ("ca_flie = 'x'", "unknown key 'ca_flie'.*Did you mean 'ca_file'"),
        ("trusted_root = '/r'", "unknown key 'trusted_root'"),
        ("require_signature = true", "unknown key"),
        ("tag = 5", "'tag' in .* is 5: .*quotation marks"),
        ("proxy = 'proxy:3128'", "'proxy'.*http://"),
        ("proxy = 'https://proxy:3128'", "'proxy'.*http://"),
        ("proxy = 'socks5://proxy'", "'proxy'.*http://"),
        ("max_rate = 0", "'max_rate'"),
        ("max_rate = 'fast'", "'max_rate'.*500k"),
        ("max_rate = true", "'max_rate'"),
        ("max_rate = '8-18 1M, else 2M'", "'max_rate'.*'8-18 1M' is no part of a day.*08:00-18:00"),
        ("max_exec_tries = 0", "'max_exec_tries'.*at least 1"),
        ("max_exec_tries = 'two'", "'max_exec_tries'.*whole number"),
        ("max_exec_tries = true", "'max_exec_tries'.*whole number"),
        ("max_exec_tries = 1.5", "'max_exec_tries'.*whole number"),
        ("contact_interval_min = -1", "'contact_interval_min'.*at least 1"),
        ("contact_interval_min = 43201", "'contact_interval_min'.*43201.*at most 43200: .*30 days"),
        (f"contact_interval_min = {10**20}", "'contact_interval_min'.*at most 43200"),
        ("max_exec_tries = 101", "'max_exec_tries'.*at most 100: .*end"),
        ("max_rate = 1000000000001", "'max_rate'.*more than a network carries; write 1000G"),
        ("max_rate = '1001G'", "'max_rate'.*more than a network carries"),
        ("basic_auth_file = 'auth'", "'basic_auth_file'.*whole path"),
        ("log_file = ''", "'log_file'"),
        ("[section]\nx = 1", "unknown key 'section'"),
        ("nonsense", "is no TOML"),
        ("tag = 'a'\ntag = 'b'", "is no TOML"),
    ],
)
def test_a_wrong_line_is_named(file: Path, line: str, words: str) -> None:
    file.write_text(MINIMAL + line)
    with pytest.raises(ConfigError, match=words):
        load(file, {})


@pytest.mark.parametrize(
    ("key", "digits", "words"),
    [
        ("contact_interval_min", "0x{}", "thousands of digits: it has .*at most 43200"),
        ("contact_interval_min", "{}", "holds a number of thousands of digits"),
        ("contact_interval_min", "'{}'", r"is '9{20,99}\.\.\.: it has .*at most 43200"),
        ("max_rate", "0x{}", "'max_rate'.*more than a network carries"),
    ],
)
def test_numbers_without_end_are_refused(file: Path, key: str, digits: str, words: str) -> None:
    file.write_text(f"{MINIMAL}{key} = {digits.format('9' * 9000)}")
    with pytest.raises(ConfigError, match=words) as caught:
        load(file, {})
    assert len(str(caught.value)) < 500


def test_numbers_of_the_environment_have_the_same_bounds(file: Path) -> None:
    for name, value, words in [
        ("CONTACT_INTERVAL_MIN", "9" * 9000, "at most 43200"),
        ("CONTACT_INTERVAL_MIN", str(10**20), "at most 43200"),
        ("MAX_EXEC_TRIES", "101", "at most 100"),
        ("MAX_RATE", "1" + "0" * 13, "more than a network carries"),
    ]:
        with pytest.raises(ConfigError, match=f"'{name.lower()}' in environment.*{words}"):
            load(file, {f"DEPLOY_AGENT_{name}": value})
    bounds = {"DEPLOY_AGENT_CONTACT_INTERVAL_MIN": "0043200", "DEPLOY_AGENT_MAX_RATE": "1000G"}
    config = load(file, bounds)
    assert (config.contact_interval_min, str(config.max_rate)) == (43_200, "1000G")


def test_unknown_keys_in_the_environment_are_errors_too(file: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'serverr' in environment"):
        load(file, {"DEPLOY_AGENT_SERVERR": "x"})
    load(file, {"DEPLOY_AGENT_CONFIG": "/somewhere"})


@pytest.mark.parametrize(
    ("text", "rate"),
    [(500, 500), ("500", 500), ("500k", 500_000), ("2KiB", 2048), ("1.5 MB/s", 1_500_000)],
)
def test_rates(file: Path, text: object, rate: int) -> None:
    value = f"'{text}'" if isinstance(text, str) else text
    assert loaded(file, f"max_rate = {value}").max_rate == Rate(rate)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://h", "https://h/ocsinventory"),
        ("https://h:8443/", "https://h:8443/ocsinventory"),
        ("http://h/other", "http://h/other"),
        (" https://[::1]:8443 ", "https://[::1]:8443/ocsinventory"),
    ],
)
def test_an_empty_path_means_ocsinventory(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "h", "ftp://h", "https://", "https://u:p@h", "https://h:x", "https://h:0"]
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever way it is none
        server_url(text)


def test_credentials_stand_in_a_file_of_their_own(file: Path, tmp_path: Path) -> None:
    auth = tmp_path / "auth"
    found = loaded(file, f"basic_auth_file = '{auth}'")
    for content in (None, "", "user", ":password", "a:b\nc:d", "\udcff"):
        if content is not None:
            auth.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ConfigError, match="basic_auth_file"):
            found.credentials()
    auth.write_text("user:pass:word\n")
    assert found.credentials() == ("user", "pass:word")
    assert loaded(file).credentials() is None


def test_a_proxys_password_is_not_shown(file: Path) -> None:
    found = loaded(file, "proxy = 'http://me:secret@proxy:3128'")
    text = {key: value for key, value, _ in shown(found)}["proxy"]
    assert text == "http://me:...@proxy:3128"


@pytest.mark.parametrize(
    "line",
    [
        "proxy = 'https://me:se/cret@proxy:3128'",
        "proxy = 'http://me:sec/ret@proxy:3128'",
        "proxy = 'http://me:sec ret@proxy:port'",
        "server = 'https://me:secret@h'",
        "server = 'https://me:sec/ret@h'",
    ],
)
def test_no_part_of_a_password_is_in_a_message(file: Path, line: str) -> None:
    key = line.partition(" ")[0]
    rest = [each for each in MINIMAL.splitlines() if not each.startswith(key)]
    file.write_text("\n".join([*rest, line]))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


def test_a_rate_by_hours_is_read_from_everywhere_and_shown(file: Path) -> None:
    text = "08:00-18:00 200K, else 2M"
    for found in (
        loaded(file, f"max_rate = '{text}'"),
        loaded(file, "", {"DEPLOY_AGENT_MAX_RATE": text}),
    ):
        assert {key: value for key, value, _ in shown(found)}["max_rate"] == text


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "agent.toml"
    tag = 'Zürich "\\\n\x7f\t'
    write_config(file, {"server": "https://h/x", "ca_file": "/ca", "tag": tag})
    assert load(file, {}).tag == tag
    write_config(file, {"server": "https://other/x", "tag": None})
    found = load(file, {})
    assert (found.server, found.tag) == ("https://other/x", tag)
    assert file.stat().st_mode & 0o777 == 0o644


def test_the_file_is_changed_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("# by hand\n  tag   =   'old' # here\n\nmax_exec_tries = 2 # twice\n")
    file.chmod(0o600)
    assert write_config(file, {"tag": "new", "server": "https://h/x", "ca_file": None})
    assert file.read_text() == (
        '# by hand\ntag = "new"\n\nmax_exec_tries = 2 # twice\nserver = "https://h/x"\n'
    )
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.stat()
    assert not write_config(file, {"tag": "new", "server": "https://h/x"})
    assert file.stat() == before


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("# nothing yet\n")
    (tmp_path / "agent.toml").symlink_to("real.toml")
    write_config(tmp_path / "agent.toml", {"tag": "x"})
    assert (tmp_path / "agent.toml").is_symlink()
    assert (tmp_path / "real.toml").read_text() == '# nothing yet\ntag = "x"\n'


@pytest.mark.parametrize("text", ["'tag' = 'old'\n", 'tag = """\nold"""\n'])
def test_what_cannot_be_changed_line_by_line_is_left(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r'by hand: tag = "new"'):
        write_config(file, {"tag": "new"})
    assert file.read_text() == text


def test_numbers_stay_numbers_when_the_file_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(MINIMAL + "max_exec_tries = 2\n")
    write_config(file, {"tag": "x"})
    assert load(file, {}).max_exec_tries == 2


def test_a_configuration_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "agent.toml.part").mkdir()
    with pytest.raises(ConfigError, match="--config"):
        write_config(tmp_path / "agent.toml", {"tag": "x"})


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system = tmp_path / "etc" / "agent.toml"
    monkeypatch.setattr(config, "SYSTEM_FILE", system)
    monkeypatch.delenv("DEPLOY_AGENT_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert config.default_file() == tmp_path / "home" / "deploy-agent" / "agent.toml"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert config.default_file() == system
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    system.parent.mkdir()
    system.write_text("")
    assert config.default_file() == system
    monkeypatch.setenv("DEPLOY_AGENT_CONFIG", "/named")
    assert config.default_file() == Path("/named")


def test_to_toml_leaves_out_what_was_not_said() -> None:
    assert to_toml({"a": None, "b": 1}).splitlines()[1:] == ["b = 1"]
