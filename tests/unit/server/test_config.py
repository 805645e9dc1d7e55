"""server.toml and the environment: what counts, what is refused and in which words."""

from pathlib import Path

import pytest

from deploy_server.config import ConfigError, ServerConfig, data_dir, load, render


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def write(data: Path, text: str) -> Path:
    data.mkdir(exist_ok=True)
    (data / "server.toml").write_text(text, encoding="utf-8")
    return data


def test_a_file_with_nothing_in_it_gives_the_defaults(data: Path) -> None:
    config = load(write(data, ""), {})
    assert config == ServerConfig(data=data)
    assert config.database_url == f"sqlite:///{data}/tranche.db"
    assert (config.http_port, config.https_port) == (8080, 8443)
    assert config.faces == ("comm", "files", "admin")


def test_the_environment_wins_over_the_file(data: Path) -> None:
    write(data, 'hosts = ["a"]\nhttp_port = 1\nhttps_port = 2\naccess_log = false\n')
    config = load(
        data,
        {
            "DEPLOY_SERVER_HTTP_PORT": "0",
            "DEPLOY_SERVER_HOSTS": "b, c ,",
            "DEPLOY_SERVER_ACCESS_LOG": "true",
            "DEPLOY_SERVER_DATA": "/elsewhere",
            "DEPLOY_SERVER_SCHEME": "https",
            "PATH": "/bin",
        },
    )
    assert config.http_port == 0
    assert config.https_port == 2
    assert config.hosts == ("b", "c")
    assert config.access_log is True
    assert config.data == data


def test_what_kubernetes_sets_for_a_service_of_this_name_is_no_key(data: Path) -> None:
    environ = {
        "DEPLOY_SERVER_SERVICE_HOST": "10.0.0.1",
        "DEPLOY_SERVER_SERVICE_PORT_HTTPS": "8443",
        "DEPLOY_SERVER_PORT": "tcp://10.0.0.1:8443",
        "DEPLOY_SERVER_PORT_8443_TCP_ADDR": "10.0.0.1",
    }
    assert load(write(data, ""), environ) == ServerConfig(data=data)


def test_a_directory_without_a_file_is_not_initialised(data: Path) -> None:
    with pytest.raises(ConfigError, match=rf"not initialised.*init --data {data}"):
        load(data, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("htp_port = 1", r"htp_port is no key of the configuration.*http_port"),
        ('data = "/x"', r"data is no key"),
        ('http_port = "many"', r"http_port is 'many'. Give a whole number"),
        ("http_port = true", r"http_port is True. Give a whole number"),
        ("http_port = 65536", r"http_port is 65536. Give a number from 0 to 65535"),
        ("workers = 0", r"workers is 0. Give a number from 1"),
        ("hosts = [1]", r"hosts is \[1\]. Give a list of texts"),
        ("bind = 5", r"bind is 5. Give a text in quotes"),
        ('access_log = "maybe"', r"access_log is 'maybe'. Give true or false"),
        ('faces = ["comm", "mail"]', r"mail is no part of the server. The parts are comm"),
        ("hosts 1", r"not valid TOML: .*line 1.*Correct that line"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(data: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(write(data, text), {})
    assert "\n" not in str(caught.value)


def test_an_unknown_variable_is_an_error_too(data: Path) -> None:
    with pytest.raises(ConfigError, match=r"DEPLOY_SERVER_HTTPPORT: httpport is no key"):
        load(write(data, ""), {"DEPLOY_SERVER_HTTPPORT": "1"})


def test_what_is_written_is_read_again(data: Path) -> None:
    config = ServerConfig(
        data=data,
        hosts=("deploy.example.org", 'a"b\\c', "münchen.example"),
        database_url="postgresql+psycopg://u@h/d",
        http_port=0,
        access_log=True,
        faces=("comm",),
    )
    assert load(write(data, render(config)), {}) == config
    assert "workers" not in render(config)


def test_the_ports_in_use_are_those_of_the_last_run(data: Path) -> None:
    config = load(write(data, "https_port = 9443"), {})
    assert config.in_use() == config
    config.run.mkdir()
    (config.run / "listening.json").write_text(
        '{"pid": 1, "bind": "127.0.0.1", "http_port": 81, "https_port": 444}'
    )
    assert (config.in_use().https_port, config.in_use().bind) == (444, "127.0.0.1")


def test_the_directory_is_the_option_then_the_environment_then_the_platforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"DEPLOY_SERVER_DATA": str(tmp_path / "env")}
    assert data_dir(str(tmp_path / "option"), environ) == tmp_path / "option"
    assert data_dir(None, environ) == tmp_path / "env"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert data_dir(None, {}) == Path("/var/lib/deploy-server")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert data_dir(None, {}) == tmp_path / "share" / "deploy-server"
